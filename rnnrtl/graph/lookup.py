"""Activation tables as nodes: what goes in, the ROMs, what comes out."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint import arithmetic
from rnnrtl.fixedpoint.exact import IntArray, to_codes
from rnnrtl.fixedpoint.format import Format
from rnnrtl.graph.nodes import Clamp, Limited, LowBits, Node, Proved, ShiftRight, constant, mapped
from rnnrtl.graph.vectors import joined
from rnnrtl.lut.search import BOUND_LSB, build_table
from rnnrtl.lut.table import Rom, Table, address

_GUARD_BITS = 2  # of a table whose entries are multiplied before they are rounded


@dataclass(frozen=True, eq=False)
class Magnitude(Node):
    """min(abs(x), limit): what a table of half the range is read at."""

    limit: int = 0

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.magnitude(x, self.limit)


@dataclass(frozen=True, eq=False)
class RomRead(Node):
    """One ROM of a table."""

    rom: Rom = field(default_factory=lambda: Rom((0,), 0))
    title: str = ""

    def arithmetic(self, m: Any) -> Any:
        return np.asarray(self.rom.codes, dtype=np.int64)[address(m, self.rom)]


@dataclass(frozen=True, eq=False)
class ColumnRead(RomRead):
    """A lane of the column of a matrix: for large ones there is time to read block RAM."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mirror(Node):
    """y where x >= 0, total - y where x < 0; arguments x, y. The end of a half table's look-up."""

    table: Table

    def arithmetic(self, x: Any, y: Any) -> Any:
        return arithmetic.mirror(x, y, self.table.total)


@dataclass(frozen=True, eq=False, kw_only=True)
class LookedUp(Proved):
    """The end of a full table's look-up: its range was found by trying every address."""

    table: Table


def look_up(
    function: str,
    x: Node,
    input_: Format,
    output: Format,
    *,
    fast: bool = False,
    bound: float = BOUND_LSB,
) -> Node:
    """Return a function of `rnnrtl.lut.functions` of a vector in format `input_`.

    With `fast` the table may take more ROM to be read sooner; `bound` is that of its error, in LSB
    of the output.
    """
    if function == "exponential":
        return _exponential(x, output, fast=fast, bound=bound)
    return read_table(build_table(function, input_, output, fast=fast, bound=bound), x)


def _exponential(x: Node, output: Format, *, fast: bool, bound: float) -> Node:
    """Return exp(x), saturated, within an LSB: exp(end) * (1 + decay(x - end)), for x up to `end`.

    Beyond `end` the result saturates, or there is no such x. So the table ends at 0, and a product
    by a constant gives its entries their size.
    """
    lowest, highest = (
        math.ldexp(code, -x.fraction_bits) for code in (min(x.lowest), max(x.highest))
    )
    most = max(output.max_code, 1) * output.lsb
    end = math.ceil(min(math.log(most), highest))
    int_bits = max(math.ceil(end / math.log(2)), 0)
    fraction_bits = max(output.fraction_bits, 0) + _GUARD_BITS
    below = x.limited(math.floor(lowest), end) - constant([end] * x.size, 0)
    width = (~min(below.lowest)).bit_length() + 1
    fine = Format(fraction_bits + int_bits + 2, 2)
    form = Format(width, width - below.fraction_bits)
    table = build_table("decay", form, fine, fast=fast, bound=bound)
    power = read_table(table, below) + constant([1] * x.size, 0)
    scale = Format(fraction_bits + int_bits + 2, int_bits + 1)
    factor = int(to_codes(np.array(math.exp(end)), scale))
    sized = power * constant([factor] * x.size, scale.fraction_bits)
    return sized.to(output.nearest())


def column(matrix: IntArray, fraction_bits: int, x: Node) -> Node:
    """Return the column of a matrix (units, columns) of codes that x, one lane, says.

    A number that says none is read as the nearest that does; PrecisionError where the format of x
    has not all of them.
    """
    last = matrix.shape[1] - 1
    if x.fraction_bits < 0 or max(x.highest) >> x.fraction_bits < last:
        bits = last.bit_length() + 1
        raise PrecisionError(
            f"the input is a whole number from 0 to {last}, and its format has not all of them: "
            f'give it one that has, as {{"input": "fixed<{bits},{bits}>"}}'
        )
    place = x.limited(0, last)
    roms = [Rom(tuple(row), place.fraction_bits) for row in matrix.tolist()]
    return joined([_rom(rom, place, fraction_bits, "column", ColumnRead) for rom in roms])


def read_table(table: Table, x: Node) -> Node:
    """Return the nodes of a table look-up."""
    lowest = -table.limit - table.full
    if isinstance(x, Clamp) and x.form.min_code <= lowest and table.limit <= x.form.max_code:
        # The table saturates before the format does: one of the two is enough.
        # Never copied where it has a name: it may be an input, or something computed already.
        x = x.args[0] if x.args[0].name else x.args[0].named(x.name)
    limit = table.limit
    if table.full:
        m: Node = mapped(
            Limited, x, x.fraction_bits, lambda v: min(max(v, lowest), limit),
            least=lowest, most=limit,
        )  # fmt: skip
        y = _sum_of_roms(table, m)
        return LookedUp(
            (y,),
            y.fraction_bits,
            tuple(max(v, table.lowest) for v in y.lowest),
            tuple(min(v, table.highest) for v in y.highest),
            table=table,
        )
    high = tuple(min(max(abs(a), abs(b)), limit) for a, b in zip(x.lowest, x.highest, strict=True))
    m = Magnitude((x,), x.fraction_bits, (0,) * x.size, high, limit=limit)
    # Every address was tried when the table was built.
    y = _sum_of_roms(table, m).within((table.lowest,) * x.size, (table.highest,) * x.size)
    mirrored = (table.total - table.highest, table.total - table.lowest)
    return Mirror(
        (x, y),
        y.fraction_bits,
        tuple(min(v, mirrored[0]) for v in y.lowest),
        tuple(max(v, mirrored[1]) for v in y.highest),
        table=table,
    )


def _sum_of_roms(table: Table, m: Node) -> Node:
    name = table.function.name
    fraction_bits = table.output.fraction_bits + table.guard_bits
    first, *others = table.roms
    total: Node = _rom(first, m, fraction_bits, f"{name}_value" if others else name)
    for rom in others:
        if table.factor_bits:
            factor = LowBits(
                (m,), 0, (0,) * m.size, ((1 << table.factor_bits) - 1,) * m.size,
                bits=table.factor_bits, dropped=rom.dropped - table.factor_bits,
            )  # fmt: skip
            slope = _rom(rom, m, fraction_bits + table.factor_bits, f"{name}_slope")
            total = total + slope * factor
        else:
            total = total + _rom(rom, m, fraction_bits, f"{name}_offset")
    lost = total.fraction_bits - table.output.fraction_bits
    if lost:
        total = mapped(
            ShiftRight, total, table.output.fraction_bits, lambda v: v >> lost, bits=lost
        )
    return total


def _rom(
    rom: Rom, m: Node, fraction_bits: int, title: str, kind: type[RomRead] = RomRead
) -> RomRead:
    lowest, highest = (min(rom.codes),) * m.size, (max(rom.codes),) * m.size
    return kind((m,), fraction_bits, lowest, highest, rom=rom, title=title)
