"""Small random networks, and the same weights run by the independent float64 reference."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from rnnrtl.layers import GRU, LSTM, Dense, Gate, Layer
from rnnrtl.network import Network
from tests import float_reference
from tests.float_reference import Array

CELLS = ("lstm", "gru_after", "gru_before")
FEATURES = 3


def gates(
    names: str, features: int, units: int, rng: np.random.Generator, scale: float = 1.0
) -> Mapping[str, Gate]:
    def weights(*shape: int) -> Array:
        return rng.normal(0, scale, shape)

    return {
        name: Gate(weights(units, features), weights(units, units), weights(units), weights(units))
        for name in names
    }


def recurrent(
    cell: str,
    features: int = FEATURES,
    units: int = 3,
    *,
    seed: int = 0,
    sequences: bool = False,
    name: str = "",
    scale: float = 1.0,
) -> LSTM | GRU:
    rng = np.random.default_rng(seed)
    name = name or cell
    if cell == "lstm":
        return LSTM(name, gates("ifgo", features, units, rng, scale), sequences)
    after = {"gru_after": True, "gru_before": False}[cell]
    weights = gates("zrn", features, units, rng, scale)
    return GRU(name, weights, sequences, reset_after=after)


def dense(
    features: int, units: int = 2, activation: str = "linear", *, seed: int = 1, name: str = "head"
) -> Dense:
    rng = np.random.default_rng(seed)
    return Dense(name, rng.normal(size=(units, features)), rng.normal(size=units), activation)


def network(*layers: Layer, steps: int | None = None, name: str = "network") -> Network:
    return Network(tuple(layers), steps, name=name)


def inputs(
    net: Network, batch: int = 2, steps: int = 3, *, scale: float = 1.0, seed: int = 7
) -> Array:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(0, scale, (batch, steps, net.features)))


def reference(net: Network, x: Array) -> Array:
    """Run a network by the equations of `float_reference`, which knows nothing of rnnrtl."""
    y = x
    for layer in net.layers:
        if isinstance(layer, Dense):
            y = float_reference.dense(y, layer.kernel, layer.bias, layer.activation)
            continue
        parts = [
            {name: np.asarray(getattr(gate, part)) for name, gate in layer.gates.items()}
            for part in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
        ]
        if isinstance(layer, LSTM):
            run: Callable[..., Array] = partial(float_reference.lstm, projection=layer.projection)
        else:
            run = partial(float_reference.gru, reset_after=layer.reset_after)
        y = run(
            y,
            *parts,
            activation=layer.activation,
            recurrent_activation=layer.recurrent_activation,
            initial=layer.initial,
        )
        if not layer.return_sequences:
            y = y[:, -1]
    return y
