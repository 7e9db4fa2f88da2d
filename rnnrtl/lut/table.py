"""Look-up tables of saturating functions, sized from the formats for a stated error.

Half the range is stored; the sign of the input mirrors the result. A table is the sum of one or two
ROMs. With two (a bipartite table: D. Das Sarma and D. W. Matula, "Faithful bipartite ROM reciprocal
tables", ARITH 1995) the upper bits of the input address a ROM of values, and its highest and lowest
bits one of offsets along the slope: the same error from a fraction of the bits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.lut.functions import FUNCTIONS, Function

FloatArray = NDArray[np.float64]

BOUNDS_LSB = (0.5, 0.75, 1.0)
"""Bounds on what a table adds, in output LSB, over every input code: the first that is cheap."""

FULL_LUTS = 256
"""What a lane of a table of the full range may cost, in six-input LUTs."""

FAST_ENTRIES = 512
"""Entries that the LUTs of one logic block hold (eight, with the multiplexers beside them)."""

CHEAP_LUTS = 64
"""What a lane may cost, in six-input LUTs, for a bound tighter than the last."""

MAX_ADDRESS_BITS = 20
"""Finest input that a table is searched for; beyond it a plain table makes no sense."""

_GUARD_BITS = (1, 2, 3)
_ADDER_LUTS = 14  # what the adder of a second ROM costs, beside the ROMs' own LUTs


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

    On codes: m = min(abs(x), limit); y = (sum of the ROMs at m) >> guard_bits;
    the result is y, or total - y where x is negative. A table of the full range has both halves in
    its ROMs: m = x clamped to -limit-1..limit, and the result is y.

    Members
    -------
    function : what it approximates
    input, output : formats
    limit : magnitudes from here on give the last entry
    roms : one, or two for a bipartite table
    guard_bits : fraction bits of the ROMs below the output's
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

    @property
    def total(self) -> int:
        """Code of f(x) + f(-x)."""
        return round(self.function.total * 2.0**self.output.fraction_bits)

    @property
    def bits(self) -> int:
        """ROM bits."""
        return sum(len(rom.codes) * rom.width for rom in self.roms)


@dataclass(frozen=True)
class _Fit:
    """A function on codes from `start` to `limit`, in output LSB: what candidates are tried on.

    Cells count from `start`: 0 where magnitudes are looked up, -limit-1 for the full range.
    """

    function: Function
    scale_in: float
    scale_out: float
    limit: int
    first: int  # lowest and highest code (or magnitude) that can occur
    last: int
    floor: int
    ceiling: int
    start: int = 0
    plain: bool = False  # one ROM only
    most_entries: int | None = None  # of a ROM
    clipped: bool = False  # what the output format cannot express is no error

    @property
    def span(self) -> int:
        """Codes from the first to the last."""
        return self.limit - self.start

    def exact(self, m: FloatArray) -> FloatArray:
        return np.asarray(self.function.real(m * self.scale_in) * self.scale_out)

    def error(self, y: FloatArray, dropped: int) -> float:
        """Return the largest abs(y - f) over every magnitude; y[k] serves m >> dropped == k.

        f rises, so within a cell the error peaks at its first or its last magnitude.
        """
        cells = np.arange(y.size, dtype=np.float64) * 2.0**dropped + self.start
        ends = np.minimum(cells + 2.0**dropped - 1, self.limit)
        cells[0], ends[-1] = self.first, self.last
        exact = [self.exact(m) for m in (cells, ends)]
        if self.clipped:
            exact = [np.clip(e, self.floor, self.ceiling) for e in exact]
        return float(max(np.abs(y - e).max() for e in exact))


@lru_cache(maxsize=256)
def build_table(function: str, input_: Format, output: Format, *, fast: bool = False) -> Table:
    """Return the table of a function from one format to another.

    With `fast` it holds the full range, if it costs at most `FULL_LUTS` six-input LUTs: twice the
    ROM, but nobody waits for an absolute value before it and a subtraction behind it.

    Its error stays within one output LSB over every input code, and within 1/2 (correctly rounded)
    or 3/4 LSB where that is cheap: narrow formats, whose few codes need it most.

    Raises
    ------
    PrecisionError : where no table of a sensible size reaches the bound.
    """
    if output.max_code > 0:
        table = _full_table(function, input_, output, fast=fast)
        if table is not None:
            return table
    for bound in BOUNDS_LSB[:-1]:
        table = cheapest_table(function, input_, output, bound, most_luts=CHEAP_LUTS)
        if table is not None:
            return table
    table = cheapest_table(function, input_, output, BOUNDS_LSB[-1])
    if table is None:
        highest = output.max_code * output.lsb
        if highest <= 0 or highest + output.lsb < FUNCTIONS[function].asymptote:
            raise PrecisionError(
                f"no {function} table to {output}: it ends at {highest:.4g}, but {function} goes "
                "up to 1: give `gate`, `candidate` or `output` more bits left of the point"
            )
        raise PrecisionError(
            f"no {function} table from {input_} to {output} within {BOUNDS_LSB[-1]} LSB and "
            f"2**{MAX_ADDRESS_BITS} entries: give `gate`, `candidate` or `output` fewer fraction "
            "bits"
        )
    return table


def _full_table(function: str, input_: Format, output: Format, *, fast: bool) -> Table | None:
    """Return a table of the full range, or None.

    Narrow formats get correctly rounded tables; then come, with `fast`, those of one level of
    logic, one ROM before two. A narrow format that ends an LSB below 1 has its correctly rounded
    table in any case: half of one, mirrored, would end an LSB above 0 as well.
    """
    f = FUNCTIONS[function]
    below_one = 0 < f.asymptote - output.max_code * output.lsb <= output.lsb
    tries: list[tuple[float, bool, int | None]] = [(BOUNDS_LSB[0], True, 2 * FAST_ENTRIES)]
    tries += [(bound, True, FAST_ENTRIES) for bound in BOUNDS_LSB[1:]]
    tries += [(bound, False, FAST_ENTRIES) for bound in BOUNDS_LSB[1:]]
    tries += [(bound, False, None) for bound in BOUNDS_LSB[1:]]
    if not fast:
        tries = tries[:1] if below_one else []
    for bound, plain, entries in tries:
        fit = replace(
            _full(f, input_, output, bound),
            plain=plain,
            most_entries=entries,
            clipped=below_one and bound == BOUNDS_LSB[0],
        )
        most = FULL_LUTS if bound == BOUNDS_LSB[-1] else 2 * CHEAP_LUTS
        table = _cheapest(fit, input_, output, bound, most)
        if table is not None:
            return table
    return None


def cheapest_table(
    function: str,
    input_: Format,
    output: Format,
    max_error_lsb: float,
    most_luts: float = math.inf,
) -> Table | None:
    """Return the smallest table whose error stays within `max_error_lsb` output LSB, if any.

    Only tables below `most_luts` six-input LUTs count.

    Entries are rounded to nearest and saturated whatever the modes of `output` are: a table
    whose 1.0 wraps to -1.0 serves nobody. The error counts that saturation too, but not what the
    output format cannot express by more than one LSB.
    """
    fit = _fit(FUNCTIONS[function], input_, output, max_error_lsb)
    table = _cheapest(fit, input_, output, max_error_lsb, most_luts)
    if table is None and fit.limit == fit.last - 1:
        # The lowest code alone has a magnitude beyond the highest: it may need an entry of its own.
        fit = replace(fit, limit=fit.last)
        table = _cheapest(fit, input_, output, max_error_lsb, most_luts)
    return table


def _cheapest(
    fit: _Fit, input_: Format, output: Format, max_error_lsb: float, most_luts: float
) -> Table | None:
    best: Table | None = None
    coarsest = _coarsest_plain(fit, max_error_lsb)
    if coarsest is not None:
        for dropped in range(max(0, coarsest - 3), coarsest + 1):
            if (fit.span >> dropped).bit_length() > MAX_ADDRESS_BITS:
                continue
            for candidate in _candidates(fit, dropped, plain=dropped == coarsest):
                if candidate.least_cost >= most_luts:
                    continue
                roms, guard = candidate.build()
                cost = _cost(roms)
                entries = max(len(rom.codes) for rom in roms)
                if cost >= most_luts or entries > (fit.most_entries or entries):
                    continue
                y = _entries(fit, roms, guard, dropped)
                if y.min() < fit.floor or y.max() > fit.ceiling:
                    continue
                if fit.error(y, dropped) > max_error_lsb + 1e-9:
                    continue
                lowest, highest = int(y.min()), int(y.max())
                full = fit.start < 0
                if full:
                    roms = tuple(_in_twos_complement(rom, fit.span) for rom in roms)
                best = Table(
                    fit.function, input_, output, fit.limit, roms, guard, lowest, highest, full
                )
                most_luts = cost
    return best


def _fit(f: Function, input_: Format, output: Format, bound: float) -> _Fit:
    scale_out = 2.0**output.fraction_bits
    top = f.asymptote * scale_out
    last = 1 << (input_.width - 1)

    def reached(slack: float) -> int:
        """Return the first magnitude from which f is within `slack` LSB of its asymptote."""
        low, high = 0, last - 1
        while low < high:
            middle = (low + high) // 2
            if top - float(f.real(np.asarray(middle * input_.lsb))) * scale_out <= slack:
                high = middle
            else:
                low = middle + 1
        return low

    limit = reached(0.5)
    if bound >= 1:  # the last entry may then miss the asymptote, if that saves an address bit
        limit = min(limit, (1 << reached(bound).bit_length()) - 1)
    limit = max(1, min(limit, last - 1))
    ceiling = min(round(top), output.max_code, round(f.total * scale_out) - output.min_code)
    start = min(round(float(f.real(np.asarray(0.0))) * scale_out), ceiling)
    start = max(start, round(f.total * scale_out) - output.max_code)  # so that total - y fits too
    return _Fit(f, input_.lsb, scale_out, limit, 0, last, start, ceiling)


def _full(f: Function, input_: Format, output: Format, bound: float) -> _Fit:
    """Return the fit of the full range: codes of the bits that reach the asymptotes."""
    half = _fit(f, input_, output, bound)
    limit = (1 << min(half.limit.bit_length(), input_.width - 1)) - 1
    last = 1 << (input_.width - 1)
    floor = max(round((f.total - f.asymptote) * half.scale_out), output.min_code)
    return replace(half, limit=limit, first=-last, last=last - 1, floor=floor, start=-limit - 1)


def _in_twos_complement(rom: Rom, span: int) -> Rom:
    """Return a ROM of codes that rise from the lowest, ordered by their two's complement."""
    half = len(rom.codes) // 2
    return replace(rom, codes=rom.codes[half:] + rom.codes[:half], signed_bits=span.bit_length())


