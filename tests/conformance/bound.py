"""How far a fixed-point network may be from its float64 one on given inputs, from formats alone.

A running error analysis (N. Higham, Accuracy and Stability of Numerical Algorithms, 2002, section
3.3): each number goes with a bound on what its fixed-point twin may be off by. Only `.to(format)`,
constants and tables add to it; sums and products carry it on.
"""

import operator
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnnrtl.cells.batches import run
from rnnrtl.fixedpoint import Format, Precision, Rounding
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.graph.real import Real, RealNumbers
from rnnrtl.lut.functions import REAL
from rnnrtl.network import Network

Complex = NDArray[np.complex128]
Array = NDArray[np.float64]


def bounded(value: Array, error: Array | float) -> Complex:
    """Return numbers with their bounds, as the real and the imaginary part of one array.

    So whatever moves numbers, by any of NumPy's ways, moves their bounds along.
    """
    return np.asarray(value + 1j * np.asarray(error))


def in_format(value: Array, error: Array | float, form: Format) -> Complex:
    """Return numbers brought into a format: half an LSB of nearest, all of one of TRN.

    A number within the range stays as near when it is limited to it; one outside falls short by
    what it is outside.
    """
    low, high = form.min_code * form.lsb, form.max_code * form.lsb
    outside = np.maximum(np.maximum(value - high, low - value), 0)
    cut = form.rounding in (Rounding.TRN, Rounding.TRN_ZERO)
    return bounded(value, error + form.lsb * (1 if cut else 0.5) + outside)


class Bounded(Real):
    """A batch of vectors with bounds. Implements `cells.numbers.Vector`."""

    @property
    def value(self) -> Array:
        return np.asarray(self.values).real

    @property
    def error(self) -> Array:
        return np.asarray(self.values).imag

    def __mul__(self, other: Self) -> Self:
        return self._made(self.value * other.value, product_error(self, other))

    def __sub__(self, other: Self) -> Self:
        return self._made(self.value - other.value, self.error + other.error)

    def to(self, form: Any) -> Self:
        return type(self)(in_format(self.value, self.error, form))

    def relu(self) -> Self:
        return self.mapped(lambda x: np.maximum(x, 0))

    def limited(self, lowest: int, highest: int) -> Self:
        return self.mapped(lambda x: np.clip(x, lowest, highest))

    def mapped(self, function: Callable[[Array], Array]) -> Self:
        """Return a rising function: it is farthest off at an end of the interval."""
        y = function(self.value)
        ends = [function(self.value + sign * self.error) for sign in (-1, 1)]
        return self._made(y, np.maximum(np.abs(ends[0] - y), np.abs(ends[1] - y)))

    def _made(self, value: Array, error: Array) -> Self:
        return type(self)(bounded(value, error))


def product_error(a: Bounded, b: Bounded) -> Array:
    """Return the bound of a * b."""
    return np.abs(a.value) * b.error + np.abs(b.value) * a.error + a.error * b.error


class BoundedNumbers(RealNumbers):
    """Weights with what rounding takes from them. Implements `cells.numbers.Numbers`."""

    def __init__(self) -> None:
        super().__init__(Bounded)

    def constant(self, values: Array, form: Any) -> Bounded:
        return Bounded(bounded(values, np.abs(_rounded(values, form) - values)))

    def matvec(self, matrix: Array, form: Any, x: Real) -> Bounded:
        assert isinstance(x, Bounded)
        off = np.abs(_rounded(matrix, form) - matrix)
        error = x.error @ np.abs(matrix).T + (np.abs(x.value) + x.error) @ off.T
        return Bounded(bounded(x.value @ matrix.T, error))

    def column(self, matrix: Array, form: Any, x: Real) -> Bounded:
        assert isinstance(x, Bounded)
        rounded = bounded(matrix, np.abs(_rounded(matrix, form) - matrix))
        return Bounded(rounded.T[x.value[..., 0].astype(np.int64)])

    def zero(self, x: Real) -> Bounded:
        assert isinstance(x, Bounded)
        return Bounded(bounded(np.zeros_like(x.value), 0.0))

    def lowest(self, x: Real) -> Bounded:
        assert isinstance(x, Bounded)
        return Bounded(bounded(np.full_like(x.value, -np.inf), 0.0))

    def maximum(self, a: Real, b: Real) -> Bounded:
        assert isinstance(a, Bounded)
        assert isinstance(b, Bounded)
        return Bounded(bounded(np.maximum(a.value, b.value), np.maximum(a.error, b.error)))

    def all_equal(self, x: Real, value: float, form: Any) -> Bounded:
        assert isinstance(x, Bounded)
        equal = (x.value == value).all(axis=-1, keepdims=True)
        return Bounded(bounded(equal.astype(np.float64), 0.0))

    def lookup(
        self, x: Real, function: str, output: Any, input_: Any, *, fast: bool = False
    ) -> Bounded:
        assert isinstance(x, Bounded)
        y = x.mapped(REAL[function])
        # A table is off by an LSB, its rounding included; beyond the range it saturates.
        return Bounded(in_format(y.value, y.error + output.lsb / 2, output.nearest()))

    def argmax(self, x: Real) -> Bounded:
        assert isinstance(x, Bounded)
        largest = np.argmax(x.value, axis=-1, keepdims=True)
        # Any lane that may be the largest may be the answer.
        lowest = np.take_along_axis(x.value - x.error, largest, axis=-1)
        lanes = np.arange(x.value.shape[-1])
        rivals = np.where(x.value + x.error >= lowest, np.abs(lanes - largest), 0)
        return Bounded(bounded(largest * 1.0, rivals.max(axis=-1, keepdims=True)))

    def blend(self, z: Real, a: Real, b: Real) -> Bounded:
        assert isinstance(a, Bounded)
        assert isinstance(b, Bounded)
        assert isinstance(z, Bounded)
        moved: Bounded = operator.mul(z, b - a)
        value = a.value + moved.value
        # a and b share the weight 1, so neither counts in full; z moves between the two.
        gate = np.clip(z.value + z.error, 0, 1), np.clip(z.value - z.error, 0, 1)
        error = (1 - gate[1]) * a.error + gate[0] * b.error + z.error * np.abs(b.value - a.value)
        return Bounded(bounded(value, error))


def _rounded(values: Array, form: Format) -> Array:
    return to_values(to_codes(values, form), form)


def error_bound(network: Network, precision: Precision, x: Array) -> Array:
    """Return the bound on the error of every output, of the shape of `Network.predict`."""
    inputs = in_format(x, 0.0, precision.format("", "input"))
    mask = network.mask_value
    result = run(network.layers, inputs, BoundedNumbers(), precision.format, mask_value=mask)
    return np.asarray(result).imag
