"""The search for the smallest table of a function within a stated error, from the formats."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.lut.fit import Fit, FloatArray, fit_full, fit_half
from rnnrtl.lut.functions import FUNCTIONS
from rnnrtl.lut.table import Rom, Table, read

BOUND_LSB = 1.0
"""Bound on what a table adds, in output LSB, over every input code, where none is asked for."""

TIGHTER_LSB = (0.5, 0.75)
"""Tighter bounds, which a table keeps where that is cheap."""

FULL_LUTS = 256
"""What a lane of a table of the full range may cost, in six-input LUTs."""

FAST_ENTRIES = 512
"""Entries that the LUTs of one logic block hold (eight, with the multiplexers beside them)."""

CHEAP_LUTS = 64
"""What a lane may cost, in six-input LUTs, for a bound tighter than the last."""

PRODUCT_LUTS = 500
"""What a product counts, in six-input LUTs: it takes a DSP block, and a loop that waits for it."""

MAX_ADDRESS_BITS = 20
"""Finest input that a table without products is searched for."""

MAX_FACTORED_BITS = 22
"""Finest input that an interpolated table is searched for: each of its codes is tried."""

_GUARD_BITS = (1, 2, 3)
_ADDER_LUTS = 14  # what the adder of a second ROM costs, beside the ROMs' own LUTs


@lru_cache(maxsize=256)
def build_table(
    function: str,
    input_: Format,
    output: Format,
    *,
    fast: bool = False,
    bound: float = BOUND_LSB,
) -> Table:
    """Return the table of a function from one format to another.

    With `fast` it holds the full range, if it costs at most `FULL_LUTS` six-input LUTs: twice the
    ROM, but nobody waits for an absolute value before it and a subtraction behind it.

    Its error stays within `bound` output LSB over every input code (1/2 is correctly rounded), and
    within one of `TIGHTER_LSB` where that is cheap: narrow formats, whose few codes need it most.

    Raises
    ------
    PrecisionError : where no table of a sensible size reaches the bound.
    """
    tighter = tuple(lsb for lsb in TIGHTER_LSB if lsb < bound)
    if output.max_code > 0:
        table = _full_table(function, input_, output, tighter, bound, fast=fast)
        if table is not None:
            return table
    for lsb in tighter:
        table = cheapest_table(function, input_, output, lsb, most_luts=CHEAP_LUTS)
        if table is not None:
            return table
    interpolated = interpolated_table(function, input_, output, bound)
    most_luts = _cost_of(interpolated) if interpolated else math.inf
    table = cheapest_table(function, input_, output, bound, most_luts) or interpolated
    if table is None:
        highest = output.max_code * output.lsb
        if highest <= 0 or highest + output.lsb < FUNCTIONS[function].asymptote:
            raise PrecisionError(
                f"no {function} table to {output}: it ends at {highest:.4g}, but {function} goes "
                "up to 1: give `gate`, `candidate` or `output` more bits left of the point"
            )
        raise PrecisionError(
            f"no {function} table from {input_} to {output} within {bound:g} LSB and "
            f"2**{MAX_ADDRESS_BITS} entries: give `gate`, `candidate` or `output` fewer fraction "
            "bits"
        )
    return table


def _full_table(
    function: str,
    input_: Format,
    output: Format,
    tighter: tuple[float, ...],
    bound: float,
    *,
    fast: bool,
) -> Table | None:
    """Return a table of the full range, or None.

    Narrow formats get correctly rounded tables; then come, with `fast`, those of one level of
    logic, one ROM before two. A narrow format that ends an LSB below 1 has its correctly rounded
    table in any case: half of one, mirrored, would end an LSB above 0 as well.
    """
    f = FUNCTIONS[function]
    below_one = 0 < f.asymptote - output.max_code * output.lsb <= output.lsb
    rounded = TIGHTER_LSB[0]
    others = (*tighter[1:], bound)
    tries: list[tuple[float, bool, int | None]] = [(rounded, True, 2 * FAST_ENTRIES)]
    tries += [(lsb, True, FAST_ENTRIES) for lsb in others]
    tries += [(lsb, False, FAST_ENTRIES) for lsb in others]
    tries += [(lsb, False, None) for lsb in others]
    if not fast:
        tries = tries[:1] if below_one else []
    for lsb, plain, entries in tries:
        fit = replace(
            fit_full(f, input_, output, lsb),
            plain=plain,
            most_entries=entries,
            clipped=below_one and lsb == rounded,
        )
        most = FULL_LUTS if lsb == bound else 2 * CHEAP_LUTS
        table = _cheapest(fit, input_, output, lsb, most)
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
    fit = fit_half(FUNCTIONS[function], input_, output, max_error_lsb)
    table = _cheapest(fit, input_, output, max_error_lsb, most_luts)
    if table is None and fit.limit == fit.last - 1:
        # The lowest code alone has a magnitude beyond the highest: it may need an entry of its own.
        fit = replace(fit, limit=fit.last)
        table = _cheapest(fit, input_, output, max_error_lsb, most_luts)
    return table


def _cheapest(
    fit: Fit, input_: Format, output: Format, max_error_lsb: float, most_luts: float
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
                y = _entries(fit, dropped, roms, guard)
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


def _in_twos_complement(rom: Rom, span: int) -> Rom:
    """Return a ROM of codes that rise from the lowest, ordered by their two's complement."""
    half = len(rom.codes) // 2
    return replace(rom, codes=rom.codes[half:] + rom.codes[:half], signed_bits=span.bit_length())