def _coarsest_plain(fit: _Fit, bound: float) -> int | None:
    """Return how many low bits a table of one ROM may drop, or None if none is fine enough."""
    for dropped in range(fit.limit.bit_length(), -1, -1):
        if (fit.span >> dropped).bit_length() > MAX_ADDRESS_BITS:
            return None
        y = _plain(fit, dropped)
        if fit.error(y, dropped) <= bound + 1e-9:
            return dropped
    return None


def _centres(fit: _Fit, dropped: int, bits: int = 0) -> FloatArray:
    """Return the middle of every cell of 2**(dropped + bits) magnitudes."""
    size = 2.0 ** (dropped + bits)
    cells = np.arange((fit.span >> (dropped + bits)) + 1, dtype=np.float64)
    return np.asarray(cells * size + (size - 1) / 2 + fit.start)


def _plain(fit: _Fit, dropped: int) -> FloatArray:
    y = np.floor(fit.exact(_centres(fit, dropped)) + 0.5)
    return np.asarray(np.clip(y, fit.floor, fit.ceiling))


@dataclass(frozen=True)
class _Candidate:
    """A table not built yet, and a lower bound of its cost to skip it by."""

    least_cost: float
    build: Callable[[], tuple[tuple[Rom, ...], int]]


def _candidates(fit: _Fit, dropped: int, *, plain: bool) -> Iterator[_Candidate]:
    if plain:
        yield _Candidate(0.0, lambda: ((Rom(_codes(_plain(fit, dropped)), dropped),), 0))
    if fit.plain:
        return
    span = fit.span >> dropped
    width = max(fit.ceiling - fit.floor, 1).bit_length()
    for low in range(1, span.bit_length() - 1):
        for skipped in range(1, span.bit_length() - low):
            values = (span >> low) + 1
            offsets = ((span >> (low + skipped)) + 1) << low
            for guard in _GUARD_BITS:
                # Values are `guard` bits wider than the result; offsets at least two bits.
                least = (max(values / 64, 1) * (width + guard)) + max(offsets / 64, 1) * 2
                yield _Candidate(
                    least + _ADDER_LUTS,
                    partial(_bipartite, fit, dropped, low, skipped, guard),
                )


