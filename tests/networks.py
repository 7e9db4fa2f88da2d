"""Small random networks, and the same weights run by the independent float64 reference."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rnnrtl.layers import (
    GRU,
    LSTM,
    AveragePooling,
    Bidirectional,
    Convolution,
    Dense,
    Embedding,
    Gate,
    Gated,
    Layer,
    MaxPooling,
    Recurrent,
    Reshape,
    SimpleRNN,
)
from rnnrtl.network import Network
from tests import float_reference
from tests.float_reference import Array

CELLS = ("lstm", "gru_after", "gru_before", "simple")
GATED = CELLS[:3]
"""What takes long runs on these, and on the plain cell in some cases only."""
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
) -> SimpleRNN | LSTM | GRU:
    rng = np.random.default_rng(seed)
    name = name or cell
    if cell == "lstm":
        return LSTM(name, gates("ifgo", features, units, rng, scale), sequences)
    if cell == "simple":
        return SimpleRNN(name, gates("h", features, units, rng, scale), sequences)
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


def bidirectional(
    forward: str = "lstm",
    backward: str = "gru_after",
    features: int = FEATURES,
    units: tuple[int, int] = (3, 3),
    *,
    merge: str = "concat",
    sequences: bool = False,
    last_output: bool = False,
    name: str = "both",
    seed: int = 0,
) -> Bidirectional:
    parts = [
        recurrent(cell, features, size, seed=seed + n, sequences=sequences, name=f"{name}_{way}")
        for n, (cell, size, way) in enumerate(
            zip((forward, backward), units, ("f", "b"), strict=True)
        )
    ]
    return Bidirectional(name, parts[0], parts[1], merge, last_output)


MERGED: Mapping[str, Callable[[Array, Array], Array]] = {
    "concat": lambda f, b: np.concatenate([f, b], axis=-1),
    "sum": lambda f, b: f + b,
    "mul": lambda f, b: f * b,
    "ave": lambda f, b: (f + b) / 2,
}


def reference(net: Network, x: Array) -> Array:
    """Run a network by the equations of `float_reference`, which knows nothing of rnnrtl."""
    y = x
    for layer in net.layers:
        if isinstance(layer, Dense):
            y = float_reference.dense(y, layer.kernel, layer.bias, layer.activation)
        elif isinstance(layer, Embedding):
            y = float_reference.embedding(y, layer.kernel)
        elif isinstance(layer, Convolution):
            kernel = layer.kernel.reshape(layer.units, layer.taps, layer.features)
            y = float_reference.convolution(
                y, kernel, layer.bias, layer.activation, causal=layer.padding == "causal"
            )
        elif isinstance(layer, Bidirectional):
            forward = states_of(layer.forward, y)
            backward = states_of(layer.backward, y[:, ::-1])[:, ::-1]
            if not layer.return_sequences:
                # The backward layer has read everything at the first step.
                forward = forward[:, -1]
                backward = backward[:, -1 if layer.last_output else 0]
            y = MERGED[layer.merge](forward, backward)
        elif isinstance(layer, Reshape):
            y = np.array([given.ravel()[layer.order] for given in y])
        elif isinstance(layer, AveragePooling):
            y = y.sum(axis=1) / y.shape[1]
        elif isinstance(layer, MaxPooling):
            y = y.max(axis=1)
        else:
            y = states_of(layer, y[:, ::-1] if layer.go_backwards else y)
            y = y if layer.return_sequences else y[:, -1]
    return y


def states_of(layer: Recurrent, x: Array) -> Array:
    """Return the hidden states of all steps."""
    parts = [
        {name: np.asarray(getattr(gate, part)) for name, gate in layer.gates.items()}
        for part in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
    ]
    words: dict[str, Any] = {"activation": layer.activation, "initial": layer.initial}
    if isinstance(layer, LSTM):
        run: Callable[..., Array] = partial(float_reference.lstm, projection=layer.projection)
    elif isinstance(layer, GRU):
        run = partial(float_reference.gru, reset_after=layer.reset_after)
    else:
        run = float_reference.simple_rnn
    if isinstance(layer, Gated):
        words["recurrent_activation"] = layer.recurrent_activation
    return run(x, *parts, **words)
