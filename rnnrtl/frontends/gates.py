"""Gates by name: every framework stacks them in its own order, and says so only by position."""

from collections.abc import Sequence

import numpy as np

from rnnrtl.errors import ModelError
from rnnrtl.layers import GRU, LSTM, FloatArray, Gate, Recurrent, SimpleRNN

Cell = type[SimpleRNN] | type[LSTM] | type[GRU]

# Keras calls the candidates c and h, PyTorch g and n. Sources: keras/src/layers/rnn/{lstm,gru}.py
# (the splits in `call`) and the `Variables` of torch.nn.LSTM and torch.nn.GRU.
KERAS_ORDER: dict[type[Recurrent], tuple[str, ...]] = {
    SimpleRNN: ("h",), LSTM: ("i", "f", "g", "o"), GRU: ("z", "r", "n"),
}  # fmt: skip
PYTORCH_ORDER: dict[type[Recurrent], tuple[str, ...]] = {**KERAS_ORDER, GRU: ("r", "z", "n")}

SHORT: dict[Cell, str] = {SimpleRNN: "rnn", LSTM: "lstm", GRU: "gru"}
"""What a layer without a name of its own is called."""


def cell_of(rows: int, units: int, key: str) -> Cell:
    """Tell plain RNN, LSTM and GRU by the number of gates in the recurrent weights at `key`."""
    for cell in SHORT:
        if rows == len(KERAS_ORDER[cell]) * units:
            return cell
    raise ModelError(
        f"{key!r} has {rows} gate rows for {units} units: an LSTM has {4 * units}, "
        f"a GRU {3 * units}, a plain RNN {units}"
    )


def split(
    order: Sequence[str],
    kernel: FloatArray,
    recurrent_kernel: FloatArray,
    bias: FloatArray,
    recurrent_bias: FloatArray,
) -> dict[str, Gate]:
    """Cut stacked weights into named gates.

    kernel is (gates*units, features), recurrent_kernel (gates*units, units), the biases
    (gates*units,), with the gates one after the other in `order`.
    """
    count = len(order)
    parts = zip(
        order,
        np.split(kernel, count),
        np.split(recurrent_kernel, count),
        np.split(bias, count),
        np.split(recurrent_bias, count),
        strict=True,
    )
    return {name: Gate(*weights) for name, *weights in parts}
