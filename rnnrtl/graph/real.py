"""The cells' equations on float64: what the network was trained to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnnrtl.cells.batches import Batch, States, run
from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Embedding, FloatArray
from rnnrtl.lut.functions import REAL
from rnnrtl.network import Network


class Real(Batch):
    """A batch of float64 vectors; formats are ignored. Implements `cells.numbers.Vector`."""

    def to(self, form: Any) -> Self:
        return self

    def relu(self) -> Self:
        return type(self)(np.maximum(self.values, 0))

    def limited(self, lowest: int, highest: int) -> Self:
        return type(self)(np.clip(self.values, lowest, highest))


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

    def column(self, matrix: NDArray[np.float64], form: Any, x: Real) -> Real:
        return self.vector(matrix.T[x.values[..., 0].astype(np.int64)])

    def zero(self, x: Real) -> Real:
        return self.vector(np.zeros_like(x.values))

    def lowest(self, x: Real) -> Real:
        return self.vector(np.full_like(x.values, -np.inf))

    def total(self, a: Real, x: Real, most: int) -> Real:
        return a + x

    def joined(self, vectors: Sequence[Real]) -> Real:
        return self.vector(np.concatenate([vector.values for vector in vectors], axis=-1))

    def maximum(self, a: Real, b: Real) -> Real:
        return self.vector(np.maximum(a.values, b.values))

    def all_equal(self, x: Real, value: float, form: Any) -> Real:
        equal = (x.values == value).all(axis=-1, keepdims=True)
        return self.vector(equal.astype(np.float64))

    def select(self, condition: Real, a: Real, b: Real) -> Real:
        return self.vector(np.where(condition.values == 1, a.values, b.values))

    def lookup(
        self, x: Real, function: str, output: Any, input_: Any, *, fast: bool = False
    ) -> Real:
        return self.vector(REAL[function](x.values))

    def argmax(self, x: Real) -> Real:
        return self.vector(np.argmax(x.values, axis=-1, keepdims=True).astype(np.float64))

    def blend(self, z: Real, a: Real, b: Real) -> Real:
        return self.vector((1 - z.values) * a.values + z.values * b.values)

    def stacked(self, steps: Sequence[FloatArray]) -> FloatArray:
        """Return (batch, steps, units)."""
        return np.stack(steps, axis=1)


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
    if network.fixed_by and array.shape[1] != network.steps:
        raise InputError(
            f"x has {array.shape[1]} time steps, but each sequence must have {network.steps}: "
            f"layer {network.fixed_by!r} takes so many"
        )
    if array.shape[1] <= network.lost:
        raise InputError(
            f"x has {array.shape[1]} time steps, but convolutions with padding 'valid' take "
            f"{network.lost + 1} at least"
        )
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"x is {array[where]} at index {where}: inputs must be finite")
    first = network.layers[0]
    if isinstance(first, Embedding):
        wrong = array[(array != np.floor(array)) | (array < 0) | (array >= first.vocabulary)]
        if wrong.size:
            raise InputError(
                f"x holds {wrong[0]:g}, but layer {first.name!r} takes whole numbers from 0 to "
                f"{first.vocabulary - 1}"
            )
    return array


def predict(network: Network, x: object) -> FloatArray:
    """Run a network in float64; see `Network.predict`."""
    array = checked_input(network, x)
    found: FloatArray = run(
        network.layers, array, RealNumbers(), _any_format, mask_value=network.mask_value
    )
    return found


class InFloat:
    """The states of a network in float64. Implements `rnnrtl.streaming.Recurrences`."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def initial(self, batch: int) -> States:
        return {
            layer.name: {name: np.tile(layer.initial[name], (batch, 1)) for name in layer.states}
            for layer in self._network.recurrent
        }

    def advance(self, x: FloatArray, state: States) -> tuple[FloatArray, States]:
        states = dict(state)
        network = self._network
        found: FloatArray = run(
            network.layers, x, RealNumbers(), _any_format, states, mask_value=network.mask_value
        )
        return found, states

    def check(self, layer: str, name: str, values: FloatArray) -> None:
        if not np.isfinite(values).all():
            raise InputError(f"state {layer}.{name} is {values[~np.isfinite(values)][0]}")


def _any_format(layer: str, tensor: str, gate: str = "") -> Format:
    return Format(1, 1)  # whatever it is, it is ignored
