"""Activation functions that need a table, and those that others are made of."""

import math
from collections.abc import Callable, Mapping
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
    name : as in Keras and PyTorch, where they have it
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


def _softsign(x: FloatArray) -> FloatArray:
    return np.asarray(x / (1 + np.abs(x)))


def _hard_sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(np.clip(x / 6 + 0.5, 0, 1))


def _hard_sigmoid_keras2(x: FloatArray) -> FloatArray:
    return np.asarray(np.clip(0.2 * x + 0.5, 0, 1))


def _hard_sigmoid_hgq(x: FloatArray) -> FloatArray:
    return np.asarray(np.clip(0.25 * x + 0.5, 0, 1))


def _decay(x: FloatArray) -> FloatArray:
    return np.asarray(-np.sign(x) * np.expm1(-np.abs(x)))


def _rise(x: FloatArray) -> FloatArray:
    return np.asarray(np.sign(x) * (math.log(2) - np.log1p(np.exp(-np.abs(x)))))


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        function.name: function
        for function in (
            Function("sigmoid", _sigmoid, total=1.0),
            Function("tanh", np.tanh, total=0.0),
            Function("softsign", _softsign, total=0.0),
            # That of Keras 3 and PyTorch, the one that Keras 1 and 2 had, and HGQ2's.
            Function("hard_sigmoid", _hard_sigmoid, total=1.0),
            Function("hard_sigmoid_keras2", _hard_sigmoid_keras2, total=1.0),
            Function("hard_sigmoid_hgq", _hard_sigmoid_hgq, total=1.0),
            # exp(x) - 1 below 0, for elu; log(2) - log(1 + exp(-x)) above 0, for softplus.
            Function("decay", _decay, total=0.0),
            Function("rise", _rise, total=0.0, asymptote=math.log(2)),
        )
    }
)
"""Name -> Function, of those that have tables."""

REAL: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {name: function.real for name, function in FUNCTIONS.items()} | {"exponential": np.exp}
)
"""Name -> function on float64 arrays; exp is made of a table and a product."""
