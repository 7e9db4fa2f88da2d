"""How many values of each tensor there are, and their average bits."""

from collections.abc import Mapping
from dataclasses import replace

from rnnrtl.fixedpoint import Precision
from rnnrtl.graph.tensors import WEIGHTS, Seen, Tensor, surveyed, surveyed_step
from rnnrtl.layers import FloatArray
from rnnrtl.network import Network


def survey(network: Network, x: FloatArray) -> Mapping[Tensor, Seen]:
    """Return what every tensor of a network takes on over x (batch, steps, features).

    The number of values is that of a time step: the weights that are held, the lanes of a vector.
    """
    step = surveyed_step(network)
    return {
        tensor: replace(found, values=step[tensor].values)
        for tensor, found in surveyed(network, x).items()
    }


def average_bits(network: Network, precision: Precision) -> tuple[float, float]:
    """Return the average bits of a weight and of an activation.

    Weights are those that the hardware holds: kernels, recurrent kernels and biases. Activations
    are the lanes of all vectors of a time step that have a format: the input, what goes into
    activation tables and comes out of them, states, and outputs of dense layers.
    """
    sizes = surveyed_step(network)
    return averages(sizes, {tensor: precision.format(*tensor).width for tensor in sizes})


def averages(sizes: Mapping[Tensor, Seen], widths: Mapping[Tensor, int]) -> tuple[float, float]:
    """Return the average width of weights and of activations, each tensor as often as it counts."""
    found = []
    for weights in (True, False):
        counts = {t: seen.values for t, seen in sizes.items() if (t[1] in WEIGHTS) == weights}
        found.append(sum(widths[t] * n for t, n in counts.items()) / sum(counts.values()))
    return found[0], found[1]
