"""The cells' equations on float64: what the network was trained to be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnnrtl import cells
from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.lut.functions import REAL
from rnnrtl.network import Dense, FloatArray, Network


@dataclass(frozen=True, eq=False)
class Real:
    """A batch of float64 vectors; formats are ignored. Implements `cells.numbers.Vector`."""

    values: NDArray[np.float64]

    def __add__(self, other: Self) -> Self:
        return type(self)(self.values + other.values)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.values - other.values)

    def __mul__(self, other: Self) -> Self:
        return type(self)(self.values * other.values)

    def to(self, form: Any) -> Self:
        return self

    def relu(self) -> Self:
        return type(self)(np.maximum(self.values, 0))

    def limited(self, lowest: int, highest: int) -> Self:
        return type(self)(np.clip(self.values, lowest, highest))

    def lane(self, number: int) -> Self:
        return type(self)(self.values[..., number : number + 1])

    def named(self, name: str) -> Self:
        return self


@dataclass(frozen=True)
class RealNumbers:
    """Weights as they were trained. Implements `cells.numbers.Numbers`.

    Members
    -------
    vector : what its vectors are
    """

    vector: type[Real] = Real

    def constant(self, values: NDArray[np.float64], form: Any) -> Real:
        return self.vector(np.asarray(values))

    def matvec(self, matrix: NDArray[np.float64], form: Any, x: Real) -> Real:
        return self.vector(np.asarray(x.values @ matrix.T))

    def joined(self, vectors: Sequence[Real]) -> Real:
        return self.vector(np.concatenate([vector.values for vector in vectors], axis=-1))

    def maximum(self, a: Real, b: Real) -> Real:
        return self.vector(np.maximum(a.values, b.values))

    def lookup(
        self, x: Real, function: str, output: Any, input_: Any, *, fast: bool = False
    ) -> Real:
        return self.vector(REAL[function](x.values))

    def argmax(self, x: Real) -> Real:
        return self.vector(np.argmax(x.values, axis=-1, keepdims=True).astype(np.float64))

    def blend(self, z: Real, a: Real, b: Real) -> Real:
        return self.vector((1 - z.values) * a.values + z.values * b.values)


def checked_input(network: Network, x: object) -> FloatArray:
    """Return x as float64 (batch, steps, features), or raise InputError."""
    try:
        given: NDArray[Any] = np.asarray(x)
        if given.dtype.kind == "c":
            raise TypeError("it is complex")  # NumPy would drop the imaginary part
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"x is not an array of real numbers: {error}") from None
    if array.ndim != 3 or array.shape[2] != network.features or array.shape[1] == 0:
        raise InputError(
            f"x has shape {array.shape}, expected (batch, steps, features) with "
            f"{network.features} features and at least one step"
        )
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"x is {array[where]} at index {where}: inputs must be finite")
    return array


def predict(network: Network, x: object) -> FloatArray:
    """Run a network in float64; see `Network.predict`."""
    return run(network, checked_input(network, x), RealNumbers(), _any_format)


def _any_format(layer: str, tensor: str, gate: str = "") -> Format:
    return Format(1, 1)  # whatever it is, it is ignored


def run(
    network: Network,
    x: FloatArray,
    numbers: RealNumbers,
    form: Callable[..., Format],
) -> FloatArray:
    """Run a network in float64, on numbers of one's own.

    The cells are given form(layer, tensor, gate) for the format of a tensor. x has shape
    (batch, steps, features); the result is that of `predict`.
    """
    value = x
    for layer in network.layers:
        of_layer = partial(form, layer.name)
        if isinstance(layer, Dense):
            value = cells.apply_dense(layer, numbers.vector(value), numbers, of_layer).values
            continue
        zero = numbers.vector(np.zeros((value.shape[0], layer.units)))
        state = dict.fromkeys(cells.states(layer), zero)
        sequence = []
        for t in range(value.shape[1]):
            state = cells.step(layer, numbers.vector(value[:, t]), state, numbers, of_layer)
            sequence.append(state["h"].values)
        value = np.stack(sequence, axis=1) if layer.return_sequences else sequence[-1]
    return np.asarray(value)
