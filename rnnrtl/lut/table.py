"""Look-up tables of saturating functions: what is stored, and how it is read.

Half the range is stored, and the sign of the input mirrors the result, or all of it. A table is
one ROM, or two: in a bipartite table (D. Das Sarma and D. W. Matula, "Faithful bipartite ROM
reciprocal tables", ARITH 1995) the upper bits of the input address a ROM of values, and its highest
and lowest bits one of offsets along the slope, which takes a fraction of the bits. In an
interpolated one the upper bits address a value and a slope, by which the lower bits are multiplied:
fewer bits still, and a product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.format import Format
from rnnrtl.lut.functions import Function


@dataclass(frozen=True)
class Rom:
    """One ROM and the address bits it takes from a magnitude m.

    The address is the bits of m from `dropped + skipped + low` up, followed by `low` bits from
    `dropped` up: the `skipped` bits in between are another ROM's business. Where `signed_bits`
    is not 0, m is a number in two's complement of so many bits.
    """

    codes: tuple[int, ...]
    dropped: int
    low: int = 0
    skipped: int = 0
    signed_bits: int = 0

    @property
    def width(self) -> int:
        """Bits of an entry."""
        lowest, highest = min(self.codes), max(self.codes)
        return max(highest.bit_length(), (~lowest).bit_length() if lowest < 0 else 0, 1) + (
            lowest < 0
        )


@dataclass(frozen=True)
class Table:
    """A function from one format to another.

    On codes: m = min(abs(x), limit); y = `read` of the ROMs at m; the result is y, or total - y
    where x is negative. A table of the full range has both halves in its ROMs: m = x clamped to
    -limit-1..limit, and the result is y.

    Members
    -------
    function : what it approximates
    input, output : formats
    limit : magnitudes from here on give the last entry
    roms : one, or two for a bipartite table, or for an interpolated one
    guard_bits : fraction bits of the ROMs below the output's
    factor_bits : of an interpolated table, how many bits of m, those next below what addresses its
        ROMs, multiply the second one's entry, which has so many more fraction bits; else 0
    lowest, highest : range of y, found by trying every address
    full : whether the ROMs hold the full range
    """

    function: Function
    input: Format
    output: Format
    limit: int
    roms: tuple[Rom, ...]
    guard_bits: int
    lowest: int
    highest: int
    full: bool = False
    factor_bits: int = 0

    @property
    def total(self) -> int:
        """Code of f(x) + f(-x)."""
        return round(self.function.total * 2.0**self.output.fraction_bits)

    @property
    def bits(self) -> int:
        """ROM bits."""
        return sum(len(rom.codes) * rom.width for rom in self.roms)


def address(m: NDArray[np.int64], rom: Rom) -> NDArray[np.int64]:
    """Return the ROM address for m (the hardware selects the same bits)."""
    if rom.signed_bits:
        m = m & ((1 << rom.signed_bits) - 1)
    high = m >> (rom.dropped + rom.skipped + rom.low)
    return np.asarray((high << rom.low) | ((m >> rom.dropped) & ((1 << rom.low) - 1)))


def read(
    roms: Sequence[Rom], guard_bits: int, factor_bits: int, m: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return what the ROMs of a table give at m (the hardware computes the same)."""
    first, *others = (np.asarray(rom.codes, dtype=np.int64)[address(m, rom)] for rom in roms)
    if factor_bits:
        factor = (m >> (roms[0].dropped - factor_bits)) & ((1 << factor_bits) - 1)
        return np.asarray(((first << factor_bits) + others[0] * factor) >> guard_bits + factor_bits)
    return np.asarray((first + sum(others)) >> guard_bits)
