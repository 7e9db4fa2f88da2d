"""Keras' Flatten, RepeatVector, Permute and Reshape: the order of what flows there."""

import math

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.keras_options import check_options
from rnnrtl.frontends.keras_shapes import Shape
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import brief
from rnnrtl.layers import Reshape

KINDS = ("Flatten", "RepeatVector", "Permute", "Reshape")


def reshaped(spec: Spec, shape: Shape, features: int, *, first: bool) -> Reshape | None:
    """Return the layer that does what Keras' layer does to vectors of `features`.

    None where it leaves them as they are. `first` says whether no step has been read yet, so that
    a vector is a sequence of one step.
    """
    lengths = (shape.steps, features) if shape.sequence else (features,)
    order = _ORDERS[spec.kind](spec, lengths)
    if order is None:
        return None
    taken = 1 if first and not shape.sequence else shape.steps if shape.sequence else None
    return Reshape(identifier(spec.name), taken, features, order)


def _flatten(spec: Spec, lengths: tuple[int | None, ...]) -> IntArray | None:
    check_options(spec, "data_format")
    if spec.given("data_format", default="channels_last") != "channels_last":
        value = brief(spec.options["data_format"])
        raise UnsupportedError(f"{spec}: data_format={value} is not supported")
    return None if len(lengths) == 1 else _counted(spec, lengths).ravel()


def _repeat(spec: Spec, lengths: tuple[int | None, ...]) -> IntArray:
    check_options(spec, "n")
    if len(lengths) != 1:
        raise ModelError(f"{spec} needs a vector, but what comes before it gives a sequence")
    return np.tile(_counted(spec, lengths), (spec.count("n"), 1))


def _permute(spec: Spec, lengths: tuple[int | None, ...]) -> IntArray | None:
    check_options(spec, "dims")
    dims = _listed(spec.options.get("dims"))
    if dims == list(range(1, len(lengths) + 1)):
        return None
    if dims != [2, 1] or len(lengths) != 2:
        raise ModelError(f"{spec}: dims={brief(dims)} does not fit {len(lengths)} axes")
    return _counted(spec, lengths).T


def _reshape(spec: Spec, lengths: tuple[int | None, ...]) -> IntArray | None:
    check_options(spec, "target_shape")
    target = _listed(spec.options.get("target_shape"))
    if not isinstance(target, list) or not all(type(n) is int and n for n in target):
        raise ModelError(f"{spec}: target_shape={brief(target)} is no shape")
    if len(target) == len(lengths) and all(
        given in (-1, length) for given, length in zip(target, lengths, strict=True)
    ):
        return None
    order = _counted(spec, lengths)
    if len(target) > 2:
        raise UnsupportedError(
            f"{spec}: target_shape={brief(target)} is not supported, only (steps, features) or "
            "(features,)"
        )
    known = math.prod(n for n in target if n != -1)
    if target.count(-1) > 1 or min(target) < -1 or order.size % known:
        raise ModelError(f"{spec}: target_shape={brief(target)} does not fit {order.size} values")
    if -1 not in target and known != order.size:
        raise ModelError(f"{spec}: target_shape={brief(target)} does not fit {order.size} values")
    return order.reshape(target)


_ORDERS = {
    "Flatten": _flatten, "RepeatVector": _repeat, "Permute": _permute, "Reshape": _reshape,
}  # fmt: skip


def _listed(value: object) -> object:
    return value.get("items") if isinstance(value, dict) else value  # a tuple, in some versions


def _counted(spec: Spec, lengths: tuple[int | None, ...]) -> IntArray:
    """Return the numbers of all values, of the shape that they have."""
    if None in lengths:
        raise ModelError(
            f"{spec} takes all steps at once, and the configuration leaves open how many there "
            "are: save a model whose input has a fixed number of steps"
        )
    sizes = [int(n) for n in lengths if n is not None]
    return np.arange(math.prod(sizes)).reshape(sizes)
