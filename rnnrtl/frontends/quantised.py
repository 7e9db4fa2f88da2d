"""What readers of models that were trained in fixed point share: formats, and the proof of them.

Nothing is converted: weights are the numbers that the model multiplies by, formats are those of its
quantisers, and a trial run must give its very bits.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.fixedpoint.format import Format, Overflow, Rounding
from rnnrtl.layers import Dense, FloatArray
from rnnrtl.network import Network

WIDEST_WEIGHTS = 20
"""Bits beyond which weights are taken for floats that nobody quantised."""
WIDEST_SUMS = 40
"""Bits of a bias, and of an output that is given on as an exact sum."""


def exact_format(arrays: Iterable[FloatArray], what: str, widest: int = WIDEST_WEIGHTS) -> Format:
    """Return the narrowest format that holds some values exactly.

    Raises UnsupportedError where they lie on no grid of a power of two, or on one too fine.
    """
    values = np.concatenate([np.asarray(a, dtype=np.float64).ravel() for a in arrays])
    values = values[values != 0]
    if not values.size:
        return Format(1, 1)
    # A float is an odd integer by a power of two: what the finest of them needs.
    fraction_bits = max(-lowest_bit(float(v)) for v in values)
    codes = values * 2.0**fraction_bits
    width = 1 + max(
        int(codes.max()).bit_length() if codes.max() > 0 else 0,
        (-int(codes.min()) - 1).bit_length() if codes.min() < 0 else 0,
    )
    if width > widest:
        raise UnsupportedError(
            f"{what} takes {width} bits to be exact: it is not quantised, or its scale is no power "
            "of two"
        )
    return Format(width, width - fraction_bits)


def lowest_bit(value: float) -> int:
    """Return the exponent of the lowest bit of a number that is not 0."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator & -numerator).bit_length() - denominator.bit_length()


def grid_format(
    scale: NDArray[np.float64],
    bits: int,
    what: str,
    *,
    signed: bool,
    rounding: Rounding,
    overflow: Overflow,
    never_negative: bool = False,
) -> Format:
    """Return the format of a quantiser of integers with a scale; a wider, signed one for unsigned.

    Raises UnsupportedError where there is none.
    """
    scales = np.unique(scale)
    if scales.size != 1:
        raise UnsupportedError(f"{what} has {scales.size} scales: rnnrtl has one format a tensor")
    mantissa, exponent = math.frexp(float(scales[0]))
    if mantissa != 0.5:
        raise UnsupportedError(
            f"{what} has the scale {float(scales[0]):.6g}, which is no power of two: restrict it "
            "to one"
        )
    if not signed and not never_negative:
        raise UnsupportedError(f"{what} is unsigned, but takes in negative numbers: make it signed")
    width = bits if signed else bits + 1
    return Format(width, width + exponent - 1, rounding, overflow)


def exact_output(layer: Dense, input_: Format, form: Format, bias: Format) -> Format:
    """Return the format that holds W x + b exactly, for any x of a format."""
    fraction_bits = max(form.fraction_bits + input_.fraction_bits, bias.fraction_bits)
    largest = np.abs(layer.kernel).sum(axis=1) * (-input_.min_code * input_.lsb)
    top = float((largest + np.abs(layer.bias)).max()) * 2.0**fraction_bits
    width = int(top).bit_length() + 1
    if width > WIDEST_SUMS:
        raise UnsupportedError(
            f"{layer.name}: its sums have {width} bits and no quantiser follows: give it one"
        )
    return Format(width, width - fraction_bits)


def fixed_outputs(network: Network, x: FloatArray) -> FloatArray:
    """Return what the network gives in its own formats, as its hardware computes it."""
    from rnnrtl.generation import generate  # which reads networks with this package

    return generate(network).predict(x)


def unlike(kind: str, found: FloatArray, expected: FloatArray) -> ModelError:
    """Return the error for a model whose bits are not those of what was read."""
    gap = np.abs(found - expected)
    return ModelError(
        f"{kind} gives other bits than its layers in order do in fixed point: "
        f"{int((gap > 0).sum())} of {gap.size} outputs of a trial differ, by up to {gap.max():.3g}"
    )
