"""Two products of narrow numbers in one multiplier, where they share an operand.

(a * 2**s + b) * x holds b * x in its low s bits and a * x in the others, which are one too few
where b * x is negative: Y. Fu et al., "Deep Learning with INT8 Optimization on Xilinx Devices",
AMD white paper WP486.
"""

from collections.abc import Sequence
from functools import partial
from operator import gt
from typing import Any

from rnnrtl.fixedpoint import arithmetic
from rnnrtl.schedule.folding import Column, is_shift, product_in_turn, turn_terms
from rnnrtl.schedule.linear import Linear
from rnnrtl.schedule.operations import range_width
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.trees import Term

Rows = Sequence[Linear | None]


def packed(a: Any, b: Any, shift: int) -> Any:
    """Return the number by which x is multiplied, where b * x has at most `shift` bits."""
    return (a << shift) + b


def lower_product(p: Any, shift: int) -> Any:
    """Return b * x from packed(a, b, shift) * x."""
    return arithmetic.wrap(p, shift)


def upper_product(p: Any, shift: int) -> Any:
    """Return a * x from packed(a, b, shift) * x."""
    return arithmetic.shift_right(arithmetic.shift_right(p, shift - 1) + 1, 1)


def packed_terms(
    placer: Placer,
    columns: Sequence[Column],
    rows: tuple[Rows, Rows],
    names: tuple[str, str],
    layer: str,
    readers: int,
) -> tuple[list[Term], list[Term]]:
    """Return what `turn_terms` does for two rows, with half the multipliers where they fit."""
    found: tuple[list[Term], list[Term]] = ([], [])
    for column in columns:
        both = _packed(placer, column, rows, names, layer, readers)
        if both is None:
            for terms, row, name in zip(found, rows, names, strict=True):
                terms += turn_terms(placer, [column], row, name, layer, readers)
        else:
            for terms, term in zip(found, both, strict=True):
                terms.append(term)
    return found


def _packed(
    placer: Placer,
    column: Column,
    rows: tuple[Rows, Rows],
    names: tuple[str, str],
    layer: str,
    readers: int,
) -> tuple[Term, Term] | None:
    """Return both rows' terms of a column from one multiplier, or None where that does not do."""
    op, delays = column.op, placer.delays
    high, low = (column.weights(row) for row in rows)
    if is_shift(high) or is_shift(low):  # no multiplier would be saved
        return None
    corners = [[x * w for x in (op.lowest, op.highest) for w in weights] for weights in (high, low)]
    bounds = [(min(products), max(products)) for products in corners]
    shift = range_width(min(bounds[1][0], -1), bounds[1][1])
    together = [packed(a, b, shift) for a, b in zip(high, low, strict=True)]
    # An unsigned operand needs a sign bit in a DSP block.
    widths = sorted((range_width(min(together), max(together)), op.width + (op.lowest >= 0)))
    if any(map(gt, widths, sorted(delays.multiplier_bits))):
        return None
    product = product_in_turn(placer, op, together, f"{names[0]}_both", layer, readers // 2)
    # The lower half is bits of the product; the upper one makes up for the sign of the lower one.
    halves = (
        (partial(upper_product, shift=shift), delays.adder(range_width(*bounds[0])), "adder", high),
        (partial(lower_product, shift=shift), 0.0, "wire", low),
    )
    found = []
    for (half, delay, kind, weights), name, ends in zip(halves, names, bounds, strict=True):
        title = f"{name}_from_{op.name}"
        part = placer.add(title, layer, ends, (product,), half, delay, kind=kind)
        found.append(Term(part, 0, negative=False, ranges=column.ranges(weights)))
    return found[0], found[1]
