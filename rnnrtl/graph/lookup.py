"""Activation tables as nodes: what goes in, the ROMs, what comes out."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnrtl.fixedpoint import arithmetic
from rnnrtl.graph.nodes import Clamp, Limited, Node, Proved, ShiftRight, mapped
from rnnrtl.lut.table import Rom, Table, address


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


def look_up(table: Table, x: Node) -> Node:
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
    fraction_bits = table.output.fraction_bits + table.guard_bits
    total: Node | None = None
    for part, rom in zip(("value", "offset"), table.roms, strict=False):
        title = table.function.name if len(table.roms) == 1 else f"{table.function.name}_{part}"
        read = RomRead(
            (m,),
            fraction_bits,
            (min(rom.codes),) * m.size,
            (max(rom.codes),) * m.size,
            rom=rom,
            title=title,
        )
        total = read if total is None else total + read
    assert total is not None
    if table.guard_bits:
        total = mapped(
            ShiftRight,
            total,
            table.output.fraction_bits,
            lambda v: v >> table.guard_bits,
            bits=table.guard_bits,
        )
    return total
