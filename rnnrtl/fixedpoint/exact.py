"""Exact integer arrays in NumPy: the fastest type that cannot overflow or round."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.arithmetic import clamp, wrap, zero_outside
from rnnrtl.fixedpoint.format import Format, Overflow, Rounding

IntArray = NDArray[Any]  # int64, or object holding Python ints beyond

INT64_BITS = 62  # below 63: intermediate sums of two in-range numbers still fit
FLOAT64_BITS = 53

_TINY = float(np.finfo(np.float64).tiny)
_BLOCK = 1 << 14  # numbers brought into a format at a time: they stay in the cache
_MOST_FACTOR_BITS = 1023  # 2**1023 is a float64, 2**1024 is not


def dtype_for(*bounds: int) -> type:
    """Return int64 where numbers up to the bounds (and sums of two) fit in it, else object."""
    return np.int64 if all(abs(b) < 1 << INT64_BITS for b in bounds) else object


def matmul(x: IntArray, matrix: IntArray) -> IntArray:
    """Return x @ matrix.T exactly; x (..., features), matrix (units, features).

    Goes through float64 BLAS, which is exact, while no sum can reach 2**53.
    """
    if x.dtype == object or matrix.dtype == object:
        return np.asarray(x.astype(object) @ matrix.T.astype(object))
    peak, largest = _peak(x), _peak(matrix)
    weight = largest * matrix.shape[1]
    if weight < 1 << INT64_BITS:  # the sums of a row's magnitudes, where int64 holds them
        weight = int(np.abs(matrix).sum(axis=1).max(initial=0))
    if peak * weight < 1 << FLOAT64_BITS:
        return np.asarray((x.astype(np.float64) @ matrix.T.astype(np.float64)).astype(np.int64))
    if peak * weight < 1 << INT64_BITS:
        return np.asarray(x @ matrix.T)
    return np.asarray(x.astype(object) @ matrix.T.astype(object))


def _peak(x: IntArray) -> int:
    """Return max(abs(x)); NumPy's abs would leave the lowest int64 negative."""
    return max(-int(x.min(initial=0)), int(x.max(initial=0)))


def to_codes(values: Any, form: Format) -> IntArray:
    """Bring real values into a format: codes as int64 (all formats of up to 64 bits fit).

    Rounding and overflow follow the format, from the exact value of each float64.
    """
    array = _finite(values)
    codes = np.empty(array.size, dtype=np.int64)
    flat = array.ravel()
    for start in range(0, flat.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        codes[part] = overflowed(_rounded(flat[part], form), form)
    return codes.reshape(array.shape)


def rounded_codes(values: Any, form: Format) -> IntArray:
    """Round real values to a format's grid; where they overflow its range, they still do."""
    array = _finite(values)
    return _rounded(array.ravel(), form).reshape(array.shape)


def _finite(values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"value {array[where]} at index {where} has no fixed-point code")
    return array


def _rounded(array: NDArray[np.float64], form: Format) -> IntArray:
    """Round finite numbers (n,) to a format's grid; int64, or object where that is too small."""
    with np.errstate(over="ignore"):
        if 0 <= form.fraction_bits <= _MOST_FACTOR_BITS:
            scaled = array * 2.0**form.fraction_bits  # as exact as ldexp, in a tenth of the time
        else:
            scaled = np.ldexp(array, form.fraction_bits)
            # A value that underflows to zero still has a sign, which TRN and TRN_ZERO ask for.
            scaled = np.where((scaled == 0) & (array != 0), np.copysign(_TINY, array), scaled)
    if max(-scaled.min(initial=0), scaled.max(initial=0)) < 1 << 52:
        return np.asarray(_round(scaled, form.rounding).astype(np.int64))
    # float64 beyond 2**52 is an integer already, but int64 may not hold it
    return np.array([_big_code(v, form) for v in array], dtype=object)


def _big_code(value: float, form: Format) -> int:
    numerator, denominator = float(value).as_integer_ratio()
    if form.fraction_bits >= 0:
        numerator <<= form.fraction_bits
    else:
        denominator <<= -form.fraction_bits
    bits = denominator.bit_length() - 1
    from rnnrtl.fixedpoint.arithmetic import round_shift

    return int(round_shift(numerator, bits, form.rounding)) if bits else numerator


def _round(x: NDArray[np.float64], rounding: Rounding) -> NDArray[np.float64]:
    """Round float64 numbers below 2**52 to integers; every step here is exact."""
    floor = np.floor(x)
    rest = x - floor
    match rounding:
        case Rounding.TRN:
            up = np.zeros_like(rest, dtype=bool)
        case Rounding.TRN_ZERO:
            up = (rest > 0) & (x < 0)
        case Rounding.RND:
            up = rest >= 0.5
        case Rounding.RND_MIN_INF:
            up = rest > 0.5
        case Rounding.RND_ZERO:
            up = (rest > 0.5) | ((rest == 0.5) & (x < 0))
        case Rounding.RND_INF:
            up = (rest > 0.5) | ((rest == 0.5) & (x > 0))
        case Rounding.RND_CONV:
            up = (rest > 0.5) | ((rest == 0.5) & (floor % 2 == 1))
    return np.asarray(floor + up)


def overflowed(codes: Any, form: Format) -> Any:
    """Bring integers of any size into the range of a format, by its overflow mode."""
    match form.overflow:
        case Overflow.WRAP:
            if isinstance(codes, np.ndarray) and form.width > INT64_BITS:
                codes = codes.astype(object)
            return wrap(codes, form.width)
        case Overflow.SAT_ZERO:
            return zero_outside(codes, form.min_code, form.max_code)
        case _:
            return clamp(codes, form.min_code, form.max_code)


def to_values(codes: IntArray, form: Format) -> NDArray[np.float64]:
    """Return the real values of codes; exact for codes of up to 53 bits."""
    return np.asarray(np.ldexp(codes.astype(np.float64), -form.fraction_bits))
