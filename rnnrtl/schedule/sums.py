"""Sums of products by constants: as multipliers and adder trees, or as shared shifts and adds."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnrtl.fixedpoint.arithmetic import shift_left, shift_right
from rnnrtl.schedule import adder_graph
from rnnrtl.schedule.operations import Op, range_width
from rnnrtl.schedule.place import Placer


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
    """+-(op << shift) in a sum, where so many read op."""

    op: Op
    shift: int
    negative: bool
    readers: int = 1

    @property
    def bounds(self) -> tuple[int, int]:
        low, high = self.op.lowest << self.shift, self.op.highest << self.shift
        return (-high, -low) if self.negative else (low, high)


def place_sums(
    placer: Placer,
    totals: Sequence[Linear],
    names: Sequence[str],
    layer: str,
    bounds: Sequence[tuple[int, int]],
    *,
    strategy: str,
) -> list[Op]:
    """Place sums of products.

    What does not depend on the layer's own state is summed apart, ahead of the loop, and joins
    where it is needed. With strategy "dsp" every product has a multiplier, and an adder tree
    joins what is early first; with "shift_add" all sums share one graph of shifts and adds.
    """
    solve = _shared_graph if strategy == "shift_add" else _separate_trees
    inside = [{op: w for op, w in t.terms.items() if layer in op.loops} for t in totals]
    outside = [{op: w for op, w in t.terms.items() if layer not in op.loops} for t in totals]
    depth = 0 if any(inside) else 1
    ahead: list[_Term | None] = [None] * len(totals)
    late = [n for n, rest in enumerate(outside) if rest]
    placed = solve(
        placer,
        [outside[n] for n in late],
        [_constant(placer, totals[n], names[n], layer) for n in late],
        [f"{names[n]}_ahead" if inside[n] else names[n] for n in late],
        layer,
        depth,
    )
    for n, op in zip(late, placed, strict=True):
        ahead[n] = _Term(op, 0, negative=False)
    for n, total in enumerate(totals):
        if not outside[n]:
            ahead[n] = _constant(placer, total, names[n], layer)
    early = [n for n, rest in enumerate(inside) if rest]
    results: dict[int, Op] = dict(
        zip(
            early,
            solve(
                placer,
                [inside[n] for n in early],
                [ahead[n] for n in early],
                [names[n] for n in early],
                layer,
                depth,
            ),
            strict=True,
        )
    )
    for n, term in enumerate(ahead):
        if n not in results:
            results[n] = term.op if term is not None else placer.constant(names[n], layer, 0)
    return [
        _narrowed(placer, results[n], name, layer, bound)
        for n, (name, bound) in enumerate(zip(names, bounds, strict=True))
    ]


def _constant(placer: Placer, total: Linear, name: str, layer: str) -> _Term | None:
    if not total.constant:
        return None
    return _Term(placer.constant(name, layer, total.constant), 0, negative=False)


def _narrowed(placer: Placer, op: Op, name: str, layer: str, bounds: tuple[int, int]) -> Op:
    """Return an operation whose range is also within `bounds`, which the caller has proved."""
    low, high = max(bounds[0], op.lowest), min(bounds[1], op.highest)
    if (low, high) == (op.lowest, op.highest):
        return op
    return placer.add(f"{name}_proved", layer, (low, high), (op,), lambda v: v, 0.0, kind="wire")


def _separate_trees(
    placer: Placer,
    rows: Sequence[dict[Op, int]],
    extras: Sequence[_Term | None],
    names: Sequence[str],
    layer: str,
    depth: int,
) -> list[Op]:
    """Return each row's sum and extra term by multipliers and an adder tree."""
    readers = Counter(op for row in rows for op in row)
    return [
        _tree(
            placer,
            _terms(placer, row, name, layer, readers) + ([extra] if extra else []),
            name,
            layer,
        )
        for row, extra, name in zip(rows, extras, names, strict=True)
    ]


def _shared_graph(
    placer: Placer,
    rows: Sequence[dict[Op, int]],
    extras: Sequence[_Term | None],
    names: Sequence[str],
    layer: str,
    depth: int,
) -> list[Op]:
    """Return each row's sum and extra term by adders that the rows share."""
    weights = [abs(w) for row in rows for w in row.values()]
    plain = all(w & (w - 1) == 0 for w in weights)
    if plain or max(weights) >= adder_graph.MAX_WEIGHT:  # nothing to share, or too much
        return _separate_trees(placer, rows, extras, names, layer, depth)
    operands = list(dict.fromkeys(op for row in rows for op in row))
    sums: list[list[_Term]] = [[] for _ in rows]
    for outputs, inputs in adder_graph.tiles(len(rows), len(operands)):
        final = inputs.stop >= len(operands)
        tile = [
            [row.get(op, 0) for op in operands[inputs]]
            for row in rows[outputs.start : outputs.stop]
        ]
        # The extra terms join in the last tile: an input each, for their own output only.
        joining = [
            (n, extra.op)
            for n, extra in enumerate(extras[outputs.start : outputs.stop])
            if final and extra is not None
        ]
        for n, terms in enumerate(tile):
            terms += [int(n == m) for m, _ in joining]
        ins = [*operands[inputs], *(op for _, op in joining)]
        title = names[outputs.start].rsplit("_", 1)[0]
        for n, term in enumerate(_run_graphs(placer, tile, ins, f"{title}_shared", layer, depth)):
            sums[outputs.start + n].append(term)
    return [_tree(placer, terms, name, layer) for terms, name in zip(sums, names, strict=True)]


