"""Sums of products by constants: as multipliers and adder trees, or as shared shifts and adds."""

from collections.abc import Sequence

from rnnrtl.schedule import adder_graph
from rnnrtl.schedule.folding import (
    SPARE,
    fold_cost,
    fold_digits,
    fold_rows,
)
from rnnrtl.schedule.linear import Linear
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.shared import shared_graph
from rnnrtl.schedule.trees import Term, cost, separate_trees

FOLD_FROM = 100
"""Products from which on sums are worth the cycles that sharing their hardware takes."""

FOLDED_AHEAD = 2
"""Cycles that what joins a loop takes at most: each delays a sequence's first step by one, the
second halves the hardware, and the following ones save less and less.
"""


def place_sums(
    placer: Placer,
    totals: Sequence[Linear],
    names: Sequence[str],
    layer: str,
    bounds: Sequence[tuple[int, int]],
    *,
    strategy: str,
    phases: int = 1,
    spare: int = 0,
    recurrent: bool = True,
) -> list[Op]:
    """Place sums of products.

    What does not depend on the layer's own state is summed apart, ahead of the loop, and joins
    where it is needed. With strategy "dsp" every product has a multiplier, and an adder tree
    joins what is early first; with "shift_add" all sums share one graph of shifts and adds.
    What waits for no state may take as many cycles as `phases`, and so may what no state waits for:
    sums that are not `recurrent`, though they are of states. `spare` is how many adders in
    series the state's own sums may take beyond the fewest, with which they share more.
    """
    own = {op for total in totals for op in total.terms if recurrent and layer in op.loops}
    inside = [{op: w for op, w in t.terms.items() if op in own} for t in totals]
    outside = [{op: w for op, w in t.terms.items() if op not in own} for t in totals]
    joins = any(inside)
    late = [n for n, rest in enumerate(outside) if rest]
    placed = _ahead(
        placer,
        [outside[n] for n in late],
        [totals[n].constant for n in late],
        [f"{names[n]}_ahead" if inside[n] else names[n] for n in late],
        layer,
        strategy,
        min(phases, FOLDED_AHEAD) if joins else phases,
    )
    ahead = [
        _constant(placer, total, name, layer) for total, name in zip(totals, names, strict=True)
    ]
    for n, op in zip(late, placed, strict=True):
        ahead[n] = Term(op, 0, negative=False)
    early = [n for n, rest in enumerate(inside) if rest]
    sums = _solved(
        placer,
        [inside[n] for n in early],
        [ahead[n] for n in early],
        [names[n] for n in early],
        layer,
        strategy,
        spare,
    )
    results = dict(zip(early, sums, strict=True))
    results = dict(zip(late, placed, strict=True)) | results
    for n, total in enumerate(totals):
        results.setdefault(n, placer.constant(names[n], layer, total.constant))
    return [
        narrowed(placer, results[n], name, layer, bound)
        for n, (name, bound) in enumerate(zip(names, bounds, strict=True))
    ]


def _ahead(
    placer: Placer,
    rows: Sequence[dict[Op, int]],
    constants: Sequence[int],
    names: Sequence[str],
    layer: str,
    strategy: str,
    phases: int,
) -> list[Op]:
    """Return sums with constants that wait for no state, in as many cycles as `phases` at most."""
    weights = [abs(weight) for row in rows for weight in row.values()]
    if phases > 1 and len(weights) >= FOLD_FROM:
        if strategy == "shift_add" and max(weights) < adder_graph.MAX_WEIGHT:
            return fold_digits(placer, rows, constants, names, layer, phases)
        turns = min(phases, len(rows))
        if fold_cost(rows, turns) < cost(rows):
            return fold_rows(placer, rows, constants, names, layer, turns)
    extras = [
        Term.constant(placer, name, layer, constant) if constant else None
        for name, constant in zip(names, constants, strict=True)
    ]
    # A row by itself shares too little for the time that takes.
    spare = SPARE if len(rows) > 1 else 0
    return _solved(placer, rows, extras, names, layer, strategy, spare)


def _solved(
    placer: Placer,
    rows: Sequence[dict[Op, int]],
    extras: Sequence[Term | None],
    names: Sequence[str],
    layer: str,
    strategy: str,
    spare: int,
) -> list[Op]:
    """Return sums with extra terms, all at once."""
    if strategy == "shift_add":
        return shared_graph(placer, rows, extras, names, layer, spare)
    return separate_trees(placer, rows, extras, names, layer)


def _constant(placer: Placer, total: Linear, name: str, layer: str) -> Term | None:
    if not total.constant:
        return None
    return Term.constant(placer, name, layer, total.constant)


def narrowed(placer: Placer, op: Op, name: str, layer: str, bounds: tuple[int, int]) -> Op:
    """Return an operation whose range is also within `bounds`, which the caller has proved."""
    low, high = max(bounds[0], op.lowest), min(bounds[1], op.highest)
    if (low, high) == (op.lowest, op.highest):
        return op
    return placer.add(f"{name}_proved", layer, (low, high), (op,), lambda v: v, 0.0, kind="wire")
