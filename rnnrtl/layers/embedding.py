"""Vectors that stand for whole numbers."""

from dataclasses import dataclass
from typing import ClassVar

from rnnrtl.errors import ModelError
from rnnrtl.layers.stepping import FloatArray, checked


@dataclass(frozen=True, eq=False)
class Embedding:
    """A vector for each whole number from 0 up, as words and letters have: a network's first layer.

    A step of its input is one number; in hardware, what is none of them is read as the nearest one.

    Members
    -------
    name : layer name, unique in its network
    kernel : (units, vocabulary), a column for each number: it is kernel @ x for a one-hot x
    """

    features: ClassVar[int] = 1
    activation: ClassVar[str] = "linear"

    name: str
    kernel: FloatArray

    def __post_init__(self) -> None:
        kernel = checked(self.kernel, f"{self.name}.kernel")
        if kernel.ndim != 2 or 0 in kernel.shape:
            raise ModelError(
                f"{self.name}.kernel has shape {kernel.shape}, expected (units, vocabulary)"
            )
        object.__setattr__(self, "kernel", kernel)

    @property
    def vocabulary(self) -> int:
        """How many numbers there are."""
        return int(self.kernel.shape[1])

    @property
    def units(self) -> int:
        """Length of a vector."""
        return int(self.kernel.shape[0])

    @property
    def outputs(self) -> int:
        """Length of the vector given on."""
        return self.units

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        return self.kernel.size
