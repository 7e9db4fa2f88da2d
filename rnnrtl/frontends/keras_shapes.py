"""What flows between the layers of a Keras model, and what Reshape makes of it."""

import math
from dataclasses import dataclass

from rnnrtl.errors import UnsupportedError
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.values import brief


@dataclass(frozen=True)
class Shape:
    """What flows between layers: (steps, features), or (features,) after the last state.

    Members
    -------
    steps : None where the configuration leaves it open
    features : None before the first layer with weights, where nothing says it
    sequence : whether there is an axis of steps
    """

    steps: int | None = None
    features: int | None = None
    sequence: bool = True


def input_shape(spec: Spec) -> Shape:
    """Read the shape of the input at the first layer, (batch, steps, features) or less of it."""
    given = spec.given("batch_shape", "batch_input_shape")
    if isinstance(given, dict):  # a tuple, in some versions
        given = given.get("items", given)
    if given is None:
        features, steps = spec.options.get("input_dim"), spec.options.get("input_length")
        given = [None, steps, features]
    lengths = given[1:] if isinstance(given, list) else None
    if (
        not lengths
        or len(lengths) > 2
        or not all(length is None or _positive(length) for length in lengths)
    ):
        raise UnsupportedError(
            f"{spec}: an input of shape {brief(given)} is not supported, only (batch, steps, "
            "features) or (batch, features)"
        )
    if len(lengths) == 1:
        return Shape(None, lengths[0], sequence=False)
    return Shape(*lengths)


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _length(value: object) -> bool:
    return _positive(value) or (value == -1 and isinstance(value, int))


def cut(shape: Shape, target: object) -> Shape | None:
    """Return the steps into which a target_shape cuts a vector, None if it does something else."""
    if shape.sequence or shape.features is None:
        return None
    if isinstance(target, dict):  # a tuple, in some versions
        target = target.get("items")
    if not isinstance(target, list) or len(target) != 2 or not all(map(_length, target)):
        return None
    given = [length for length in target if length != -1]
    whole = math.prod(given)
    if not given or shape.features % whole or (len(given) == 2 and shape.features != whole):
        return None
    steps = shape.features // target[1] if target[0] == -1 else target[0]
    return Shape(steps, shape.features // steps)
