"""The operations that a network is made of, on vectors of exact integers.

A node is a vector of codes with a binary point and, for each lane, the exact range of what it can
hold. Operations never round or overflow: only `Node.to` does, by nodes that say so. Each lane-wise
operation is one line of arithmetic (`Node.arithmetic`) that NumPy runs and Amaranth elaborates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from rnnrtl.fixedpoint import arithmetic
from rnnrtl.fixedpoint.exact import IntArray, dtype_for
from rnnrtl.fixedpoint.format import Format, Overflow, Rounding

Bounds = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """A vector of codes.

    Members
    -------
    args : the nodes it is computed from
    fraction_bits : a code c stands for c * 2**-fraction_bits
    lowest, highest : exact range of every lane
    name : what it is called in the Verilog, or "" for a step on the way to something named
    """

    args: "tuple[Node, ...]"
    fraction_bits: int
    lowest: Bounds
    highest: Bounds
    name: str = field(default="", kw_only=True)

    @property
    def size(self) -> int:
        """Number of lanes."""
        return len(self.lowest)

    @property
    def dtype(self) -> type:
        """NumPy type that holds every lane and the operands of what made it."""
        return dtype_for(min(self.lowest), max(self.highest))

    def arithmetic(self, *operands: Any) -> Any:
        """Compute one lane (or whole arrays) from the same lane of each argument."""
        raise NotImplementedError(type(self).__name__)

    def named(self, name: str) -> Self:
        """Return this node under a name."""
        return replace(self, name=name)

    # -- exact operations ------------------------------------------------------------------------

    def __add__(self, other: "Node") -> "Node":
        a, b = aligned(self, other)
        low = tuple(x + y for x, y in zip(a.lowest, b.lowest, strict=True))
        high = tuple(x + y for x, y in zip(a.highest, b.highest, strict=True))
        return Add((a, b), a.fraction_bits, low, high)

    def __sub__(self, other: "Node") -> "Node":
        a, b = aligned(self, other)
        low = tuple(x - y for x, y in zip(a.lowest, b.highest, strict=True))
        high = tuple(x - y for x, y in zip(a.highest, b.lowest, strict=True))
        return Subtract((a, b), a.fraction_bits, low, high)

    def __mul__(self, other: "Node") -> "Node":
        corners = [
            [x * y for x in (la, ha) for y in (lb, hb)]
            for la, ha, lb, hb in zip(
                self.lowest, self.highest, other.lowest, other.highest, strict=True
            )
        ]
        return Multiply(
            (self, other),
            self.fraction_bits + other.fraction_bits,
            tuple(map(min, corners)),
            tuple(map(max, corners)),
        )

    def relu(self) -> "Node":
        """Return max(x, 0)."""
        high = tuple(max(h, 0) for h in self.highest)
        low = tuple(max(x, 0) for x in self.lowest)
        return Relu((self,), self.fraction_bits, low, high)

    def limited(self, lowest: int, highest: int) -> "Node":
        """Return the number of lowest..highest (values, not codes) nearest to x."""
        x = refined(self, max(self.fraction_bits, 0))  # the ends must be codes
        low, high = lowest << x.fraction_bits, highest << x.fraction_bits
        if min(x.lowest) >= low and max(x.highest) <= high:
            return x
        return mapped(
            Limited, x, x.fraction_bits, lambda v: min(max(v, low), high), least=low, most=high
        )

    def halved(self) -> "Node":
        """Return x / 2: the same codes, with their binary point moved."""
        return Proved((self,), self.fraction_bits + 1, self.lowest, self.highest)

    def lane(self, number: int) -> "Node":
        """Return the vector of one lane."""
        return part(self, number, number + 1)

    def lanes(self, start: int, stop: int) -> "Node":
        """Return the vector of lanes start..stop-1."""
        return part(self, start, stop)

    def within(self, lowest: Sequence[int], highest: Sequence[int]) -> "Node":
        """State a range that is proved by more than its operands' ranges; nothing is computed."""
        low = tuple(map(max, self.lowest, lowest))
        high = tuple(map(min, self.highest, highest))
        return Proved((self,), self.fraction_bits, low, high)

    def last_step(self) -> "Node":
        """Return the vector of a sequence's last step only."""
        return LastStep((self,), self.fraction_bits, self.lowest, self.highest)

    # -- where rounding, overflow and tables are -------------------------------------------------

    def to(self, form: Format) -> "Node":
        """Bring the vector into a format: the only place where bits are lost."""
        drop = self.fraction_bits - form.fraction_bits
        x: Node = self
        if drop < 0:
            x = mapped(ShiftLeft, x, form.fraction_bits, lambda v: v << -drop, bits=-drop)
        elif drop > 0:
            offset = arithmetic.rounding_offset(form.rounding, drop)
            if offset is None:
                x = mapped(
                    RoundShift,
                    x,
                    form.fraction_bits,
                    lambda v: arithmetic.round_shift(v, drop, form.rounding),
                    bits=drop,
                    rounding=form.rounding,
                )
            else:
                # A constant, so that it joins the sum that the vector may be.
                if offset:
                    x = x + constant([offset] * x.size, x.fraction_bits)
                x = mapped(ShiftRight, x, form.fraction_bits, lambda v: v >> drop, bits=drop)
        return _overflow(x, form)


