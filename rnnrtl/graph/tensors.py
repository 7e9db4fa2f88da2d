"""Which tensors a layer has, and what values they take on in float64: its equations tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnnrtl.cells.batches import run
from rnnrtl.fixedpoint.format import Format
from rnnrtl.fixedpoint.precision import TENSORS
from rnnrtl.graph.real import Real, RealNumbers
from rnnrtl.layers import Convolution, FloatArray, Layer, Reshape
from rnnrtl.lut.functions import FUNCTIONS
from rnnrtl.network import Network

Tensor = tuple[str, str]
"""Layer (or "" for the network's input) and tensor."""

WEIGHTS = ("kernel", "recurrent_kernel", "projection", "bias")


@dataclass
class Seen:
    """The values of one tensor.

    Members
    -------
    lowest, highest : the extremes, and 0
    values : how many there were
    tables, sums : whether they come from tables, which end at 1, and whether from anything else
    """

    lowest: float = 0.0
    highest: float = 0.0
    values: int = 0
    tables: bool = False
    sums: bool = False

    def add(self, values: NDArray[np.float64], *, table: bool = False) -> None:
        """Take in some values."""
        self.reach(values)
        self.values += values.size
        self.tables |= table
        self.sums |= not table

    def reach(self, values: NDArray[np.float64]) -> None:
        """Take in the extremes of values that no step computes."""
        self.lowest = min(self.lowest, float(values.min(initial=0)))
        self.highest = max(self.highest, float(values.max(initial=0)))


_MARK_BITS = 16


@dataclass(frozen=True, repr=False)
class _Mark(Format):
    """A format that knows its tensor; so do those that equations derive from it.

    Wider ones are for what is on the way to the tensor, and note nothing but that it is read.
    """

    seen: Seen = field(default_factory=Seen, compare=False)
    weight: bool = field(default=False, compare=False)


class _Vectors(Real):
    """Vectors that note their values wherever one is brought into a format."""

    def to(self, form: Any) -> Self:
        if isinstance(form, _Mark) and form.width == _MARK_BITS:
            form.seen.add(self.values)
        return self


class _Noting(RealNumbers):
    """Weights, and what activation functions give, that note their values."""

    def lookup(
        self, x: Real, function: str, output: Any, input_: Any, *, fast: bool = False
    ) -> Real:
        found = super().lookup(x, function, output, input_)
        if isinstance(output, _Mark) and output.width == _MARK_BITS:
            output.seen.add(found.values, table=function in FUNCTIONS)
        return found

    def constant(self, values: NDArray[np.float64], form: Any) -> Real:
        if isinstance(form, _Mark) and form.width == _MARK_BITS:
            if form.weight:
                form.seen.add(values)
            else:  # a state before the first step
                form.seen.reach(values)
        return super().constant(values, form)

    def matvec(self, matrix: NDArray[np.float64], form: Any, x: Real) -> Real:
        form.seen.add(matrix)
        return super().matvec(matrix, form, x)

    def column(self, matrix: NDArray[np.float64], form: Any, x: Real) -> Real:
        form.seen.add(matrix)
        return super().column(matrix, form, x)


def surveyed(network: Network, x: FloatArray) -> Mapping[Tensor, Seen]:
    """Return the values of every tensor that a network reads over x (batch, steps, features)."""
    return _surveyed(network.layers, x, network.mask_value)


def surveyed_step(network: Network) -> Mapping[Tensor, Seen]:
    """Return what every tensor of a network is over one step that is all zeros."""
    layers = [_of_one_step(layer) for layer in network.layers]
    return _surveyed(layers, np.zeros((1, 1, network.features)), network.mask_value)


def _of_one_step(layer: Layer) -> Layer:
    """Return a layer that gives as long vectors, of one step or for one step."""
    found = layer
    if isinstance(layer, Convolution):
        found = replace(layer, padding="causal")
    elif isinstance(layer, Reshape):
        order = layer.order[:1] if layer.return_sequences else layer.order
        found = replace(layer, steps=layer.steps and 1, order=order % layer.features)
    return found


def _surveyed(
    layers: Sequence[Layer], x: FloatArray, mask_value: float | None
) -> Mapping[Tensor, Seen]:
    marks = {("", "input"): _Mark(_MARK_BITS, 8)}
    marks["", "input"].seen.add(x)

    def form(layer: str, tensor: str, gate: str = "") -> Format:
        key = layer, tensor
        if key not in marks:
            marks[key] = _Mark(_MARK_BITS, 8, weight=tensor in WEIGHTS)
        return marks[key]

    run(layers, x, _Noting(_Vectors), form, mask_value=mask_value)
    return {tensor: mark.seen for tensor, mark in marks.items() if mark.seen.values}


def tensors(network: Network) -> Mapping[str, tuple[str, ...]]:
    """Return the tensors that have a format: layer name -> names, as in `TENSORS`.

    The network's own input is `input` of the layer "".
    """
    read = surveyed_step(network)
    names = dict.fromkeys(["", *(layer.name for layer in (*network.layers, *network.parts))])
    return {name: tuple(t for t in TENSORS if (name, t) in read) for name in names}
