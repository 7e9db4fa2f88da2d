"""Adders and adder trees: sums of shifted values, joined earliest first."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.arithmetic import shift_left
from rnnrtl.schedule.operations import Op, range_width
from rnnrtl.schedule.place import Placer

Ranges = NDArray[np.object_]
"""(2, phases): the least and the largest of some integers, of any size."""

MULTIPLIER = 2
"""What a multiplier is worth, in adders: who asks for multipliers wants to spare LUTs."""

IN_SERIES = 2
"""Adders in series that replace a multiplier: each takes some 19 LUTs, on devices that have more
than a hundred for every multiplier, and less time. With three few more are spared.
"""


@dataclass(frozen=True, eq=False)
class Term:
    """+-(op << shift) in a sum, where so many read the operation.

    In a sum of several phases `ranges` (2, phases) are the least and the largest code of the
    operation in each, where that is known: a sum is as wide as its widest phase, not as the
    widest of each of its terms.
    """

    op: Op
    shift: int
    negative: bool
    readers: int = 1
    ranges: Ranges | None = None

    @classmethod
    def constant(cls, placer: Placer, name: str, layer: str, value: int) -> "Term":
        """Return a constant other than 0, without the bits at its end that are 0."""
        shift = _exponent(value)
        return cls(placer.constant(name, layer, value >> shift), shift, negative=False)

    @property
    def bounds(self) -> tuple[int, int]:
        low, high = self.op.lowest << self.shift, self.op.highest << self.shift
        return (-high, -low) if self.negative else (low, high)

    def added_ranges(self, phases: int) -> Ranges:
        """Return the least and the largest value that the term adds, in each phase."""
        if self.ranges is None:
            return np.repeat(np.array(self.bounds, dtype=object)[:, None], phases, axis=1)
        shifted: Ranges = self.ranges * (1 << self.shift)
        return -shifted[::-1] if self.negative else shifted


def separate_trees(
    placer: Placer,
    rows: Sequence[Mapping[Op, int]],
    extras: Sequence[Term | None],
    names: Sequence[str],
    layer: str,
) -> list[Op]:
    """Return each row's sum and extra term by multipliers and an adder tree."""
    products = _Products(placer, rows, layer)
    return [
        tree(placer, products.terms(row, name) + ([extra] if extra else []), name, layer)
        for row, extra, name in zip(rows, extras, names, strict=True)
    ]


def cost(rows: Sequence[Mapping[Op, int]]) -> int:
    """Return what `separate_trees` takes for some rows, in adders."""
    multiples: dict[Op, set[int]] = defaultdict(set)
    for row in rows:
        for op, weight in row.items():
            multiples[op].add(_odd(weight))
    adders = sum(len(row) for row in rows)
    multipliers = 0
    for factors in multiples.values():
        sums = _sums(factors)
        adders += len(sums)
        multipliers += len(factors - {1}) - len(sums)
    return adders + MULTIPLIER * multipliers


