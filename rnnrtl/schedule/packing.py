"""Two products of narrow numbers in one multiplier, where they share an operand.

(a * 2**s + b) * x holds b * x in its low s bits and a * x in the others, which are one too few
where b * x is negative: Y. Fu et al., "Deep Learning with INT8 Optimization on Xilinx Devices",
AMD white paper WP486.
"""

from collections.abc import Sequence
from typing import Any

from rnnrtl.fixedpoint import arithmetic
from rnnrtl.schedule.folding import Column, turn_terms
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
    high, low = ([column.weight(row, n) for n, row in enumerate(r)] for r in rows)
    if column.is_shift(rows[0]) or column.is_shift(rows[1]):  # no multiplier would be saved
        return None
    ends = [[x * w for x in (op.lowest, op.highest) for w in values] for values in (high, low)]
    bounds = [(min(products), max(products)) for products in ends]
    shift = range_width(min(bounds[1][0], -1), bounds[1][1])
    together = [packed(a, b, shift) for a, b in zip(high, low, strict=True)]
    width = range_width(min(together), max(together))
    # An unsigned operand needs a sign bit in a DSP block.
    signed = op.width + (op.lowest >= 0)
    narrow, wide = sorted(delays.multiplier_bits)
    if max(width, signed) > wide or min(width, signed) > narrow:
        return None
    weight = placer.constants(f"{names[0]}_weights_for_{op.name}", layer, together)
    corners = [x * w for x in (op.lowest, op.highest) for w in together]
    product = placer.add(
        f"{names[0]}_both_from_{op.name}",
        layer,
        (min(corners), max(corners)),
        (op, weight),
        lambda x, w: x * w,
        delays.product(op.width, weight.width) + delays.net(readers // 2),
        kind="product",
    )
    lower = placer.add(
        f"{names[1]}_from_{op.name}",
        layer,
        bounds[1],
        (product,),
        lambda p: lower_product(p, shift),
        0.0,
        kind="wire",
    )
    upper = placer.add(
        f"{names[0]}_from_{op.name}",
        layer,
        bounds[0],
        (product,),
        lambda p: upper_product(p, shift),
        delays.adder(range_width(*bounds[0])),
        kind="adder",
    )
    return (
        Term(upper, 0, negative=False, ranges=column.ranges(rows[0])),
        Term(lower, 0, negative=False, ranges=column.ranges(rows[1])),
    )