@dataclass(frozen=True, eq=False)
class Input(Node):
    """What a time step brings in."""


@dataclass(frozen=True, eq=False)
class Constant(Node):
    """The same codes always (lowest == highest)."""


@dataclass(frozen=True, eq=False)
class State(Node):
    """A vector kept from one time step to the next; starts a sequence at `initial`."""

    initial: Bounds = ()


@dataclass(frozen=True, eq=False)
class MatVec(Node):
    """matrix @ x, exactly; matrix (units, features)."""

    matrix: IntArray = field(default_factory=lambda: np.zeros((0, 0), np.int64))


@dataclass(frozen=True, eq=False)
class Add(Node):
    """a + b."""

    def arithmetic(self, a: Any, b: Any) -> Any:
        return a + b


@dataclass(frozen=True, eq=False)
class Subtract(Node):
    """a - b."""

    def arithmetic(self, a: Any, b: Any) -> Any:
        return a - b


@dataclass(frozen=True, eq=False)
class Multiply(Node):
    """a * b, lane by lane."""

    def arithmetic(self, a: Any, b: Any) -> Any:
        return a * b


@dataclass(frozen=True, eq=False)
class Relu(Node):
    """max(x, 0)."""

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.maximum_zero(x)


@dataclass(frozen=True, eq=False)
class Limited(Node):
    """The code of least..most nearest to x."""

    least: int = 0
    most: int = 0

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.clamp(x, self.least, self.most)


@dataclass(frozen=True, eq=False)
class Part(Node):
    """Lanes of its argument from `start` on."""

    start: int = 0


@dataclass(frozen=True, eq=False)
class Joined(Node):
    """All lanes of its arguments, in order."""


@dataclass(frozen=True, eq=False)
class Proved(Node):
    """The codes of its argument, with a narrower range that holds for a reason stated where it is
    made, or with another binary point.
    """

    def arithmetic(self, x: Any) -> Any:
        return x


@dataclass(frozen=True, eq=False)
class LastStep(Node):
    """Its argument at a sequence's last step; what follows happens once a sequence."""

    def arithmetic(self, x: Any) -> Any:
        return x


@dataclass(frozen=True, eq=False)
class ShiftLeft(Node):
    """x * 2**bits."""

    bits: int = 0

    @property
    def dtype(self) -> type:
        return dtype_for(min(self.lowest), max(self.highest), 1 << self.bits)

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.shift_left(x, self.bits)


