"""Small models for the tests of the front ends, and the same weights by gate."""

from typing import Any

import numpy as np

FEATURES, UNITS = 3, 4


def keras(cell: str, *, bias_rows: int = 1, **options: Any) -> dict[str, Any]:
    """Return random weights of a recurrent layer as Keras stacks them."""
    rng = np.random.default_rng(3)
    columns = UNITS * {"lstm": 4, "gru": 3, "simple_rnn": 1}[cell]
    arrays = {
        "kernel": rng.standard_normal((FEATURES, columns)),
        "recurrent_kernel": rng.standard_normal((UNITS, columns)),
        **options,
    }
    if bias_rows:
        shape = (columns,) if bias_rows == 1 else (bias_rows, columns)
        arrays["bias"] = rng.standard_normal(shape)
    return arrays


def dense(**options: Any) -> dict[str, Any]:
    """Return random weights of a dense layer as Keras has them."""
    rng = np.random.default_rng(4)
    return {"kernel": rng.standard_normal((UNITS, 2)), "bias": rng.standard_normal(2), **options}


def by_gate(stacked: Any, order: str) -> dict[str, Any]:
    """Cut Keras' columns into gates, in the orientation of the equations."""
    parts = np.split(np.asarray(stacked), len(order), axis=-1)
    return {gate: part.T for gate, part in zip(order, parts, strict=True)}


X = np.random.default_rng(5).standard_normal((2, 6, FEATURES))
