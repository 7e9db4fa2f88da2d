"""Keras' normalisations with fixed statistics, as affine maps of the features.

Sources: `call` in keras/src/layers/normalization/batch_normalization.py and, in
keras/src/layers/preprocessing, of normalization.py and rescaling.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.folding import Affine, check_equal_shapes, standardised
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.values import as_array, brief
from rnnrtl.layers import FloatArray

Weights = Callable[..., Mapping[str, NDArray[Any]]]
"""Gives the arrays of the layer that have the names given."""

_SMALLEST = 1e-7  # keras.config.epsilon(): what a standard deviation is at least


def batch_normalization(spec: Spec, axes: int, weights: Weights) -> Affine:
    """Return gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta."""
    _check_axis(spec, axes)
    if spec.flag("renorm", default=False):
        raise UnsupportedError(f"{spec}: renorm=True is not supported")
    epsilon = _number(spec, spec.given("epsilon", default=1e-3), "epsilon")
    trained = [name for name, switch in (("gamma", "scale"), ("beta", "center"))
               if spec.flag(switch, default=True)]  # fmt: skip
    arrays = weights(*trained, "moving_mean", "moving_variance")
    values = {
        name.removeprefix("moving_"): as_array(array, f"{spec}: {name}", (None,))
        for name, array in arrays.items()
    }
    return standardised(str(spec), epsilon, values)


def normalization(spec: Spec, axes: int, weights: Weights) -> Affine:
    """Return (x - mean) / sqrt(variance), or the inverse of that; numbers of the data that it saw.

    They are weights, or options where the user gave them.
    """
    if spec.options.get("axis", -1) is not None:
        _check_axis(spec, axes)
    given = {key: spec.options.get(key) for key in ("mean", "variance")}
    if given["mean"] is None:
        arrays: Mapping[str, Any] = weights("mean", "variance", "count")
        given = {key: arrays[key] for key in given}
    values = {key: _vector(spec, value, key) for key, value in given.items()}
    check_equal_shapes(str(spec), values)
    with np.errstate(invalid="ignore"):  # a negative variance gives no finite scale
        deviation = np.maximum(np.sqrt(values["variance"]), _SMALLEST)
    if spec.flag("invert", default=False):
        return Affine(deviation, values["mean"])
    return Affine(1 / deviation, -values["mean"] / deviation)


def rescaling(spec: Spec, axes: int, weights: Weights) -> Affine:
    """Return scale * x + offset; both are options."""
    weights()
    parts = (_vector(spec, spec.given(key, default=0.0), key) for key in ("scale", "offset"))
    return Affine(*parts)


_BATCH = (
    "axis", "momentum", "epsilon", "center", "scale", "synchronized", "fused", "renorm_clipping",
    "renorm_momentum",
)  # fmt: skip
NORMALISATIONS: Mapping[str, tuple[Callable[[Spec, int, Weights], Affine], Sequence[str]]] = {
    "BatchNormalization": (batch_normalization, _BATCH),
    "Normalization": (normalization, ("axis", "mean", "variance", "invert")),
    "Rescaling": (rescaling, ("scale", "offset")),
}
"""Class -> its reader, which takes (spec, number of axes of its input, weights), and options."""


def _check_axis(spec: Spec, axes: int) -> None:
    """Raise for anything that is normalised but each feature by itself."""
    axis = spec.options.get("axis", -1)
    if isinstance(axis, dict):  # a tuple, in some versions
        axis = axis.get("items")
    if axis not in (-1, [-1], axes - 1, [axes - 1]):
        raise UnsupportedError(
            f"{spec}: axis={brief(axis)} is not supported, only the last, that of the features"
        )


def _number(spec: Spec, value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{spec}: {key} must be a number, not {brief(value)}")
    return float(value)


def _vector(spec: Spec, value: object, key: str) -> FloatArray:
    """Return one number, or one for each feature, which may stand in axes of length 1."""
    if isinstance(value, dict):  # an array, in some versions
        inner = value.get("config", {})
        value = inner.get("value") if isinstance(inner, dict) else None
    array = as_array(value, f"{spec}: {key}")
    if array.size > 1 and array.size != array.shape[-1]:
        raise UnsupportedError(
            f"{spec}: its {key} has shape {array.shape}: only one number for each feature is "
            "supported"
        )
    return array.reshape(()) if array.size == 1 else array.reshape(-1)