def _bipartite(
    fit: _Fit, dropped: int, low: int, skipped: int, guard: int
) -> tuple[tuple[Rom, Rom], int]:
    unit = 2.0**guard
    values = np.floor(fit.exact(_centres(fit, dropped, low)) * unit + 0.5) + 2.0 ** (guard - 1)
    regions = _centres(fit, dropped, low + skipped)
    half = 2.0 ** (dropped + low + skipped - 1)
    slope = (fit.exact(regions + half) - fit.exact(np.maximum(regions - half, fit.start))) / (
        2 * half
    )
    # The offset of the middle of each finest cell from the middle of its value's cell.
    cells = (np.arange(2.0**low) - (2.0**low - 1) / 2) * 2.0**dropped
    offsets = np.floor(np.outer(slope, cells) * unit + 0.5).ravel()
    roms = (
        Rom(_codes(values), dropped + low),
        Rom(_codes(offsets), dropped, low=low, skipped=skipped),
    )
    return roms, guard


def _entries(fit: _Fit, roms: tuple[Rom, ...], guard: int, dropped: int) -> FloatArray:
    """Return y for every cell of 2**dropped codes."""
    m = np.arange((fit.span >> dropped) + 1) << dropped
    total = np.zeros(m.shape, dtype=np.int64)
    for rom in roms:
        total += np.asarray(rom.codes)[address(m, rom)]
    return np.asarray((total >> guard).astype(np.float64))


def address(m: NDArray[np.int64], rom: Rom) -> NDArray[np.int64]:
    """Return the ROM address for m (the hardware selects the same bits)."""
    if rom.signed_bits:
        m = m & ((1 << rom.signed_bits) - 1)
    high = m >> (rom.dropped + rom.skipped + rom.low)
    return np.asarray((high << rom.low) | ((m >> rom.dropped) & ((1 << rom.low) - 1)))


def _codes(values: FloatArray) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def _cost(roms: tuple[Rom, ...]) -> float:
    """Return the size in six-input LUTs: 64 entries of a bit each, and the adder of two ROMs."""
    luts = sum(rom.width * max(1.0, len(rom.codes) / 64) for rom in roms)
    return luts + (_ADDER_LUTS if len(roms) > 1 else 0)
