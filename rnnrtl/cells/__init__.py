"""Recurrent and dense cells, each its textbook equations written once."""

from collections.abc import Mapping
from typing import Any

from rnnrtl.cells import bidirectional, dense, gru, lstm, simple_rnn
from rnnrtl.layers import GRU, LSTM, Recurrent, SimpleRNN

_CELLS: Mapping[type[Recurrent], Any] = {SimpleRNN: simple_rnn, LSTM: lstm, GRU: gru}


def step(
    layer: Recurrent,
    x: Any,
    state: Mapping[str, Any],
    numbers: Any,
    form: Any,
    masked: Any = None,
) -> dict[str, Any]:
    """Return the state after a time step; its "h" is what the layer gives on.

    Where `masked`, one lane, is 1, the state stays as it is.
    """
    cell = next(cell for kind, cell in _CELLS.items() if isinstance(layer, kind))
    following: dict[str, Any] = cell.step(layer, x, state, numbers, form)
    if masked is None:
        return following
    return {
        name: numbers.select(masked, state[name], value).named(f"{name}_unless_masked")
        for name, value in following.items()
    }


apply_dense = dense.apply
format_of_dense = dense.result_format
merged = bidirectional.merged
format_of_merged = bidirectional.result_format

__all__ = ["apply_dense", "format_of_dense", "format_of_merged", "merged", "step"]
