"""Convolutions over time, however a source describes them."""

import numpy as np

from rnnrtl.errors import ModelError
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import LIMIT_BYTES
from rnnrtl.layers import Convolution, Dense, FloatArray

FUTURE = "an output would need steps that are still to come"
"""Why a padding is refused that puts zeros behind a sequence."""


def convolution(
    name: str,
    kernel: FloatArray,
    bias: FloatArray,
    activation: str = "linear",
    *,
    padding: str = "causal",
    dilation: int = 1,
    groups: int = 1,
) -> Convolution | Dense:
    """Return the layer with a kernel (taps, features / groups, units), the oldest step first.

    What lies between the taps of a dilation and beside the groups are zeros. With one tap it is a
    dense layer. Raises ModelError where units are not so many groups, or taps too far apart.
    """
    taps, inner, units = kernel.shape
    if units % groups:
        raise ModelError(f"layer {name!r}: {units} units are not {groups} equal groups")
    span, features, size = (taps - 1) * dilation + 1, inner * groups, units // groups
    if span * features * units * 8 > LIMIT_BYTES:
        raise ModelError(f"layer {name!r}: {taps} taps {dilation} steps apart are too many")
    wide = np.zeros((span, features, units))
    for group in range(groups):
        own = slice(group * size, (group + 1) * size)
        wide[::dilation, group * inner : (group + 1) * inner, own] = kernel[..., own]
    name = identifier(name, fallback="convolution")
    flat = wide.reshape(span * features, units).T
    if span == 1:
        return Dense(name, flat, bias, activation)
    return Convolution(name, flat, bias, activation, taps=span, padding=padding)
