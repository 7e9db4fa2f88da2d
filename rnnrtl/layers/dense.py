"""Fully connected layers."""

from dataclasses import dataclass

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.layers.activations import HEAD_ACTIVATIONS
from rnnrtl.layers.stepping import FloatArray, checked


@dataclass(frozen=True, eq=False)
class Connected:
    """What layers share that are activation(kernel @ vector + bias).

    Members
    -------
    name : layer name, unique in its network
    kernel : (units, lanes of the vector)
    bias : (units,)
    activation : one of `HEAD_ACTIVATIONS`
    """

    name: str
    kernel: FloatArray
    bias: FloatArray
    activation: str = "linear"

    def __post_init__(self) -> None:
        kernel = checked(self.kernel, f"{self.name}.kernel")
        if kernel.ndim != 2 or 0 in kernel.shape:
            raise ModelError(
                f"{self.name}.kernel has shape {kernel.shape}, expected (units, features)"
            )
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(
            self, "bias", checked(self.bias, f"{self.name}.bias", (kernel.shape[0],))
        )
        kind = type(self).__name__
        if self.activation == "argmax" and kernel.shape[0] == 1:
            raise ModelError(f"{kind} {self.name!r}: argmax of one unit is always 0")
        if self.activation not in HEAD_ACTIVATIONS:
            raise UnsupportedError(
                f"{kind} {self.name!r}: activation {self.activation!r} is not supported, "
                f"only {', '.join(HEAD_ACTIVATIONS)}"
            )

    @property
    def units(self) -> int:
        """Rows of the kernel."""
        return int(self.kernel.shape[0])

    @property
    def outputs(self) -> int:
        """Length of the output vector."""
        return 1 if self.activation == "argmax" else self.units

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        return self.kernel.size + self.bias.size


@dataclass(frozen=True, eq=False)
class Dense(Connected):
    """Fully connected layer: activation(kernel @ x + bias), with kernel (units, features).

    Members
    -------
    Those of `Connected`.
    """

    @property
    def features(self) -> int:
        """Length of the input vector."""
        return int(self.kernel.shape[1])
