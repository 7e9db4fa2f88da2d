"""The layers of a trained network, as plain float64 arrays under the field's own names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rnnrtl.layers.activations import ACTIVATIONS, GATE_ACTIVATIONS, HEAD_ACTIVATIONS
from rnnrtl.layers.bidirectional import MERGES, Bidirectional
from rnnrtl.layers.convolution import PADDINGS, Convolution
from rnnrtl.layers.dense import Connected, Dense
from rnnrtl.layers.embedding import Embedding
from rnnrtl.layers.pooling import AveragePooling, MaxPooling, Pooling
from rnnrtl.layers.recurrent import GRU, LSTM, Gate, Gated, Recurrent, SimpleRNN
from rnnrtl.layers.reshaping import Reshape, flatten, permute, repeat_vector, reshape
from rnnrtl.layers.stepping import FloatArray, Stepping

__all__ = [
    "ACTIVATIONS",
    "GATE_ACTIVATIONS",
    "GRU",
    "HEAD_ACTIVATIONS",
    "LSTM",
    "MERGES",
    "PADDINGS",
    "AveragePooling",
    "Bidirectional",
    "Connected",
    "Convolution",
    "Dense",
    "Embedding",
    "FloatArray",
    "Gate",
    "Gated",
    "Layer",
    "MaxPooling",
    "Part",
    "Pooling",
    "Recurrent",
    "Reshape",
    "SimpleRNN",
    "Stepping",
    "changed",
    "flatten",
    "parts",
    "permute",
    "repeat_vector",
    "reshape",
]

Part = Recurrent | Dense | Embedding | AveragePooling | MaxPooling | Convolution | Reshape
"""A layer by itself: all but bidirectional ones."""
Layer = Part | SimpleRNN | LSTM | GRU | Bidirectional


def parts(layer: Layer) -> tuple[Part, ...]:
    """Return the layer, or the two of a bidirectional one."""
    return layer.parts if isinstance(layer, Bidirectional) else (layer,)


def changed(layer: Layer, change: Callable[[Any], Any]) -> Layer:
    """Return a layer changed, or a bidirectional one whose two are."""
    if isinstance(layer, Bidirectional):
        return replace(layer, forward=change(layer.forward), backward=change(layer.backward))
    found: Layer = change(layer)
    return found