@dataclass(frozen=True, eq=False)
class ShiftRight(Node):
    """floor(x / 2**bits)."""

    bits: int = 0

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.shift_right(x, self.bits)


@dataclass(frozen=True, eq=False)
class LowBits(Node):
    """The `bits` bits of x from bit `dropped` on, as a number from 0 up."""

    bits: int = 1
    dropped: int = 0

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.low_bits(arithmetic.shift_right(x, self.dropped), self.bits)


@dataclass(frozen=True, eq=False)
class RoundShift(Node):
    """x / 2**bits, rounded in a way that depends on x."""

    bits: int = 1
    rounding: Rounding = Rounding.RND_CONV

    @property
    def dtype(self) -> type:
        return dtype_for(min(self.lowest), max(self.highest), 1 << self.bits)

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.round_shift(x, self.bits, self.rounding)


@dataclass(frozen=True, eq=False)
class Bounded(Node):
    """Base of the overflow modes: x brought into the codes of a format."""

    form: Format = field(default_factory=lambda: Format(1, 1))


@dataclass(frozen=True, eq=False)
class Clamp(Bounded):
    """Overflow modes SAT and SAT_SYM."""

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.clamp(x, self.form.min_code, self.form.max_code)


@dataclass(frozen=True, eq=False)
class ZeroOutside(Bounded):
    """Overflow mode SAT_ZERO."""

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.zero_outside(x, self.form.min_code, self.form.max_code)


@dataclass(frozen=True, eq=False)
class Wrap(Bounded):
    """Overflow mode WRAP."""

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.wrap(x, self.form.width)


def constant(codes: Sequence[int], fraction_bits: int) -> Constant:
    """Return a constant vector."""
    values = tuple(int(c) for c in codes)
    return Constant((), fraction_bits, values, values)


def part(x: Node, start: int, stop: int) -> Part:
    """Return lanes start..stop-1 of x."""
    return Part((x,), x.fraction_bits, x.lowest[start:stop], x.highest[start:stop], start=start)


def aligned(a: Node, b: Node) -> tuple[Node, Node]:
    """Return a and b with the finer of their binary points."""
    fraction_bits = max(a.fraction_bits, b.fraction_bits)
    return refined(a, fraction_bits), refined(b, fraction_bits)


def refined(x: Node, fraction_bits: int) -> Node:
    """Return x with a binary point as fine as asked for."""
    bits = fraction_bits - x.fraction_bits
    if bits == 0:
        return x
    if isinstance(x, Constant):
        return constant([c << bits for c in x.lowest], fraction_bits)
    return mapped(ShiftLeft, x, fraction_bits, lambda v: v << bits, bits=bits)


def mapped(
    kind: type[Any], x: Node, fraction_bits: int, rising: Callable[[int], int], **members: Any
) -> Node:
    """Return a node of a rising function of one argument, so that its range is that of the ends."""
    node: Node = kind(
        (x,),
        fraction_bits,
        tuple(rising(v) for v in x.lowest),
        tuple(rising(v) for v in x.highest),
        **members,
    )
    return node


def _overflow(x: Node, form: Format) -> Node:
    low, high = form.min_code, form.max_code
    if min(x.lowest) >= low and max(x.highest) <= high:
        return x
    if form.overflow in (Overflow.SAT, Overflow.SAT_SYM):
        return mapped(Clamp, x, x.fraction_bits, lambda v: min(max(v, low), high), form=form)
    kind = Wrap if form.overflow is Overflow.WRAP else ZeroOutside
    lows, highs = [], []
    for a, b in zip(x.lowest, x.highest, strict=True):
        fits = a >= low and b <= high
        zero = form.overflow is Overflow.SAT_ZERO
        lows.append(a if fits else max(low, min(a, 0)) if zero else low)
        highs.append(b if fits else min(high, max(b, 0)) if zero else high)
    return kind((x,), x.fraction_bits, tuple(lows), tuple(highs), form=form)
