"""Rounding and overflow by Vitis HLS's definitions (UG1399), in exact fractions.

Nothing here comes from rnnrtl but the names of the modes. `apytypes` is a second oracle, for the
modes that it has.
"""

import math
from fractions import Fraction

import numpy as np
from apytypes import APyFixedArray, OverflowMode, QuantizationMode
from numpy.typing import NDArray

from rnnrtl.fixedpoint import Format

QUANTIZATION = {
    "TRN": QuantizationMode.TO_NEG,
    "TRN_ZERO": QuantizationMode.TO_ZERO,
    "RND": QuantizationMode.TIES_POS,
    "RND_ZERO": QuantizationMode.TIES_ZERO,
    "RND_MIN_INF": QuantizationMode.TIES_NEG,
    "RND_INF": QuantizationMode.TIES_AWAY,
    "RND_CONV": QuantizationMode.TIES_EVEN,
}

# apytypes has no SAT_ZERO and no SAT_SYM.
OVERFLOW = {"WRAP": OverflowMode.WRAP, "SAT": OverflowMode.SAT}


def rounded(x: Fraction, mode: str) -> int:
    half = Fraction(1, 2)
    sign = -1 if x < 0 else 1
    match mode:
        case "TRN":
            return math.floor(x)
        case "TRN_ZERO":
            return sign * math.floor(abs(x))
        case "RND":
            return math.floor(x + half)
        case "RND_MIN_INF":
            return math.ceil(x - half)
        case "RND_ZERO":
            return sign * math.ceil(abs(x) - half)
        case "RND_INF":
            return sign * math.floor(abs(x) + half)
        case "RND_CONV":
            return round(x)  # Fraction rounds ties to even
    raise AssertionError(mode)


def overflowed(code: int, width: int, mode: str) -> int:
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    match mode:
        case "WRAP":
            return (code - low) % (1 << width) + low
        case "SAT":
            return min(max(code, low), high)
        case "SAT_ZERO":
            return code if low <= code <= high else 0
        case "SAT_SYM":
            # A format of one bit has nothing but 0 and its most negative code.
            return min(max(code, -high if width > 1 else low), high)
    raise AssertionError(mode)


def code_of(value: Fraction | float, form: Format) -> int:
    """Return the code of an exact value in a format."""
    scaled = Fraction(value) * Fraction(2) ** form.fraction_bits
    return overflowed(rounded(scaled, form.rounding.name), form.width, form.overflow.name)


def by_apytypes(codes: NDArray[np.int64], source: Format, target: Format) -> NDArray[np.int64]:
    """Return what apytypes makes of codes of one format in another."""
    array = APyFixedArray(codes.tolist(), int_bits=source.int_bits, bits=source.width)
    cast = array.cast(
        int_bits=target.int_bits,
        bits=target.width,
        quantization=QUANTIZATION[target.rounding.name],
        overflow=OVERFLOW[target.overflow.name],
    )
    bits = np.array([int(b) for b in cast.to_bits()], dtype=np.int64)
    return np.where(bits >> (target.width - 1), bits - (1 << target.width), bits)
