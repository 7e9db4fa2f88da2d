"""Integer arithmetic written once, for Python ints, NumPy arrays and Amaranth values alike.

Amaranth expressions are as wide as their result needs, so each function below means the same in
hardware as it does on unbounded integers. NumPy arrays may be of floats that hold integers: the
same again, as long as no number here reaches 2**53 (2**24 in float32).
"""

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Mux, Value

from rnnrtl.fixedpoint.format import Rounding


def select(condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return `if_true` where `condition` holds, else `if_false`."""
    if isinstance(condition, Value):
        return Mux(condition, if_true, if_false)
    if isinstance(condition, np.ndarray):
        return np.where(condition, if_true, if_false)
    return if_true if condition else if_false


def above(x: Any, bound: int) -> Any:
    """Return x > bound; in hardware without a comparator where the width of x rules it out."""
    if isinstance(x, Value):
        shape = x.shape()
        if (1 << max(shape.width - shape.signed, 0)) - 1 <= bound:
            return False
    return x > bound


def below(x: Any, bound: int) -> Any:
    """Return x < bound; in hardware without a comparator where the width of x rules it out."""
    if isinstance(x, Value):
        shape = x.shape()
        if (-(1 << max(shape.width - 1, 0)) if shape.signed else 0) >= bound:
            return False
    return x < bound


def holds_floats(x: Any) -> bool:
    """Return whether x is an array of floats, which have no bits to shift or mask."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def shift_right(x: Any, bits: int) -> Any:
    """Return floor(x / 2**bits)."""
    if holds_floats(x):
        return np.floor(x * 2.0**-bits)
    # A slice in Amaranth: `>>` would keep the upper bits that the shift has emptied.
    return x.shift_right(bits) if isinstance(x, Value) else x >> bits


def shift_left(x: Any, bits: int) -> Any:
    """Return x * 2**bits."""
    return x.shift_left(bits) if isinstance(x, Value) else x * (1 << bits)


def low_bits(x: Any, bits: int) -> Any:
    """Return x modulo 2**bits, from 0 up."""
    if holds_floats(x):
        return x - shift_left(shift_right(x, bits), bits)
    return x[:bits] if isinstance(x, Value) else x & ((1 << bits) - 1)


def beside(high: Any, low: Any, bits: int) -> Any:
    """Return high * 2**bits + low, for 0 <= low < 2**bits."""
    if isinstance(high, Value):
        together = Cat(low[:bits], Const(0, max(bits - len(low), 0)), high)
        return together.as_signed() if high.shape().signed else together
    return (high << bits) | low


def wrap(x: Any, width: int) -> Any:
    """Return the number that the low `width` bits of x stand for in two's complement."""
    if isinstance(x, Value):
        return x[:width].as_signed() if len(x) >= width else x
    half = 1 << (width - 1)
    return low_bits(x + half, width) - half


def clamp(x: Any, lowest: int, highest: int) -> Any:
    """Return the number of lowest..highest nearest to x."""
    bits = highest.bit_length()
    if (
        isinstance(x, Value)
        and (lowest, highest) == (-1 << bits, (1 << bits) - 1)
        and len(x) > bits
    ):
        # In range are those whose upper bits are all alike: no carry chain compares.
        upper = x[bits:] if x.shape().signed else Cat(x[bits:], Const(0, 1))
        alike = upper.all() | ~upper.any()
        return Mux(alike, x[: bits + 1].as_signed(), Mux(upper[-1], lowest, highest))
    if isinstance(x, np.ndarray):
        return x.clip(lowest, highest)  # several times faster than `select`
    return select(above(x, highest), highest, select(below(x, lowest), lowest, x))


def zero_outside(x: Any, lowest: int, highest: int) -> Any:
    """Return x where it lies within lowest..highest, else 0."""
    return select(above(x, highest) | below(x, lowest), 0, x)


def magnitude(x: Any, limit: int) -> Any:
    """Return min(abs(x), limit); the comparison does not wait for the negation."""
    return select(above(x, limit) | below(x, -limit), limit, select(below(x, 0), -x, x))


def maximum_zero(x: Any) -> Any:
    """Return max(x, 0)."""
    if isinstance(x, np.ndarray):
        return np.maximum(x, 0)
    return select(below(x, 0), 0, x)


def mirror(x: Any, y: Any, total: int) -> Any:
    """Continue an odd or mirrored function: y for x >= 0, total - y for x < 0."""
    return select(below(x, 0), total - y, y)


def rounding_offset(rounding: Rounding, bits: int) -> int | None:
    """Return the constant to add before dropping `bits` bits, or None where it depends on x."""
    half = 1 << (bits - 1)
    return {Rounding.RND: half, Rounding.RND_MIN_INF: half - 1, Rounding.TRN: 0}.get(rounding)


def round_shift(x: Any, bits: int, rounding: Rounding) -> Any:
    """Return x / 2**bits as an integer, rounded as `rounding` says; bits is at least 1."""
    half = 1 << (bits - 1)
    negative = select(below(x, 0), 1, 0)
    if isinstance(x, np.ndarray):
        negative = negative.astype(x.dtype)  # the offset may be no int64
    offset: Any
    match rounding:
        case Rounding.RND_CONV:
            offset = half - 1 + low_bits(shift_right(x, bits), 1)
        case Rounding.RND_ZERO:
            offset = half - 1 + negative
        case Rounding.RND_INF:
            offset = half - negative
        case Rounding.TRN_ZERO:
            offset = negative * ((1 << bits) - 1)
        case _:
            offset = rounding_offset(rounding, bits)
    return shift_right(x + offset, bits)
