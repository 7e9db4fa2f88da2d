"""Convolution over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.layers.dense import Connected
from rnnrtl.layers.stepping import Stepping, count

PADDINGS = ("causal", "valid")
"""What stands before a sequence's first step: zeros, or nothing."""


@dataclass(frozen=True, eq=False)
class Convolution(Connected, Stepping):
    """Convolution over time with stride 1: a dense layer of the last steps.

    Step t is activation(kernel @ (x[t - taps + 1], ..., x[t]) + bias).

    Members
    -------
    name : layer name, unique in its network
    kernel : (units, taps * features), the oldest step first; dilations and groups are zeros in it
    bias : (units,)
    activation : one of `HEAD_ACTIVATIONS`
    taps : steps that an output is computed from, at least 2 (of one, it is a dense layer)
    padding : "causal", with zeros before the first step, or "valid": the first taps - 1 steps
        give nothing on
    """

    states: ClassVar[Mapping[str, str]] = MappingProxyType({"window": ""})
    return_sequences: ClassVar[bool] = True  # type: ignore[misc]

    taps: int = field(kw_only=True)
    padding: str = field(default="causal", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "taps", count(self.taps, f"taps of {self.name}"))
        if self.taps < 2 or self.kernel.shape[1] % self.taps:
            raise ModelError(
                f"{self.name}.kernel has shape {self.kernel.shape} and {self.taps} taps, expected "
                "(units, taps * features) with 2 taps or more"
            )
        if self.padding not in PADDINGS:
            raise UnsupportedError(
                f"Convolution {self.name!r}: padding {self.padding!r} is not supported, only "
                f"{', '.join(PADDINGS)}"
            )

    @property
    def features(self) -> int:
        """Length of the vector taken in at each step."""
        return int(self.kernel.shape[1]) // self.taps

    @property
    def lost(self) -> int:
        """First steps for which nothing is given on."""
        return self.taps - 1 if self.padding == "valid" else 0
