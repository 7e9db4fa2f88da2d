"""What layers have in common that take a sequence step by step."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError

FloatArray = NDArray[np.float64]


class Stepping:
    """A layer whose states go from one step to the next; `rnnrtl.cells` has its equations.

    Members
    -------
    name : layer name, unique in its network
    return_sequences : give what each step gives on (True) or only what the last one does (False)
    go_backwards : read the sequence from its last step to its first
    lost : first steps for which nothing is given on
    """

    states: ClassVar[Mapping[str, str]]
    """State vector -> the tensor whose format it has, or "" where it holds what the layer takes in,
    exactly."""

    name: str
    return_sequences: bool
    go_backwards: bool = False

    @property
    def lost(self) -> int:
        """First steps for which nothing is given on."""
        return 0


def checked(values: object, what: str, shape: tuple[int, ...] | None = None) -> FloatArray:
    """Return `values` as a read-only finite float64 array, of `shape` where one is given."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{what} is not an array of real numbers: {error}") from None
    if shape is not None and array.shape != shape:
        raise ModelError(f"{what} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ModelError(f"{what} is {array[where]} at index {where}: every weight must be finite")
    array.setflags(write=False)
    return array


def count(value: object, what: str) -> int:
    """Return a positive whole number as int, or raise ModelError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ModelError(f"{what} must be a positive integer, not {value!r}")
    return int(value)
