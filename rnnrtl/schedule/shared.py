"""Sums of products by constants as one graph of shifts and adds that all of them share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnrtl.fixedpoint.arithmetic import shift_right
from rnnrtl.schedule import adder_graph
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.trees import Term, join, separate_trees, tree


def shared_graph(
    placer: Placer,
    rows: Sequence[dict[Op, int]],
    extras: Sequence[Term | None],
    names: Sequence[str],
    layer: str,
    depth: int,
) -> list[Op]:
    """Return each row's sum and extra term by adders that the rows share."""
    weights = [abs(w) for row in rows for w in row.values()]
    plain = all(w & (w - 1) == 0 for w in weights)
    if plain or max(weights) >= adder_graph.MAX_WEIGHT:  # nothing to share, or too much
        return separate_trees(placer, rows, extras, names, layer)
    operands = list(dict.fromkeys(op for row in rows for op in row))
    sums: list[list[Term]] = [[] for _ in rows]
    for outputs, inputs in adder_graph.tiles(len(rows), len(operands)):
        final = inputs.stop >= len(operands)
        tile = [
            [row.get(op, 0) for op in operands[inputs]]
            for row in rows[outputs.start : outputs.stop]
        ]
        # The extra terms join in the last tile: an input each, for their own output only.
        joining = [
            (n, extra)
            for n, extra in enumerate(extras[outputs.start : outputs.stop])
            if final and extra is not None
        ]
        for n, terms in enumerate(tile):
            terms += [(1 << extra.shift) * (n == m) for m, extra in joining]
        ins = [*operands[inputs], *(extra.op for _, extra in joining)]
        title = names[outputs.start].rsplit("_", 1)[0]
        for n, term in enumerate(run_graphs(placer, tile, ins, f"{title}_shared", layer, depth)):
            sums[outputs.start + n].append(term)
    return [tree(placer, terms, name, layer) for terms, name in zip(sums, names, strict=True)]


def run_graphs(
    placer: Placer, matrix: list[list[int]], inputs: list[Op], name: str, layer: str, depth: int
) -> list[Term]:
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
    values = [Term(op, 0, negative=False) for op in inputs]
    for graph in graphs:
        ends = {result.index for result in graph.results} if graph is graphs[-1] else set()
        readers = graph.readers
        values = [
            Term(v.op, v.shift + shift, v.negative, readers[n])
            for n, (v, shift) in enumerate(zip(values, graph.shifts, strict=True))
        ]
        for step in graph.steps:
            left, right = values[step.left], values[step.right]
            right = replace(
                right, shift=right.shift + step.shift, negative=right.negative ^ step.subtract
            )
            total = _add(placer, left, right, name, layer, ends=len(values) in ends)
            values.append(replace(total, readers=readers[len(values)]))
        zero = Term(placer.constant(name, layer, 0), 0, negative=False)
        values = [
            zero
            if result.index < 0
            else Term(
                values[result.index].op,
                values[result.index].shift + result.shift,
                values[result.index].negative ^ result.negative,
            )
            for result in graph.results
        ]
    return [_whole(placer, value, name, layer) for value in values]


def _add(placer: Placer, a: Term, b: Term, name: str, layer: str, *, ends: bool) -> Term:
    """Return a + b, or -(a + b) to be subtracted where that takes a shorter adder.

    The end of -b is carried through an adder if a is shifted beyond it, that of b is not.
    """
    shift = min(a.shift, b.shift)
    positive = [term.shift for term in (a, b) if not term.negative]
    negative = not positive or (len(positive) == 1 and positive[0] > shift and not ends)
    a, b = (replace(t, shift=t.shift - shift, negative=t.negative ^ negative) for t in (a, b))
    return Term(join(placer, a, b, name, layer), shift, negative)


def _whole(placer: Placer, value: Term, name: str, layer: str) -> Term:
    """Return a term without bits right of the binary point: those that there are, are zero."""
    if value.shift >= 0:
        return value
    bits = -value.shift
    bounds = (value.op.lowest >> bits, value.op.highest >> bits)
    op = placer.add(
        f"{name}_whole", layer, bounds, (value.op,), lambda v: shift_right(v, bits), 0.0,
        kind="wire",
    )  # fmt: skip
    return Term(op, 0, value.negative)
