"""What values each tensor takes in float64, and how many of them there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint import Precision
from rnnrtl.graph.real import Real, RealNumbers, run
from rnnrtl.network import FloatArray, Network

Tensor = tuple[str, str]
"""Layer (or "" for the network's input) and tensor."""

WEIGHTS = ("kernel", "recurrent_kernel", "bias")


@dataclass
class Seen:
    """The values of one tensor.

    Members
    -------
    lowest, highest : the extremes, and 0
    values : how many there were
    tabled : whether a table gives them, so that they lie within -1..1 whatever the data
    """

    lowest: float = 0.0
    highest: float = 0.0
    values: int = 0
    tabled: bool = False

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in some values."""
        self.lowest = min(self.lowest, float(values.min(initial=0)))
        self.highest = max(self.highest, float(values.max(initial=0)))
        self.values += values.size


class _Surveyed(Real):
    """Vectors that note their values wherever one is brought into a format: that is a `Seen`."""

    def to(self, form: Any) -> Self:
        form.add(self.values)
        return self

    def lookup(self, function: str, output: Any, input_: Any, *, fast: bool = False) -> Self:
        found = super().lookup(function, output, input_)
        output.add(found.values)
        output.tabled = True
        return found


class _Weights(RealNumbers):
    """Weights that note their values wherever they are read."""

    def constant(self, values: NDArray[np.float64], form: Any) -> Real:
        form.add(values)
        return super().constant(values, form)

    def matvec(self, matrix: NDArray[np.float64], form: Any, x: Real) -> Real:
        form.add(matrix)
        return super().matvec(matrix, form, x)


def survey(network: Network, x: FloatArray) -> Mapping[Tensor, Seen]:
    """Return what every tensor of a network takes on over x (batch, steps, features).

    The number of values is that of a time step: the weights that are held, the lanes of a vector.
    """
    step = _surveyed(network, np.zeros((1, 1, network.features)))
    whole = _surveyed(network, x)
    return {
        tensor: Seen(found.lowest, found.highest, step[tensor].values, found.tabled)
        for tensor, found in whole.items()
    }


def _surveyed(network: Network, x: FloatArray) -> dict[Tensor, Seen]:
    found: dict[Tensor, Seen] = {("", "input"): Seen()}
    found["", "input"].add(x)
    numbers = _Weights(_Surveyed)
    run(network, x, numbers, lambda layer, tensor: found.setdefault((layer, tensor), Seen()))
    return found


def average_bits(network: Network, precision: Precision) -> tuple[float, float]:
    """Return the average bits of a weight and of an activation.

    Weights are those that the hardware holds: kernels, recurrent kernels and biases. Activations
    are the lanes of all vectors of a time step that have a format: the input, what goes into
    activation tables and comes out of them, states, and outputs of dense layers.
    """
    sizes = _surveyed(network, np.zeros((1, 1, network.features)))
    averages = []
    for weights in (True, False):
        chosen = {
            t: s.values for t, s in sizes.items() if (t[1] in WEIGHTS) == weights and s.values
        }
        bits = sum(precision.format(*tensor).width * n for tensor, n in chosen.items())
        averages.append(bits / sum(chosen.values()))
    return averages[0], averages[1]
