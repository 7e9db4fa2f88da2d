"""Which tensors a layer has: those that its equations ask a format for, and no others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnrtl import cells
from rnnrtl.fixedpoint import TENSORS
from rnnrtl.graph.real import Real, RealNumbers
from rnnrtl.network import Dense, Layer, Network


def tensors(network: Network) -> Mapping[str, tuple[str, ...]]:
    """Return the tensors that have a format: layer name -> names, as in `TENSORS`.

    The network's own input is `input` of the layer "".
    """
    return {"": ("input",), **{layer.name: _read(layer) for layer in network.layers}}


def _read(layer: Layer) -> tuple[str, ...]:
    """Run a layer's equations once, on zeros, and note what they ask for."""
    asked: set[str] = set()

    def form(tensor: str) -> Any:
        asked.add(tensor)

    x = Real(np.zeros((1, layer.features)))
    if isinstance(layer, Dense):
        cells.apply_dense(layer, x, RealNumbers(), form)
    else:
        state = dict.fromkeys(cells.states(layer), Real(np.zeros((1, layer.units))))
        cells.step(layer, x, state, RealNumbers(), form)
    return tuple(tensor for tensor in TENSORS if tensor in asked)