def _run_graphs(
    placer: Placer, matrix: list[list[int]], inputs: list[Op], name: str, layer: str, depth: int
) -> list[_Term]:
    """Place the adders of a matrix's graphs; return a term for each output."""
    unit = placer.delays.adder(16)
    times = [op.cycle * placer.budget + op.ready for op in inputs]
    graphs = adder_graph.solve(
        np.array(matrix, dtype=np.int64).reshape(len(matrix), len(inputs)),
        tuple((op.lowest, op.highest) for op in inputs),
        tuple(min(round((t - min(times)) / unit), 16) for t in times),
        depth,
    )
    # Values with their binary point: (operation, exponent, negative).
    values = [_Term(op, 0, negative=False) for op in inputs]
    for graph in graphs:
        readers = graph.readers
        values = [
            _Term(v.op, v.shift + shift, v.negative, readers[n])
            for n, (v, shift) in enumerate(zip(values, graph.shifts, strict=True))
        ]
        for step in graph.steps:
            left, right = values[step.left], values[step.right]
            right = replace(
                right, shift=right.shift + step.shift, negative=right.negative ^ step.subtract
            )
            common = min(left.shift, right.shift)
            op = _join(
                placer,
                replace(left, shift=left.shift - common),
                replace(right, shift=right.shift - common),
                name,
                layer,
            )
            values.append(_Term(op, common, negative=False, readers=readers[len(values)]))
        zero = _Term(placer.constant(name, layer, 0), 0, negative=False)
        values = [
            zero
            if result.index < 0
            else _Term(
                values[result.index].op,
                values[result.index].shift + result.shift,
                values[result.index].negative ^ result.negative,
            )
            for result in graph.results
        ]
    return [_whole(placer, value, name, layer) for value in values]


def _whole(placer: Placer, value: _Term, name: str, layer: str) -> _Term:
    """Return a term without bits right of the binary point: those that there are, are zero."""
    if value.shift >= 0:
        return value
    bits = -value.shift
    bounds = (value.op.lowest >> bits, value.op.highest >> bits)
    op = placer.add(
        f"{name}_whole", layer, bounds, (value.op,), lambda v: shift_right(v, bits), 0.0,
        kind="wire",
    )  # fmt: skip
    return _Term(op, 0, value.negative)


def _terms(
    placer: Placer, weights: dict[Op, int], name: str, layer: str, readers: Mapping[Op, int]
) -> list[_Term]:
    """Return one term for each weight; a power of two is a shift, all else a product."""
    terms = []
    for op, weight in weights.items():
        odd = abs(weight)
        shift = (odd & -odd).bit_length() - 1
        odd >>= shift
        negative, shared = weight < 0, readers[op]
        if odd != 1:
            factor = -odd if negative else odd
            corners = (op.lowest * factor, op.highest * factor)
            op = placer.add(
                f"{name}_from_{op.name}",
                layer,
                (min(corners), max(corners)),
                (op,),
                _times(factor),
                placer.delays.product(op.width, factor.bit_length() + 1)
                + placer.delays.net(shared),
                kind="product",
            )
            negative, shared = False, 1
        terms.append(_Term(op, shift, negative, shared))
    return terms


def _times(factor: int) -> Callable[[Any], Any]:
    return lambda v: v * factor


def _tree(placer: Placer, terms: Iterable[_Term], name: str, layer: str) -> Op:
    """Place two-input adders until one term is left, joining the two earliest each time."""
    queue: list[tuple[tuple[int, float], int, _Term]] = []
    count = 0

    def push(term: _Term) -> None:
        nonlocal count
        heapq.heappush(queue, ((term.op.cycle, term.op.ready), count, term))
        count += 1

    for term in terms:
        push(term)
    if not queue:
        push(_Term(placer.constant(name, layer, 0), 0, negative=False))
    while len(queue) > 1:
        a, b = heapq.heappop(queue)[2], heapq.heappop(queue)[2]
        title = f"{name}_part" if queue else name
        push(_Term(_join(placer, a, b, title, layer), 0, negative=False))
    last = queue[0][2]
    if not last.shift and not last.negative:
        return last.op
    zero = _Term(placer.constant(name, layer, 0), 0, negative=False)
    return _join(placer, zero, last, name, layer)


def _in_dsp(placer: Placer, a: _Term, b: _Term, delay: float) -> tuple[int, float] | None:
    """Return when a sum stands if the adder behind a multiplier makes it, where that is sooner."""
    alu, block = placer.delays.alu, placer.delays.multiplier
    if alu is None or a.negative:
        return None
    found = None
    for product, other in ((a, b), (b, a)):
        if product.op.kind != "product" or product.op.delay > block or product.shift:
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
