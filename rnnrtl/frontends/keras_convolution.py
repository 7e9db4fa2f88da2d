"""Read Keras' Conv1D."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.convolutions import FUTURE, convolution
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.keras_options import check_options
from rnnrtl.frontends.keras_shapes import Shape
from rnnrtl.frontends.keras_weights import check_shapes
from rnnrtl.frontends.values import as_array, brief
from rnnrtl.layers import PADDINGS, Convolution, Dense

_OPTIONS = (
    "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups",
)  # fmt: skip


def read_convolution(
    spec: Spec,
    shape: Shape,
    activation: str,
    weights: Callable[..., Mapping[str, NDArray[Any]]],
) -> tuple[Convolution | Dense, Shape]:
    """Return the layer of a Conv1D that takes `shape`, and the shape that it gives.

    `weights` returns the arrays of some names, which are all that the layer shall have. Raises
    UnsupportedError for an option that is not computed, ModelError for a damaged one.
    """
    check_options(spec, *_OPTIONS)
    if not shape.sequence:
        raise ModelError(f"{spec} needs a sequence, but what comes before it gives a vector")
    padding = spec.given("padding", default="valid")
    if padding not in PADDINGS:
        why = f": {FUTURE}" if padding == "same" else ""
        raise UnsupportedError(
            f"{spec}: padding={brief(padding)} is not supported, only 'causal' and 'valid'{why}"
        )
    order = spec.given("data_format", default="channels_last")
    if order != "channels_last":
        raise UnsupportedError(f"{spec}: data_format={brief(order)} is not supported")
    if (strides := _number(spec, "strides", default=1)) != 1:
        raise UnsupportedError(f"{spec}: strides={strides} is not supported, only 1")
    dilation, groups = (_number(spec, key, default=1) for key in ("dilation_rate", "groups"))
    taps, units = _number(spec, "kernel_size"), spec.count("filters")
    bias = ("bias",) if spec.flag("use_bias", default=True) else ()
    arrays = weights("kernel", *bias)
    if shape.features is not None and shape.features % groups:
        raise ModelError(f"{spec}: {shape.features} features are not {groups} equal groups")
    features = None if shape.features is None else shape.features // groups
    check_shapes(spec, arrays, {"kernel": (taps, features, units), "bias": (units,)})
    layer = convolution(
        spec.name,
        as_array(arrays["kernel"], f"{spec.name}/kernel"),
        as_array(arrays["bias"], f"{spec.name}/bias") if bias else np.zeros(units),
        activation,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    steps = shape.steps
    if steps is not None and isinstance(layer, Convolution):
        steps -= layer.lost
        if steps < 1:
            raise ModelError(f"{spec} takes {layer.taps} steps, but gets {shape.steps} only")
    return layer, Shape(steps, layer.outputs)


def _number(spec: Spec, key: str, *, default: int | None = None) -> int:
    """Return an option that is one positive integer, or a list of one."""
    value = spec.given(key, default=default)
    if isinstance(value, dict):  # a tuple, in some versions
        value = value.get("items", value)
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{spec}: {key} must be a positive integer, not {brief(value)}")
    return value