def _coarsest_plain(fit: Fit, bound: float) -> int | None:
    """Return how many low bits a table of one ROM may drop, or None if none is fine enough."""
    for dropped in range(fit.limit.bit_length(), -1, -1):
        if (fit.span >> dropped).bit_length() > MAX_ADDRESS_BITS:
            return None
        y = _plain(fit, dropped)
        if fit.error(y, dropped) <= bound + 1e-9:
            return dropped
    return None


def _centres(fit: Fit, dropped: int, bits: int = 0) -> FloatArray:
    """Return the middle of every cell of 2**(dropped + bits) magnitudes."""
    size = 2.0 ** (dropped + bits)
    cells = np.arange((fit.span >> (dropped + bits)) + 1, dtype=np.float64)
    return np.asarray(cells * size + (size - 1) / 2 + fit.start)


def _plain(fit: Fit, dropped: int) -> FloatArray:
    y = np.floor(fit.exact(_centres(fit, dropped)) + 0.5)
    return np.asarray(np.clip(y, fit.floor, fit.ceiling))


@dataclass(frozen=True)
class _Candidate:
    """A table not built yet, and a lower bound of its cost to skip it by."""

    least_cost: float
    build: Callable[[], tuple[tuple[Rom, ...], int]]


def _candidates(fit: Fit, dropped: int, *, plain: bool) -> Iterator[_Candidate]:
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
    fit: Fit, dropped: int, low: int, skipped: int, guard: int
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


def interpolated_table(
    function: str, input_: Format, output: Format, max_error_lsb: float
) -> Table | None:
    """Return the interpolated table of fewest entries within `max_error_lsb` output LSB, if any.

    Each cell has the line that is as far below the function at its ends as above in the middle.
    """
    fit = fit_half(FUNCTIONS[function], input_, output, max_error_lsb)
    first, second = fit.exact(np.array([0.0, 1.0]))
    # What a code dropped adds to the error at 0, where the function is steepest: 1/8 LSB at most.
    dropped = max(0, math.floor(math.log2(0.25 / max(float(second - first), 2.0**-40))))
    codes = fit.span >> dropped
    if codes.bit_length() > MAX_FACTORED_BITS:
        return None

    for factor_bits in range(codes.bit_length() - 1, 0, -1):
        edges = _edges(fit, dropped, factor_bits)
        f = np.minimum(fit.exact(edges), fit.ceiling)
        middles = np.minimum(fit.exact((edges[:-1] + edges[1:]) / 2), fit.ceiling)
        bow = middles - (f[:-1] + f[1:]) / 2
        if bow.max() / 2 > max_error_lsb - 0.5:
            continue
        for guard in _GUARD_BITS:
            unit = 2.0**guard
            values = np.floor((f[:-1] + bow / 2) * unit + 0.5) + unit / 2
            slopes = np.floor(np.diff(f) * unit + 0.5)
            cell = dropped + factor_bits
            roms = (Rom(_codes(values), cell), Rom(_codes(slopes), cell))
            y = _entries(fit, dropped, roms, guard, factor_bits)
            within = fit.floor <= y.min() and y.max() <= fit.ceiling
            if within and fit.error(y, dropped) <= max_error_lsb + 1e-9:
                lowest, highest = int(y.min()), int(y.max())
                return Table(
                    fit.function, input_, output, fit.limit, roms, guard, lowest, highest,
                    factor_bits=factor_bits,
                )  # fmt: skip
    return None


def _edges(fit: Fit, dropped: int, factor_bits: int) -> FloatArray:
    """Return where lines begin and end: the middle of the finest cells there."""
    cells = (fit.span >> (dropped + factor_bits)) + 2
    return np.asarray(np.arange(cells) * 2.0 ** (dropped + factor_bits) + (2.0**dropped - 1) / 2)


def _entries(
    fit: Fit, dropped: int, roms: tuple[Rom, ...], guard: int, factor_bits: int = 0
) -> FloatArray:
    """Return y for every cell of 2**dropped codes."""
    m = np.arange((fit.span >> dropped) + 1) << dropped
    return read(roms, guard, factor_bits, m).astype(np.float64)


def _codes(values: FloatArray) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def _cost(roms: tuple[Rom, ...]) -> float:
    """Return the size in six-input LUTs: 64 entries of a bit each, and the adder of two ROMs."""
    luts = sum(rom.width * max(1.0, len(rom.codes) / 64) for rom in roms)
    return luts + (_ADDER_LUTS if len(roms) > 1 else 0)


def _cost_of(table: Table) -> float:
    return _cost(table.roms) + PRODUCT_LUTS * bool(table.factor_bits)
