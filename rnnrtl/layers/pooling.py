"""Pooling over time: one vector of a whole sequence, without weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from rnnrtl.layers.stepping import Stepping, count


@dataclass(frozen=True, eq=False)
class Pooling(Stepping):
    """What the two have in common.

    Members
    -------
    name : layer name, unique in its network
    features : length of the vectors
    """

    return_sequences: ClassVar[bool] = False  # type: ignore[misc]
    parameters: ClassVar[int] = 0
    activation: ClassVar[str] = "linear"

    name: str
    features: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", count(self.features, f"features of {self.name}"))

    @property
    def units(self) -> int:
        """Length of the vector given on."""
        return self.features

    @property
    def outputs(self) -> int:
        """Length of the vector given on."""
        return self.features


@dataclass(frozen=True, eq=False)
class MaxPooling(Pooling):
    """The largest of all steps, feature by feature; it has the format of what it takes in."""

    states: ClassVar[Mapping[str, str]] = MappingProxyType({"largest": ""})


@dataclass(frozen=True, eq=False)
class AveragePooling(Pooling):
    """The mean of all steps, feature by feature.

    Members
    -------
    steps : time steps of a sequence, of which each must have so many: the sum is divided by it
    """

    states: ClassVar[Mapping[str, str]] = MappingProxyType({"sum": ""})

    steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", count(self.steps, f"steps of {self.name}"))
