"""Keras' Flatten, RepeatVector, Permute and Reshape: the order of what flows there."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.keras_options import check_options
from rnnrtl.frontends.keras_shapes import Shape
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import brief
from rnnrtl.layers import Reshape, flatten, permute, repeat_vector, reshape

Lengths = tuple[int | None, ...]


def reshaped(spec: Spec, shape: Shape, features: int, *, first: bool) -> Reshape | None:
    """Return the layer that does what Keras' layer does to vectors of `features`.

    None where it leaves them as they are. `first` says whether no step has been read yet, so that
    a vector is a sequence of one step.
    """
    layer = _LAYERS[spec.kind](spec, (shape.steps, features) if shape.sequence else (features,))
    return replace(layer, steps=1) if layer and first and not shape.sequence else layer


def _flatten(spec: Spec, lengths: Lengths) -> Reshape | None:
    check_options(spec, "data_format")
    if spec.given("data_format", default="channels_last") != "channels_last":
        value = brief(spec.options["data_format"])
        raise UnsupportedError(f"{spec}: data_format={value} is not supported")
    return None if len(lengths) == 1 else flatten(identifier(spec.name), *_known(spec, lengths))


def _repeat(spec: Spec, lengths: Lengths) -> Reshape:
    check_options(spec, "n")
    if len(lengths) != 1:
        raise ModelError(f"{spec} needs a vector, but what comes before it gives a sequence")
    return repeat_vector(identifier(spec.name), spec.count("n"), *_known(spec, lengths))


def _permute(spec: Spec, lengths: Lengths) -> Reshape | None:
    check_options(spec, "dims")
    dims = _listed(spec.options.get("dims"))
    if dims == list(range(1, len(lengths) + 1)):
        return None
    if dims != [2, 1] or len(lengths) != 2:
        raise ModelError(f"{spec}: dims={brief(dims)} does not fit {len(lengths)} axes")
    return permute(identifier(spec.name), *_known(spec, lengths))


def _reshape(spec: Spec, lengths: Lengths) -> Reshape | None:
    check_options(spec, "target_shape")
    target = _listed(spec.options.get("target_shape"))
    if not isinstance(target, list) or not all(type(n) is int and n for n in target):
        raise ModelError(f"{spec}: target_shape={brief(target)} is no shape")
    if len(target) == len(lengths) and all(
        given in (-1, length) for given, length in zip(target, lengths, strict=True)
    ):
        return None
    taken = _known(spec, lengths)
    if len(target) > 2:
        raise UnsupportedError(
            f"{spec}: target_shape={brief(target)} is not supported, only (steps, features) or "
            "(features,)"
        )
    size, known = math.prod(taken), math.prod(n for n in target if n != -1)
    given = [size // known if n == -1 else n for n in target]
    if target.count(-1) > 1 or min(target) < -1 or math.prod(given) != size:
        raise ModelError(f"{spec}: target_shape={brief(target)} does not fit {size} values")
    return reshape(identifier(spec.name), taken, tuple(given))


_LAYERS: Mapping[str, Callable[[Spec, Lengths], Reshape | None]] = {
    "Flatten": _flatten, "RepeatVector": _repeat, "Permute": _permute, "Reshape": _reshape,
}  # fmt: skip
KINDS = tuple(_LAYERS)


def _listed(value: object) -> object:
    return value.get("items") if isinstance(value, dict) else value  # a tuple, in some versions


def _known(spec: Spec, lengths: Lengths) -> tuple[int, ...]:
    """Return the lengths, all of which must be said."""
    known = tuple(length for length in lengths if length is not None)
    if len(known) < len(lengths):
        raise ModelError(
            f"{spec} takes all steps at once, and the configuration leaves open how many there "
            "are: save a model whose input has a fixed number of steps"
        )
    return known
