"""Placing operations in clock cycles: as soon as possible, chained as far as the clock allows."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rnnrtl.errors import UnsupportedError
from rnnrtl.fixedpoint.arithmetic import shift_left
from rnnrtl.lut.table import Rom
from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.operations import Op, range_width


@dataclass(eq=False)
class Placer:
    """Makes operations and gives each its cycle.

    Members
    -------
    delays : model of the target
    period : clock period, ns
    ops : everything placed so far, operands first
    """

    delays: Delays
    period: float
    ops: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names: dict[tuple[str, str], int] = {}

    @property
    def budget(self) -> float:
        """Logic that fits between two registers, ns."""
        return self.period - self.delays.register

    def add(
        self,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        operands: tuple[Op, ...],
        compute: Callable[..., Any] | None,
        delay: float,
        *,
        kind: str,
        last_only: bool = False,
        rom: Rom | None = None,
        title: str = "",
    ) -> Op:
        """Place an operation in the first cycle that its operands and the clock allow."""
        if delay > self.budget:
            fastest = 1000 / (delay + self.delays.register)
            raise UnsupportedError(
                f"clock_mhz={1000 / self.period:g} is too fast for {self.delays.family}: "
                f"{kind} {layer}.{name} alone takes {delay:.2f} ns; at most {fastest:.0f} MHz"
            )
        cycle, start = 0, 0.0
        for op in operands:
            if (op.cycle, op.ready) > (cycle, start):
                cycle, start = op.cycle, op.ready
        if start + delay > self.budget + 1e-9:
            cycle, start = cycle + 1, 0.0
        op = Op(
            self._unique(layer, name),
            layer,
            *bounds,
            operands,
            compute,
            cycle,
            start + delay,
            frozenset().union(*(op.loops for op in operands)),
            last_only or any(op.last_only for op in operands),
            rom,
            title,
            kind,
            delay,
        )
        self.ops.append(op)
        return op

    def source(
        self, name: str, layer: str, bounds: tuple[int, int], cycle: int, *, kind: str
    ) -> Op:
        """Add an input or a state lane, which stands in a register from the start of `cycle`."""
        loops = frozenset({layer}) if kind == "state" else frozenset()
        op = Op(self._unique(layer, name), layer, *bounds, (), None, cycle, 0.0, loops, kind=kind)
        self.ops.append(op)
        return op

    def constant(self, name: str, layer: str, value: int) -> Op:
        """Add a constant: ready always."""
        return Op(name, layer, value, value, (), lambda: value, 0, 0.0, kind="constant")

    def _unique(self, layer: str, name: str) -> str:
        count = self._names.get((layer, name), 0)
        self._names[layer, name] = count + 1
        return f"{name}_{count}" if count else name


@dataclass(frozen=True, eq=False)
class Linear:
    """An exact sum of multiples of operations and a constant."""

    terms: dict[Op, int]
    constant: int = 0

    def plus(self, other: "Linear", sign: int = 1) -> "Linear":
        """Return self + sign * other."""
        terms = dict(self.terms)
        for op, weight in other.terms.items():
            terms[op] = terms.get(op, 0) + sign * weight
        return Linear({o: w for o, w in terms.items() if w}, self.constant + sign * other.constant)

    def times(self, factor: int) -> "Linear":
        """Return factor * self."""
        return Linear({o: w * factor for o, w in self.terms.items()}, self.constant * factor)


@dataclass(frozen=True, eq=False)
class _Term:
    """+-(op << shift) in a sum."""

    op: Op
    shift: int
    negative: bool

    @property
    def bounds(self) -> tuple[int, int]:
        low, high = self.op.lowest << self.shift, self.op.highest << self.shift
        return (-high, -low) if self.negative else (low, high)


def place_sum(placer: Placer, total: Linear, name: str, layer: str, bounds: tuple[int, int]) -> Op:
    """Place a sum of products: products first, then an adder tree that joins what is early first.

    What does not depend on a layer's own state is summed apart, ahead of the loop, and joins the
    tree where it is needed.
    """
    loops = set().union(*(op.loops for op in total.terms)) if total.terms else set()
    inside = {op: w for op, w in total.terms.items() if layer in op.loops and layer in loops}
    outside = {op: w for op, w in total.terms.items() if op not in inside}
    parts: list[_Term] = []
    if outside:
        terms = _terms(placer, outside, name, layer)
        suffix = "_ahead" if inside else ""
        ahead = _tree(placer, terms, total.constant, f"{name}{suffix}", layer)
        parts.append(_Term(ahead, 0, negative=False))
    elif total.constant or not inside:
        parts.append(_Term(placer.constant(name, layer, total.constant), 0, negative=False))
    if inside:
        parts += _terms(placer, inside, name, layer)
    result = _tree(placer, parts, 0, name, layer)
    low, high = max(bounds[0], result.lowest), min(bounds[1], result.highest)
    if (low, high) == (result.lowest, result.highest):
        return result
    # The range is proved narrower than the sum of its parts' ranges.
    return placer.add(
        f"{name}_proved", layer, (low, high), (result,), lambda v: v, 0.0, kind="wire"
    )


def _terms(placer: Placer, weights: dict[Op, int], name: str, layer: str) -> list[_Term]:
    """Return one term for each weight; a power of two is a shift, all else a product."""
    terms = []
    for op, weight in weights.items():
        odd = abs(weight)
        shift = (odd & -odd).bit_length() - 1
        odd >>= shift
        negative = weight < 0
        if odd != 1:
            factor = -odd if negative else odd
            corners = (op.lowest * factor, op.highest * factor)
            op = placer.add(
                f"{name}_from_{op.name}",
                layer,
                (min(corners), max(corners)),
                (op,),
                _times(factor),
                placer.delays.product(op.width, factor.bit_length() + 1),
                kind="product",
            )
            negative = False
        terms.append(_Term(op, shift, negative))
    return terms


def _times(factor: int) -> Callable[[Any], Any]:
    return lambda v: v * factor


def _tree(placer: Placer, terms: Iterable[_Term], constant: int, name: str, layer: str) -> Op:
    """Place two-input adders until one term is left, joining the two earliest each time."""
    queue: list[tuple[tuple[int, float], int, _Term]] = []
    count = 0

    def push(term: _Term) -> None:
        nonlocal count
        heapq.heappush(queue, ((term.op.cycle, term.op.ready), count, term))
        count += 1

    for term in terms:
        push(term)
    if constant or not queue:
        push(_Term(placer.constant(name, layer, constant), 0, negative=False))
    while len(queue) > 1:
        a, b = heapq.heappop(queue)[2], heapq.heappop(queue)[2]
        title = f"{name}_part" if queue else name
        push(_Term(_join(placer, a, b, title, layer), 0, negative=False))
    last = queue[0][2]
    if not last.shift and not last.negative:
        return last.op
    zero = _Term(placer.constant(name, layer, 0), 0, negative=False)
    return _join(placer, zero, last, name, layer)


def _join(placer: Placer, a: _Term, b: _Term, name: str, layer: str) -> Op:
    """Place one adder or subtractor."""
    if a.negative and not b.negative:
        a, b = b, a
    low, high = (x + y for x, y in zip(a.bounds, b.bounds, strict=True))

    def compute(x: Any, y: Any) -> Any:
        x, y = shift_left(x, a.shift), shift_left(y, b.shift)
        if a.negative:
            return -x - y
        return x - y if b.negative else x + y

    # Bits below the larger shift of the two pass by the carry chain.
    width = range_width(low, high) - max(a.shift, b.shift)
    return placer.add(
        name,
        layer,
        (low, high),
        (a.op, b.op),
        compute,
        placer.delays.adder(max(width, 1)) * (2 if a.negative else 1),
        kind="adder",
    )


def postponed(ops: list[Op], ends: set[Op], budget: float) -> dict[Op, Op]:
    """Return each operation moved to the latest time at which all that reads it is as before.

    `ends` and what is an input stay where they are; operations come operands first.
    """
    latest: dict[Op, tuple[int, float]] = {}
    for op in reversed(ops):
        finish = (op.cycle, op.ready) if op in ends else latest.get(op, (op.cycle, op.ready))
        if op.kind == "input":
            finish = (op.cycle, op.ready)
        cycle, ready = finish
        delay = op.delay
        if ready < delay - 1e-9:
            cycle, ready = cycle - 1, budget
        latest[op] = (cycle, ready)
        for operand in op.operands:
            # Standing before this operation starts, or at the end of any cycle before.
            start = (cycle, ready - delay)
            if operand not in latest or start < latest[operand]:
                latest[operand] = start
    moved: dict[Op, Op] = {}
    for op in ops:
        cycle, ready = latest[op]
        operands = tuple(moved.get(operand, operand) for operand in op.operands)
        moved[op] = replace(op, operands=operands, cycle=cycle, ready=ready)
    return moved
