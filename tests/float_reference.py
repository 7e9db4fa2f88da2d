"""The textbook equations in float64, independent of rnnrtl: nothing of the package is imported.

Weights are dicts of gates by name, in the orientation of the equations: kernel[gate] is
(units, features), recurrent[gate] (units, units), bias[gate] (units,). x is (batch, steps,
features); a recurrent layer gives (batch, steps, units), every hidden state, from a zero state
or the one in `initial`, (units,) for each state.

Sources: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000 (LSTM);
Cho et al. 2014, arXiv:1406.1078 (GRU, reset before); cuDNN, Keras and PyTorch (GRU, reset after);
Elman 1990 (plain RNN).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gates = Mapping[str, Array]


def sigmoid(x: Array) -> Array:
    # In terms of tanh: exp would overflow for large negative x.
    return 0.5 * (1.0 + np.tanh(0.5 * x))


FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "hard_sigmoid": lambda x: np.minimum(np.maximum(x + 3.0, 0.0), 6.0) / 6.0,
    "hard_sigmoid_hgq": lambda x: np.minimum(np.maximum(x / 4.0 + 0.5, 0.0), 1.0),
    "hard_sigmoid_keras2": lambda x: np.minimum(np.maximum(x / 5.0 + 0.5, 0.0), 1.0),
    "hard_tanh": lambda x: np.minimum(np.maximum(x, -1.0), 1.0),
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0.0)) - 1.0),
    "softplus": lambda x: np.logaddexp(0.0, x),
    "exponential": np.exp,
    "argmax": lambda x: np.argmax(x, axis=-1)[..., None].astype(np.float64),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
}


def simple_rnn(
    x: Array,
    kernel: Gates,
    recurrent: Gates,
    bias: Gates,
    recurrent_bias: Gates | None = None,
    *,
    activation: str = "tanh",
    initial: Gates | None = None,
) -> Array:
    """Return h of each step for the one gate h: h' = tanh(W x + U h + b)."""
    function = FUNCTIONS[activation]
    batch, steps, _ = x.shape
    h = np.tile(initial["h"] if initial else np.zeros(len(bias["h"])), (batch, 1))
    outputs = np.empty((batch, steps, h.shape[1]))
    for step in range(steps):
        total = x[:, step] @ kernel["h"].T + h @ recurrent["h"].T + bias["h"]
        if recurrent_bias is not None:
            total = total + recurrent_bias["h"]
        h = outputs[:, step] = function(total)
    return outputs


def lstm(
    x: Array,
    kernel: Gates,
    recurrent: Gates,
    bias: Gates,
    recurrent_bias: Gates | None = None,
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    initial: Gates | None = None,
    projection: Array | None = None,
) -> Array:
    """Return h of each step for gates i, f, g, o.

    i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b), c' = f c + i g, h' = o tanh(c'),
    or h' = R (o tanh(c')) with a projection R (outputs, units).
    """
    gate_of, candidate_of = FUNCTIONS[recurrent_activation], FUNCTIONS[activation]
    batch, steps, _ = x.shape
    units, size = recurrent["i"].shape
    start = initial or {"h": np.zeros(size), "c": np.zeros(units)}
    h = np.tile(start["h"], (batch, 1))
    c = np.tile(start["c"], (batch, 1))
    outputs = np.empty((batch, steps, size))
    for step in range(steps):
        total = {}
        for gate in ("i", "f", "g", "o"):
            total[gate] = x[:, step] @ kernel[gate].T + h @ recurrent[gate].T + bias[gate]
            if recurrent_bias is not None:
                total[gate] = total[gate] + recurrent_bias[gate]
        input_gate = gate_of(total["i"])
        forget_gate = gate_of(total["f"])
        candidate = candidate_of(total["g"])
        output_gate = gate_of(total["o"])
        c = forget_gate * c + input_gate * candidate
        h = output_gate * candidate_of(c)
        if projection is not None:
            h = np.einsum("bu,ou->bo", h, projection)
        outputs[:, step] = h
    return outputs


def gru(
    x: Array,
    kernel: Gates,
    recurrent: Gates,
    bias: Gates,
    recurrent_bias: Gates | None = None,
    *,
    reset_after: bool,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    initial: Gates | None = None,
) -> Array:
    """Return h of each step for gates z, r, n.

    z, r = sigmoid(W x + b + U h + d); n = tanh(W x + b + r (U h + d)) with reset_after, else
    tanh(W x + b + U (r h) + d); h' = z h + (1 - z) n.
    """
    gate_of, candidate_of = FUNCTIONS[recurrent_activation], FUNCTIONS[activation]
    batch, steps, _ = x.shape
    units = kernel["z"].shape[0]
    inner = recurrent_bias or {gate: np.zeros(units) for gate in ("z", "r", "n")}
    h = np.tile(initial["h"] if initial else np.zeros(units), (batch, 1))
    outputs = np.empty((batch, steps, units))
    for step in range(steps):
        now = x[:, step]
        update = gate_of(now @ kernel["z"].T + bias["z"] + h @ recurrent["z"].T + inner["z"])
        reset = gate_of(now @ kernel["r"].T + bias["r"] + h @ recurrent["r"].T + inner["r"])
        if reset_after:
            memory = reset * (h @ recurrent["n"].T + inner["n"])
        else:
            memory = (reset * h) @ recurrent["n"].T + inner["n"]
        candidate = candidate_of(now @ kernel["n"].T + bias["n"] + memory)
        h = update * h + (1.0 - update) * candidate
        outputs[:, step] = h
    return outputs


def dense(x: Array, kernel: Array, bias: Array, activation: str = "linear") -> Array:
    """Return activation(W x + b) over the last axis; kernel is (units, features)."""
    return FUNCTIONS[activation](x @ kernel.T + bias)


def convolution(
    x: Array, kernel: Array, bias: Array, activation: str = "linear", *, causal: bool
) -> Array:
    """Return activation(sum over k of kernel[:, k] x[t - taps + 1 + k] + bias) for each step t.

    kernel is (units, taps, features). Steps before the first are zero where it is `causal`; else
    there is nothing for those that would need them.
    """
    batch, steps, _ = x.shape
    taps = kernel.shape[1]
    total = np.tile(bias, (batch, steps, 1))
    for t in range(steps):
        for k in range(taps):
            before = t - taps + 1 + k
            if before >= 0:
                total[:, t] += np.einsum("bf,uf->bu", x[:, before], kernel[:, k])
    return FUNCTIONS[activation](total if causal else total[:, taps - 1 :])


def embedding(x: Array, kernel: Array) -> Array:
    """Return kernel @ (1 at x, 0 elsewhere); x is (batch, steps, 1), kernel (units, vocabulary)."""
    one_hot = (x == np.arange(kernel.shape[1])).astype(np.float64)
    return np.asarray(one_hot @ kernel.T)
