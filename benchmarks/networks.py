"""The benchmark networks of "Ultra-low latency recurrent neural network inference on FPGAs for
physics applications with hls4ml", arXiv 2207.00559, and the formats that they are made in.

Two small networks more are for placing and routing, which takes minutes there.

The top taggers are trained (`rnnrtl.demo`). The weights of the others are seeded random numbers
of the scale that training starts from: their figures of speed and size are like those of trained
ones, and their outputs mean nothing. Their last layer is linear where the paper has a softmax.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnrtl.demo.jets import tagger, test_jets
from rnnrtl.layers import GRU, LSTM, Dense, Gate, Layer, Recurrent
from rnnrtl.network import Network

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A benchmark network but for its cell.

    Members
    -------
    title : for people
    steps, features : of a sequence
    units : of the recurrent layer
    dense : units and activation of each layer after it
    """

    title: str
    steps: int
    features: int
    units: int
    dense: tuple[tuple[int, str], ...] = ()


SHAPES: Mapping[str, Shape] = {
    "top": Shape("top tagging", 20, 6, 20, ((64, "relu"), (1, "sigmoid"))),
    "top_w6a8": Shape(
        "top tagging, trained in weights of 6 bits and activations of 8",
        20,
        6,
        20,
        ((64, "relu"), (1, "sigmoid")),
    ),
    "flavour": Shape("flavour tagging", 15, 6, 120, ((50, "relu"), (10, "relu"), (3, "linear"))),
    "quickdraw": Shape("QuickDraw", 100, 3, 128, ((256, "relu"), (128, "relu"), (5, "linear"))),
    "units4": Shape("four units", 20, 3, 4),
    "units8": Shape("eight units", 20, 6, 8),
    "units16": Shape("sixteen units", 20, 8, 16),
    "units32": Shape("thirty-two units", 20, 8, 32),
}
CELLS = ("gru", "lstm")
FORMATS = ("fixed<16,6>", "fixed<10,4>", "w8a12")
TRAINED = ("top_w6a8",)
"""Networks that were trained in formats of their own."""
ROUTED = {"units4": "fixed<10,4>", "units8": "fixed<12,4>"}
"""Networks whose rows are routed with every strategy and clock -> their format."""
SMALL = ("units16", "units32")
"""Networks for small devices, routed too."""


def network(name: str, cell: str) -> Network:
    """Return a benchmark network: `name` of `SHAPES`, `cell` of `CELLS`."""
    if name.startswith("top"):
        return tagger(f"top_{cell}20{name.removeprefix('top')}")
    shape = SHAPES[name]
    rng = np.random.default_rng(2207_00559)
    layers: list[Layer] = [_recurrent(cell, shape, rng)]
    for units, activation in shape.dense:
        layers.append(_dense(f"dense_{len(layers)}", layers[-1].units, units, activation, rng))
    return Network(tuple(layers), shape.steps, name=f"{name}_{cell}{shape.units}")


def inputs(name: str, sequences: int) -> Array:
    """Return sequences for a network: jets for the top tagger, else random numbers."""
    if name.startswith("top"):
        return np.asarray(test_jets()[0][:sequences])
    shape = SHAPES[name]
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, size=(sequences, shape.steps, shape.features))


def precision(name: str, cell: str, form: str) -> str | dict[str, str] | None:
    """Return what `rnnrtl.generate` takes for a format of `FORMATS`, or for "trained".

    "w8a12" is weights of 8 bits and activations of 12, each tensor with the fewest integer bits
    that hold what it takes on in 200 sequences; biases, which cost no multiplier, have 12 bits.
    """
    if form == "trained":
        return None  # the network has its own
    if form != "w8a12":
        return form
    net = network(name, cell)
    x = inputs(name, 200)
    formats = {
        "*": "fixed<12,4>",
        "input": _fitting(12, x),
        # What holds 1 itself takes smaller tables, and products by it fewer adders.
        "gate": "fixed<12,2>",
        "candidate": "fixed<12,2>",
        "hidden": "fixed<12,2>",
        # GRU: half the tables of four integer bits, at an AUC ratio of 0.9994 instead of 0.9997.
        # LSTM: the cell state's, which its table takes as it is.
        "preactivation": "fixed<12,5>" if cell == "gru" else "fixed<12,4>",
        "cell": "fixed<12,4>",
    }
    for number, layer in enumerate(net.parts):
        weights: Mapping[str, list[Array]]
        if isinstance(layer, Dense):
            weights = {"kernel": [layer.kernel], "bias": [layer.bias]}
            y = net.replace(layers=net.layers[: number + 1]).predict(x)
            formats[f"{layer.name}.output"] = _fitting(12, y)
        else:
            assert isinstance(layer, Recurrent)
            gates = layer.gates.values()
            weights = {
                "kernel": [gate.kernel for gate in gates],
                "recurrent_kernel": [gate.recurrent_kernel for gate in gates],
                "bias": [gate.bias + gate.recurrent_bias for gate in gates],
            }
        for tensor, arrays in weights.items():
            width = 12 if tensor == "bias" else 8
            formats[f"{layer.name}.{tensor}"] = _fitting(width, *arrays)
    return formats


def _fitting(width: int, *arrays: Array) -> str:
    """Return the finest format of a width that holds some values, but for its last LSB."""
    largest = max(float(np.abs(a).max()) for a in arrays)
    integer = 1 + max(0, int(np.ceil(np.log2(largest))))
    return f"fixed<{width},{integer}>"


def _recurrent(cell: str, shape: Shape, rng: np.random.Generator) -> LSTM | GRU:
    """Return a layer with Keras' initial weights, Glorot's for x and orthogonal for h.

    Its biases, which Keras begins at zero, are small random numbers.
    """

    def gate() -> Gate:
        limit = np.sqrt(6 / (shape.features + shape.units))
        orthogonal, _ = np.linalg.qr(rng.normal(size=(shape.units, shape.units)))
        return Gate(
            rng.uniform(-limit, limit, size=(shape.units, shape.features)),
            orthogonal,
            rng.normal(0, 0.1, size=shape.units),
            rng.normal(0, 0.1, size=shape.units) * (cell == "gru"),
        )

    if cell == "lstm":
        return LSTM("lstm", {name: gate() for name in LSTM.gate_names})
    return GRU("gru", {name: gate() for name in GRU.gate_names})


def _dense(
    name: str, features: int, units: int, activation: str, rng: np.random.Generator
) -> Dense:
    limit = np.sqrt(6 / (features + units))
    kernel = rng.uniform(-limit, limit, size=(units, features))
    return Dense(name, kernel, rng.normal(0, 0.1, size=units), activation)
