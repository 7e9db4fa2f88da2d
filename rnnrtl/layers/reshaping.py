"""Layers without weights that make a vector of a sequence, or a sequence of a vector."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError
from rnnrtl.layers.stepping import count


@dataclass(frozen=True, eq=False)
class Reshape:
    """What comes in, in another order: all steps as one vector, or a vector step by step.

    Made by `flatten`, `repeat_vector` and `reshape`.

    Members
    -------
    name : layer name, unique in its network
    steps : time steps of the sequences that it takes, of which each must have so many; None where
        it takes one vector a sequence
    features : length of each vector that it takes
    order : which of the values that come in, counted step by step, each value is that it gives:
        (lanes,) where it gives one vector, (steps, lanes) where it gives a sequence
    """

    parameters: ClassVar[int] = 0
    activation: ClassVar[str] = "linear"

    name: str
    steps: int | None
    features: int
    order: NDArray[np.int64]

    def __post_init__(self) -> None:
        features = count(self.features, f"features of {self.name}")
        steps = None if self.steps is None else count(self.steps, f"steps of {self.name}")
        order = np.array(self.order)
        taken = features * (steps or 1)
        if order.ndim not in (1, 2) or order.size == 0 or order.dtype.kind not in "iu":
            raise ModelError(
                f"order of {self.name!r} must be whole numbers of shape (lanes,) or (steps, "
                f"lanes), not {order.dtype} of shape {order.shape}"
            )
        if order.min() < 0 or order.max() >= taken:
            raise ModelError(
                f"order of {self.name!r} must be numbers from 0 to {taken - 1}, for it takes "
                f"{taken} values"
            )
        order = order.astype(np.int64)
        order.setflags(write=False)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "order", order)

    @property
    def units(self) -> int:
        """Length of each vector given on."""
        return self.outputs

    @property
    def outputs(self) -> int:
        """Length of each vector given on."""
        return int(self.order.shape[-1])

    @property
    def return_sequences(self) -> bool:
        """Whether a sequence is given on (True) or one vector (False)."""
        return self.order.ndim == 2

    @property
    def output_steps(self) -> int | None:
        """Time steps of the sequence given on; None where that is one vector."""
        return len(self.order) if self.return_sequences else None


def flatten(name: str, steps: int, features: int) -> Reshape:
    """Return the layer that gives all steps as one vector, the first one first (Keras' Flatten)."""
    return Reshape(name, steps, features, np.arange(steps * features))


def repeat_vector(name: str, times: int, features: int) -> Reshape:
    """Return the layer that gives a vector as so many steps that are all it (RepeatVector)."""
    return Reshape(name, None, features, np.tile(np.arange(features), (times, 1)))


def reshape(name: str, taken: tuple[int, ...], given: tuple[int, ...]) -> Reshape:
    """Return the layer that takes vectors or sequences of one shape and gives another (Reshape).

    The shapes are (features,) or (steps, features).
    """
    if np.prod(taken) != np.prod(given):
        raise ModelError(f"layer {name!r} makes {given} of {taken}, which are not as many values")
    steps = taken[0] if len(taken) == 2 else None
    return Reshape(name, steps, taken[-1], np.arange(np.prod(given)).reshape(given))


def permute(name: str, steps: int, features: int) -> Reshape:
    """Return the layer that makes features steps, and steps features (Keras' Permute((2, 1)))."""
    order = np.arange(steps * features).reshape(steps, features).T
    return Reshape(name, steps, features, order)
