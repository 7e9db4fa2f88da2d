"""Activation functions that need a table."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Function:
    """A rising, saturating function with f(-x) = total - f(x), so that x >= 0 says it all.

    Members
    -------
    name : as in Keras and PyTorch
    real : the function on float64 arrays
    total : f(x) + f(-x)
    asymptote : f(infinity)
    """

    name: str
    real: Callable[[FloatArray], FloatArray]
    total: float
    asymptote: float = 1.0


def _sigmoid(x: FloatArray) -> FloatArray:
    # tanh form: exact to the last bit or two on both sides, and never overflows
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


FUNCTIONS = MappingProxyType(
    {
        "sigmoid": Function("sigmoid", _sigmoid, total=1.0),
        "tanh": Function("tanh", np.tanh, total=0.0),
    }
)
"""Name -> Function."""
