"""Read PyTorch's Conv1d, of which forward says what stands before the first step."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnrtl.errors import UnsupportedError
from rnnrtl.frontends.convolutions import FUTURE, convolution
from rnnrtl.frontends.values import as_array, joined
from rnnrtl.layers import Convolution, Dense, Layer


def read_convolution(where: str, name: str, module: Any) -> Convolution | Dense:
    """Return the layer of a Conv1d called `name`, `where` in errors.

    Without zeros of its own it is "valid", which `paddings` may make "causal"; with as many at both
    ends as its kernel spans but for one, it is "causal", and forward cuts off what comes last.
    Raises UnsupportedError for what is not computed.
    """
    (stride,), (dilation,), (taps,) = module.stride, module.dilation, module.kernel_size
    if stride != 1:
        raise UnsupportedError(f"{where}: stride={stride} is not supported, only 1")
    if module.padding_mode != "zeros":
        raise UnsupportedError(f"{where}: padding_mode={module.padding_mode!r} is not supported")
    before = (taps - 1) * dilation
    padding = 0 if module.padding == "valid" else module.padding
    padding = padding[0] if isinstance(padding, tuple) else padding
    if padding not in (0, before):
        raise UnsupportedError(
            f"{where}: padding={padding!r} is not supported, only 0 and, where forward cuts off "
            f"the last steps, {before}: {FUTURE}"
        )
    state = module.state_dict()
    kernel = as_array(state["weight"], joined(name, "weight"), (None, None, taps))
    bias = np.zeros(len(kernel))
    if "bias" in state:
        bias = as_array(state["bias"], joined(name, "bias"), bias.shape)
    return convolution(
        name,
        kernel.transpose(2, 1, 0),
        bias,
        padding="causal" if padding else "valid",
        dilation=dilation,
        groups=module.groups,
    )


def paddings(layers: Sequence[Layer]) -> Iterator[tuple[Layer, ...]]:
    """Yield layers as they were read, and with zeros before what has none of its own."""
    yield tuple(layers)
    if any(isinstance(layer, Convolution) and layer.lost for layer in layers):
        yield tuple(
            replace(layer, padding="causal") if isinstance(layer, Convolution) else layer
            for layer in layers
        )
