"""Sums of products by constants in several cycles: what a beat needs once every few cycles.

Two ways, each exact: with multipliers, rows of the matrix take turns on the same multipliers and
adder tree, and only their weights change; with shifts and adds, digits of the vector take turns
on the same adder graph, which is as narrow as a digit, and its sums are accumulated (distributed
arithmetic: S. A. White, IEEE ASSP Magazine 6(3), 1989).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from rnnrtl.fixedpoint.arithmetic import beside, low_bits, shift_right
from rnnrtl.schedule.linear import Linear
from rnnrtl.schedule.operations import Op, range_width
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.shared import shared_graph
from rnnrtl.schedule.trees import MULTIPLIER, Ranges, Term, tree

SPARE = 2
"""Adders in series beyond the fewest possible: with more no more of them are shared."""

Rows = Sequence[Mapping[Op, int]]


def fold_cost(rows: Rows, phases: int) -> int:
    """Return what `fold_rows` takes, in adders: a multiplier and an adder for every product."""
    columns = len({op for row in rows for op in row})
    return -(-len(rows) // phases) * columns * (1 + MULTIPLIER)


def fold_rows(
    placer: Placer,
    rows: Rows,
    constants: Sequence[int],
    names: Sequence[str],
    layer: str,
    phases: int,
) -> list[Op]:
    """Return each row's sum and constant, by multipliers that the rows take in turn."""
    units = -(-len(rows) // phases)
    sums: dict[int, Op] = {}
    for unit in range(units):
        members = range(unit, len(rows), units)
        title = f"{names[unit]}_in_turn"
        own = [Linear(dict(rows[row])) for row in members]
        operands = dict.fromkeys(op for row in own for op in row.terms)
        columns = [Column(op, [op] * len(own)) for op in operands]
        terms = turn_terms(placer, columns, own, title, layer, units)
        terms += turn_constants(placer, [constants[row] for row in members], title, layer)
        total = tree(placer, terms, title, layer)
        for phase, row in enumerate(members):
            bounds = _bounds(rows[row], constants[row])
            sums[row] = placer.phase(names[row], layer, bounds, total, phase)
    return [sums[row] for row in range(len(rows))]


@dataclass(frozen=True, eq=False)
class Column:
    """An operand of multipliers whose weight is another one in each phase.

    Members
    -------
    op : what is multiplied
    reads : what that is in each phase; None where it does not matter, as in phases after these
    """

    op: Op
    reads: Sequence[Op | None]

    def weights(self, rows: Sequence[Linear | None]) -> list[int]:
        """Return the weight that the row of each phase has for the column."""
        reads = [*self.reads, *[None] * (len(rows) - len(self.reads))]
        return [
            0 if row is None or read is None else row.terms.get(read, 0)
            for row, read in zip(rows, reads, strict=False)
        ]

    def ranges(self, weights: Sequence[int]) -> Ranges:
        """Return the least and the largest product of each phase."""
        found = []
        for phase, weight in enumerate(weights):
            read = self.reads[phase] if weight else None
            ends = (read.lowest * weight, read.highest * weight) if read else (0, 0)
            found.append((min(ends), max(ends)))
        return np.array(found, dtype=object).T


def is_shift(weights: Sequence[int]) -> bool:
    """Whether a weight is one power of two, or its negative, in all phases; or 0."""
    value = abs(weights[0])
    return len(set(weights)) == 1 and value & (value - 1) == 0


def product_in_turn(
    placer: Placer, op: Op, weights: Sequence[int], name: str, layer: str, readers: int
) -> Op:
    """Return the product of an operation and a weight that is another one in each phase.

    So many multipliers read the operation.
    """
    weight = placer.constants(f"{name}_weight_for_{op.name}", layer, weights)
    corners = [x * w for x in (op.lowest, op.highest) for w in weights]
    return placer.add(
        f"{name}_from_{op.name}",
        layer,
        (min(corners), max(corners)),
        (op, weight),
        lambda x, w: x * w,
        placer.delays.product(op.width, weight.width) + placer.delays.net(readers),
        kind="product",
    )


def turn_terms(
    placer: Placer,
    columns: Sequence[Column],
    rows: Sequence[Linear | None],
    name: str,
    layer: str,
    readers: int,
) -> list[Term]:
    """Return the terms of a sum that is another row in each phase.

    As many units as `readers` read the same columns.
    """
    terms = []
    for column in columns:
        weights = column.weights(rows)
        if not any(weights):
            continue
        if is_shift(weights):
            terms.append(Term(column.op, abs(weights[0]).bit_length() - 1, weights[0] < 0))
            continue
        product = product_in_turn(placer, column.op, weights, name, layer, readers)
        terms.append(Term(product, 0, negative=False, ranges=column.ranges(weights)))
    return terms


def turn_constants(placer: Placer, values: Sequence[int], name: str, layer: str) -> list[Term]:
    """Return the constant of a sum that is another one in each phase, or nothing for zeros."""
    if not any(values):
        return []
    op = placer.constants(f"{name}_bias", layer, values)
    return [Term(op, 0, negative=False, ranges=np.array([values, values], dtype=object))]


def fold_digits(
    placer: Placer,
    rows: Rows,
    constants: Sequence[int],
    names: Sequence[str],
    layer: str,
    phases: int,
) -> list[Op]:
    """Return each row's sum and constant, by an adder graph that takes a digit at a time.

    Raises TooFastError where the sums would not begin in time.
    """
    # In front of each bit of each accumulator a selection reads whether it begins.
    bounds = [_bounds(row, constant) for row, constant in zip(rows, constants, strict=True)]
    widths = [range_width(*ends) for ends in bounds]
    delays = placer.delays
    begins = delays.net(sum(widths)) + delays.logic + delays.adder(max(widths))
    placer.check(f"{names[0]}_total", layer, begins, kind="accumulator")
    operands = list(dict.fromkeys(op for row in rows for op in row))
    width = max(op.width for op in operands)
    bits = -(-width // phases)
    count = -(-width // bits)
    # A sign bit that is turned over makes of a signed number an unsigned one, larger by so much.
    offsets = {op: 1 << (op.width - 1) if op.lowest < 0 else 0 for op in operands}
    base = max(op.cycle for op in operands)
    digits = {op: _digits(placer, op, offsets[op], base, bits, count, layer) for op in operands}
    sums = shared_graph(
        placer,
        [{digits[op]: weight for op, weight in row.items()} for row in rows],
        [None] * len(rows),
        [f"{name}_digit" for name in names],
        layer,
        SPARE,
    )
    results = []
    for row, constant, ends, name, digit in zip(rows, constants, bounds, names, sums, strict=True):
        start = constant - sum(weight * offsets[op] for op, weight in row.items())
        results.append(_accumulated(placer, digit, start, name, layer, ends, bits, count))
    return results


def _bounds(row: Mapping[Op, int], constant: int) -> tuple[int, int]:
    """Return the range of a sum."""
    corners = [sorted((op.lowest * w, op.highest * w)) for op, w in row.items()]
    low, high = (sum(ends) for ends in zip(*corners, strict=True))
    return constant + low, constant + high


def _digits(
    placer: Placer, op: Op, offset: int, base: int, bits: int, count: int, layer: str
) -> Op:
    """Return the digits of op + offset in turn, the lowest first."""
    slices = []
    for phase in range(count):
        low = phase * bits
        taken = min(bits, op.width - low)
        name = f"{op.name}_digit_{phase}"
        if taken <= 0:
            slices.append(placer.constant(name, layer, 0))
            continue
        # In the cycle of its use: what waits for its turn is the number, not its digits.
        at = (base + phase, op.ready if phase == 0 and op.cycle == base else 0.0)
        compute = _digit(low, taken, offset >> low)
        bounds = (0, (1 << taken) - 1)
        slices.append(placer.add(name, layer, bounds, (op,), compute, 0.0, kind="wire", at=at))
    return placer.choice(f"{op.name}_digit", layer, slices)


def _digit(low: int, bits: int, turned: int) -> Callable[[Any], Any]:
    return lambda v: low_bits(shift_right(v, low), bits) ^ (turned & ((1 << bits) - 1))


def _accumulated(
    placer: Placer,
    digit: Op,
    start: int,
    name: str,
    layer: str,
    bounds: tuple[int, int],
    bits: int,
    count: int,
) -> Op:
    """Return start + the sum of digit's phases, each worth 2**bits of the one before."""
    low, high = start + digit.lowest, start + digit.highest
    lowest, highest = low, high
    for _ in range(count - 1):
        low, high = (low >> bits) + digit.lowest, (high >> bits) + digit.highest
        lowest, highest = min(low, lowest), max(high, highest)
    total = placer.add(
        f"{name}_total",
        layer,
        (lowest, highest),
        (digit, placer.constant(name, layer, start)),
        lambda addend, carried: addend + carried,
        placer.delays.adder(max(digit.width, 1 + max(start, ~start).bit_length())),
        kind="adder",
        carry=lambda v: shift_right(v, bits),
    )
    mask = (1 << bits) - 1
    lows = [
        placer.phase(f"{name}_low_{phase}", layer, (0, mask), total, phase, lambda v: v & mask)
        for phase in range(count - 1)
    ]
    ended = (bounds[0] >> bits * len(lows), bounds[1] >> bits * len(lows))
    top = placer.phase(f"{name}_top", layer, ended, total, count - 1)
    return placer.add(
        name,
        layer,
        bounds,
        (top, *lows),
        lambda top, *lows: reduce(lambda high, low: beside(high, low, bits), lows[::-1], top),
        0.0,
        kind="wire",
    )
