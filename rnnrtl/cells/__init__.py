"""Recurrent cells and other layers, each its textbook equations written once."""

from collections.abc import Mapping
from typing import Any

from rnnrtl.cells import (
    bidirectional,
    convolution,
    dense,
    embedding,
    gru,
    lstm,
    pooling,
    simple_rnn,
)
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import (
    GRU,
    LSTM,
    AveragePooling,
    Convolution,
    Dense,
    Embedding,
    MaxPooling,
    Recurrent,
    SimpleRNN,
    Stepping,
)

_CELLS: Mapping[type[Stepping], Any] = {
    SimpleRNN: simple_rnn, LSTM: lstm, GRU: gru,
    MaxPooling: pooling.Largest, AveragePooling: pooling.Mean,
    Convolution: convolution,
}  # fmt: skip


def _cell(layer: Stepping) -> Any:
    return next(cell for kind, cell in _CELLS.items() if isinstance(layer, kind))


def step(
    layer: Stepping,
    x: Any,
    state: Mapping[str, Any],
    numbers: Any,
    form: Any,
    masked: Any = None,
) -> dict[str, Any]:
    """Return the states after a time step, and as "h" what the layer gives on.

    Where `masked`, one lane, is 1, the states stay as they are.
    """
    following: dict[str, Any] = _cell(layer).step(layer, x, state, numbers, form)
    if masked is None:
        return following
    kept = {
        name: numbers.select(masked, state[name], following[name]).named(f"{name}_unless_masked")
        for name in layer.states
    }
    return {**following, **kept}


def initial(layer: Stepping, x: Any, numbers: Any, form: Any) -> dict[str, Any]:
    """Return the states before the first step, for a layer that takes vectors such as x."""
    if isinstance(layer, Recurrent):
        return {
            name: numbers.constant(layer.initial[name], form(tensor))
            for name, tensor in layer.states.items()
        }
    before: dict[str, Any] = _cell(layer).initial(layer, x, numbers)
    return before


def format_of_steps(layer: Stepping, form: Any, taken: Format) -> Format:
    """Return the format of what a layer gives on for vectors in the format `taken`."""
    if isinstance(layer, Recurrent):
        found: Format = form("hidden")
    else:
        found = _cell(layer).result_format(layer, form, taken)
    return found


def apply(layer: Dense | Embedding, x: Any, numbers: Any, form: Any) -> Any:
    """Return what a layer without states gives for x."""
    if isinstance(layer, Dense):
        return dense.apply(layer, x, numbers, form)
    return embedding.apply(layer, x, numbers, form)


def format_of(layer: Dense | Embedding, form: Any) -> Format:
    """Return the format of what a layer without states gives."""
    if isinstance(layer, Dense):
        return dense.result_format(layer, form)
    return embedding.result_format(layer, form)


merged = bidirectional.merged
pairs = bidirectional.pairs
format_of_merged = bidirectional.result_format

__all__ = [
    "apply",
    "format_of",
    "format_of_merged",
    "format_of_steps",
    "initial",
    "merged",
    "pairs",
    "step",
]
