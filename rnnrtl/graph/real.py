"""The cells' equations on float64: what the network was trained to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl import cells
from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.lut.functions import FUNCTIONS
from rnnrtl.network import Dense, FloatArray, Network


@dataclass(frozen=True, eq=False)
class Real:
    """A batch of float64 vectors; formats are ignored. Implements `cells.numbers.Vector`."""

    values: NDArray[np.float64]

    def __add__(self, other: "Real") -> "Real":
        return Real(self.values + other.values)

    def __sub__(self, other: "Real") -> "Real":
        return Real(self.values - other.values)

    def __mul__(self, other: "Real") -> "Real":
        return Real(self.values * other.values)

    def to(self, form: Any) -> "Real":
        return self

    def lookup(self, function: str, output: Any, input_: Any, *, fast: bool = False) -> "Real":
        return Real(FUNCTIONS[function].real(self.values))

    def relu(self) -> "Real":
        return Real(np.maximum(self.values, 0))

    def limited(self, lowest: int, highest: int) -> "Real":
        return Real(np.clip(self.values, lowest, highest))

    def lane(self, number: int) -> "Real":
        return Real(self.values[..., number : number + 1])

    def named(self, name: str) -> "Real":
        return self


class RealNumbers:
    """Weights as they were trained. Implements `cells.numbers.Numbers`."""

    def constant(self, values: NDArray[np.float64], form: Any) -> Real:
        return Real(np.asarray(values))

    def matvec(self, matrix: NDArray[np.float64], form: Any, x: Real) -> Real:
        return Real(np.asarray(x.values @ matrix.T))

    def joined(self, vectors: Sequence[Real]) -> Real:
        return Real(np.concatenate([vector.values for vector in vectors], axis=-1))

    def maximum(self, a: Real, b: Real) -> Real:
        return Real(np.maximum(a.values, b.values))

    def blend(self, z: Real, a: Real, b: Real) -> Real:
        return Real((1 - z.values) * a.values + z.values * b.values)


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
    value = checked_input(network, x)
    numbers = RealNumbers()

    def form(tensor: str) -> Format:
        return Format(1, 1)  # whatever it is, it is ignored

    for layer in network.layers:
        if isinstance(layer, Dense):
            value = cells.apply_dense(layer, Real(value), numbers, form).values
            continue
        zero = Real(np.zeros((value.shape[0], layer.units)))
        state = dict.fromkeys(cells.states(layer), zero)
        sequence = []
        for t in range(value.shape[1]):
            state = cells.step(layer, Real(value[:, t]), state, numbers, form)
            sequence.append(state["h"].values)
        value = np.stack(sequence, axis=1) if layer.return_sequences else sequence[-1]
    return np.asarray(value)
