"""How far a table is from its function, by trying its input codes."""

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.arithmetic import clamp, magnitude, mirror
from rnnrtl.lut.table import Table, read

ALL_CODES_BITS = 20
"""Input width up to which every code is tried; beyond, every code at an end of a ROM's cell."""


def apply(table: Table, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the table's output codes for input codes."""
    limit = table.limit
    m = clamp(codes, -limit - 1, limit) if table.full else magnitude(codes, limit)
    y = read(table.roms, table.guard_bits, table.factor_bits, m)
    return np.asarray(y if table.full else mirror(codes, y, table.total))


def max_error_lsb(table: Table) -> float:
    """Return the largest error over every input code, in output LSB.

    Beyond `ALL_CODES_BITS` only the first and the last code of each cell are tried: the function
    rises, so that the error peaks there.
    """
    half = 1 << (table.input.width - 1)
    if table.input.width <= ALL_CODES_BITS:
        codes = np.arange(-half, half)
    else:
        cell = 1 << (min(rom.dropped for rom in table.roms) - table.factor_bits)
        starts = np.arange(0, table.limit + cell, cell)
        ends = np.concatenate([starts, starts + cell - 1, [half - 1]])
        ends = ends[ends < half]
        # Below 0 a cell of a half table mirrors one above; one of a full table is one code lower.
        codes = np.concatenate([ends, -ends, -ends - 1, [-half]])
    exact = (
        table.function.real(codes.astype(np.float64) * table.input.lsb)
        * 2.0**table.output.fraction_bits
    )
    return float(np.abs(apply(table, codes) - exact).max())