class _Products:
    """Multiples of operations, each made once for all rows that take it.

    A power of two is a shift, what is one adder away from other multiples takes this adder, and
    all else a multiplier.
    """

    def __init__(self, placer: Placer, rows: Sequence[Mapping[Op, int]], layer: str) -> None:
        self._placer = placer
        self._layer = layer
        self._made: dict[tuple[Op, int], Op] = {}
        self._signs: dict[tuple[Op, int], list[bool]] = defaultdict(list)
        for row in rows:
            for op, weight in row.items():
                self._signs[op, _odd(weight)].append(weight < 0)
        self._readers = Counter(op for row in rows for op in row)
        factors = defaultdict(set)
        for op, odd in self._signs:
            factors[op].add(odd)
        # As many adders in series as take no longer than the multiplier.
        self._sums = {op: _sums(odds) for op, odds in factors.items()}

    def terms(self, weights: Mapping[Op, int], name: str) -> list[Term]:
        """Return one term for each weight."""
        terms = []
        for op, weight in weights.items():
            odd = _odd(weight)
            signs = self._signs[op, odd]
            # A multiplier takes a sign that all agree on: subtracting is for adders in logic.
            negated = odd > 1 and all(signs) and odd not in self._sums[op]
            made = self._multiple(op, -odd if negated else odd, name)
            shift = (abs(weight) // odd).bit_length() - 1
            readers = self._readers[op] if odd == 1 else len(signs)
            terms.append(Term(made, shift, weight < 0 and not negated, readers))
        return terms

    def _multiple(self, op: Op, factor: int, name: str) -> Op:
        if factor == 1:
            return op
        if (op, factor) not in self._made:
            placer, title = self._placer, f"{name}_from_{op.name}"
            ends = (op.lowest * factor, op.highest * factor)
            bounds = (min(ends), max(ends))
            if factor in self._sums[op]:
                parts = self._sums[op][factor]
                a, b = (
                    Term(
                        self._multiple(op, _odd(part), name),
                        _exponent(part),
                        part < 0,
                        self._readers[op] if _odd(part) == 1 else 1,
                    )
                    for part in parts
                )
                made = join(placer, a, b, title, self._layer, bounds)
            else:
                made = placer.add(
                    title,
                    self._layer,
                    bounds,
                    (op, placer.constant(title, self._layer, factor)),
                    lambda v, weight: v * weight,
                    placer.delays.product(op.width, factor.bit_length() + 1)
                    + placer.delays.net(self._readers[op]),
                    kind="product",
                )
            self._made[op, factor] = made
        return self._made[op, factor]


def _odd(weight: int) -> int:
    """Return the odd part of a weight's magnitude."""
    return abs(weight) >> _exponent(weight)


def _exponent(weight: int) -> int:
    """Return how often 2 divides a weight."""
    return (weight & -weight).bit_length() - 1


def _sums(factors: set[int]) -> dict[int, tuple[int, int]]:
    """Return those of some odd factors that are sums of two multiples of others, and which two.

    At most `IN_SERIES` such sums build on each other, beginning with powers of two.
    """
    found: dict[int, tuple[int, int]] = {}
    there = {1}
    for _ in range(IN_SERIES):
        reached: dict[int, tuple[int, int]] = {}
        for factor in sorted(factors - there):
            for part in sorted(there):
                rest = next(
                    (r for r in (factor - part, factor + part) if r and _odd(r) in there), None
                )
                if rest is not None:
                    reached[factor] = (factor - rest, rest)
                    break
        found |= reached
        there |= set(reached)
    return found


def tree(placer: Placer, terms: Iterable[Term], name: str, layer: str) -> Op:
    """Place two-input adders until one term is left, joining the two earliest each time."""
    return summed(placer, terms, name, layer).op


def summed(placer: Placer, terms: Iterable[Term], name: str, layer: str) -> Term:
    """Return the operation that `tree` does, with its range in each phase where that is known."""
    queue: list[tuple[tuple[int, float], int, Term]] = []
    count = 0

    def push(term: Term) -> None:
        nonlocal count
        heapq.heappush(queue, ((term.op.cycle, term.op.ready), count, term))
        count += 1

    for term in terms:
        push(term)
    if not queue:
        push(Term(placer.constant(name, layer, 0), 0, negative=False))
    while len(queue) > 1:
        a, b = heapq.heappop(queue)[2], heapq.heappop(queue)[2]
        title = f"{name}_part" if queue else name
        # What both have in common is left for later: a DSP block's adder takes no shifted product.
        shift, negative = min(a.shift, b.shift), a.negative and b.negative
        a = replace(a, shift=a.shift - shift, negative=a.negative and not negative)
        b = replace(b, shift=b.shift - shift, negative=b.negative and not negative)
        ranges = bounds = None
        if a.ranges is not None or b.ranges is not None:
            phases = max(t.ranges.shape[1] for t in (a, b) if t.ranges is not None)
            ranges = a.added_ranges(phases) + b.added_ranges(phases)
            bounds = (int(ranges[0].min()), int(ranges[1].max()))
        push(Term(join(placer, a, b, title, layer, bounds), shift, negative, ranges=ranges))
    last = queue[0][2]
    if last.negative:
        zero = Term(placer.constant(name, layer, 0), 0, negative=False)
        op = join(placer, zero, last, name, layer)
    elif last.shift:
        op = placer.add(
            name, layer, last.bounds, (last.op,), lambda v: shift_left(v, last.shift), 0.0,
            kind="wire",
        )  # fmt: skip
    else:
        op = last.op
    ranges = None if last.ranges is None else last.added_ranges(last.ranges.shape[1])
    return Term(op, 0, negative=False, ranges=ranges)


def _in_dsp(placer: Placer, a: Term, b: Term, delay: float) -> tuple[int, float] | None:
    """Return when a sum stands if the adder behind a multiplier makes it, where that is sooner."""
    alu, block = placer.delays.alu, placer.delays.multiplier
    if alu is None or a.negative:
        return None
    found = None
    for product, other in ((a, b), (b, a)):
        if product.op.kind != "product" or product.op.delay > block or product.shift:
            continue
        if product.readers > 1:
            continue
        since = other.op.ready if other.op.cycle == product.op.cycle else 0.0
        ready = max(product.op.ready, since + alu)
        if other.op.cycle > product.op.cycle or ready > placer.budget + 1e-9:
            continue
        cycle, start = max((a.op.cycle, a.op.ready), (b.op.cycle, b.op.ready))
        if start + delay > placer.budget + 1e-9:
            cycle, start = cycle + 1, 0.0
        if (product.op.cycle, ready) < (cycle, start + delay):
            found = min(found or (cycle, ready), (product.op.cycle, ready))
    return found


def join(
    placer: Placer,
    a: Term,
    b: Term,
    name: str,
    layer: str,
    bounds: tuple[int, int] | None = None,
) -> Op:
    """Place one adder or subtractor; `bounds` where the sum's range is less than its terms'."""
    if a.negative and not b.negative:
        a, b = b, a
    low, high = bounds or (x + y for x, y in zip(a.bounds, b.bounds, strict=True))

    def compute(x: Any, y: Any) -> Any:
        x, y = shift_left(x, a.shift), shift_left(y, b.shift)
        if a.negative:
            return -x - y
        return x - y if b.negative else x + y

    # Bits below the larger shift of the two pass by the carry chain.
    width = range_width(low, high) - max(a.shift, b.shift)
    delay = placer.delays.adder(max(width, 1)) * (2 if a.negative else 1)
    delay += placer.delays.net(max(a.readers, b.readers))
    at = _in_dsp(placer, a, b, delay)
    return placer.add(
        name,
        layer,
        (low, high),
        (a.op, b.op),
        compute,
        delay,
        kind="adder" if at is None else "DSP adder",
        at=at,
    )
