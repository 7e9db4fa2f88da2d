"""The weights of single ONNX nodes as layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.gates import Cell, split
from rnnrtl.frontends.onnx_graph import Node
from rnnrtl.frontends.values import as_array
from rnnrtl.layers import GRU, LSTM, Bidirectional, Dense, FloatArray, SimpleRNN

# W[iofc] and W[zrh] in the descriptions of the two operators; ONNX' c and h are g and n here.
_ORDER: dict[Cell, tuple[str, ...]] = {
    SimpleRNN: ("h",), LSTM: ("i", "o", "f", "g"), GRU: ("z", "r", "n"),
}  # fmt: skip
CELLS: Mapping[str, Cell] = {"RNN": SimpleRNN, "LSTM": LSTM, "GRU": GRU}
"""Operator -> the layer that it is."""
_DEFAULTS: Mapping[Cell, list[str]] = {
    SimpleRNN: ["Tanh"], LSTM: ["Sigmoid", "Tanh", "Tanh"], GRU: ["Sigmoid", "Tanh"],
}  # fmt: skip
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_KNOWN = (
    "hidden_size", "direction", "layout", "activations", "activation_alpha", "activation_beta",
    "linear_before_reset", "input_forget", "clip",
)  # fmt: skip


def recurrent(
    node: Node, name: str, values: Sequence[Any], steps: int
) -> SimpleRNN | LSTM | GRU | Bidirectional:
    """Build the layer of a node of `CELLS`, over so many steps.

    `values` are its inputs, None for those left out. One in reverse is built as if it read
    forwards: that is told from what it reads.
    """
    direction = node.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ModelError(f"{node}: direction={direction} is none that there is")
    if direction != "bidirectional":
        return _direction(node, name, values, steps, 0, 1)
    both = [
        _direction(node, f"{name}_{way}", values, steps, place, 2)
        for place, way in enumerate(("forward", "backward"))
    ]
    return Bidirectional(name, both[0], both[1])


def _direction(
    node: Node, name: str, values: Sequence[Any], steps: int, place: int, count: int
) -> SimpleRNN | LSTM | GRU:
    """Build the layer of one direction, at a place among all `count` of them."""
    cell = CELLS[node.operator]
    given = dict(zip(_INPUTS, [*values, *repeat(None, 8 - len(values))], strict=True))
    unknown = [key for key in node.attributes if key not in _KNOWN]
    if unknown:
        raise UnsupportedError(f"{node}: the attribute {unknown[0]} is not known")
    if node.get("input_forget", 0):
        raise UnsupportedError(
            f"{node}: input_forget={node.get('input_forget', 0)} is not supported"
        )
    if node.attributes.get("clip"):
        raise UnsupportedError(f"{node}: clip={node.attributes['clip']} is not supported")
    if given["P"] is not None:
        raise UnsupportedError(f"{node}: peepholes (P) are not supported")
    lengths = given["sequence_lens"]
    if lengths is not None and not (isinstance(lengths, np.ndarray) and np.all(lengths == steps)):
        raise UnsupportedError(
            f"{node}: sequence_lens is not supported but for whole sequences: in hardware tlast "
            "ends a sequence of any length"
        )
    weights = as_array(given["W"], f"{node.name}.W", (count, None, None))[place]
    gates = len(_ORDER[cell])
    rows = weights.shape[0]
    units = rows // gates
    if rows != gates * units or node.get("hidden_size", units) != units or not units:
        raise ModelError(f"{node}: W has {rows} rows, which are not {gates} gates of equal size")
    inner = as_array(given["R"], f"{node.name}.R", (count, rows, units))[place]
    biases = np.zeros(2 * rows)
    if given["B"] is not None:
        biases = as_array(given["B"], f"{node.name}.B", (count, 2 * rows))[place]
    words = _words(node, cell, place, count)
    parts = split(_ORDER[cell], weights, inner, biases[:rows], biases[rows:])
    words["initial"] = {
        state: _initial(node, f"initial_{state}", given[f"initial_{state}"], units, place)
        for state in cell.states
        if given[f"initial_{state}"] is not None
    }
    if cell is GRU:
        words["reset_after"] = bool(node.get("linear_before_reset", 0))
    return cell(name, parts, True, **words)


def _initial(node: Node, key: str, given: Any, units: int, place: int) -> FloatArray:
    """Return the state that all sequences begin with in one direction, (units,)."""
    if not isinstance(given, np.ndarray):
        raise UnsupportedError(
            f"{node}: {key} is computed from the input, only constants are supported"
        )
    states = as_array(given, f"{node.name}.{key}", (None, None, units))
    states = states[:, place] if node.get("layout", 0) else states[place]
    first: FloatArray = states[0]
    if np.any(states != first):
        raise UnsupportedError(
            f"{node}: {key} differs between sequences, only one state for all is supported"
        )
    return first


def _words(node: Node, cell: Cell, place: int, count: int) -> dict[str, Any]:
    """Return the activations of the gates, where there are, and of the candidate."""
    default = _DEFAULTS[cell]
    names = [str(name).lower() for name in node.get("activations", default * count)]
    if len(names) != len(default) * count:
        raise ModelError(f"{node} has {len(names)} activations, expected {len(default) * count}")
    # The numbers are for those of the activations that take some, in turn.
    alphas = chain(map(float, node.get("activation_alpha", [])), repeat(None))
    betas = chain(map(float, node.get("activation_beta", [])), repeat(None))
    found = [_word(node, name, alphas, betas) for name in names]
    found = found[place * len(default) : (place + 1) * len(default)]
    if cell is SimpleRNN:
        return {"activation": found[0]}
    if len({*found[1:]}) > 1:
        raise UnsupportedError(
            f"{node}: activations {', '.join(names)}: those of cell and output must be the same"
        )
    return {"recurrent_activation": found[0], "activation": found[1]}


def _word(
    node: Node, name: str, alphas: Iterator[float | None], betas: Iterator[float | None]
) -> str:
    plain = {"sigmoid", "tanh", "relu", "softsign", "softplus"}
    if name in plain:
        return name
    alpha = next(alphas, None)
    if name == "elu":
        return _elu(node, 1.0 if alpha is None else alpha)
    beta = next(betas, None)
    if name == "affine" and alpha == 1 and not beta:  # without alpha, runtimes differ
        return "linear"
    if name == "hardsigmoid":
        return _hard_sigmoid(node, alpha, beta)
    raise UnsupportedError(f"{node}: the activation {name} is not supported")


def _elu(node: Node, alpha: float) -> str:
    if alpha != 1:
        raise UnsupportedError(f"{node}: alpha={alpha} is not supported, only 1")
    return "elu"


def _hard_sigmoid(node: Node, alpha: float | None, beta: float | None) -> str:
    slope, middle = 0.2 if alpha is None else alpha, 0.5 if beta is None else beta
    for word, known in (("hard_sigmoid_keras2", 0.2), ("hard_sigmoid", 1 / 6)):
        if middle == 0.5 and abs(slope - known) < 1e-6:  # they are stored as float32
            return word
    raise UnsupportedError(
        f"{node}: a hard sigmoid {slope} x + {middle} is not supported, only 0.2 x + 0.5 and "
        "x / 6 + 0.5"
    )


def _softmax(node: Node, axes: int, opset: int) -> str:
    axis = node.get("axis", 1 if opset < 13 else -1)
    if axis not in (-1, axes - 1):
        raise UnsupportedError(f"{node}: axis={axis} is not supported, only the last")
    return "softmax"


def _clip(node: Node, values: Sequence[Any]) -> str:
    limits = [node.attributes.get("min"), node.attributes.get("max")]
    for place, value in enumerate(values[1:3]):
        limits[place] = limits[place] if value is None else float(np.asarray(value).ravel()[0])
    if limits != [-1.0, 1.0]:
        raise UnsupportedError(f"{node} clips to {limits}: only -1..1 is supported")
    return "hard_tanh"


ACTIVATIONS: Mapping[str, Callable[[Node, Sequence[Any], int, int], str]] = {
    "Relu": lambda *_: "relu",
    "Sigmoid": lambda *_: "sigmoid",
    "Tanh": lambda *_: "tanh",
    "Softsign": lambda *_: "softsign",
    "Softplus": lambda *_: "softplus",
    "HardSigmoid": lambda node, *_: _hard_sigmoid(
        node, node.attributes.get("alpha"), node.attributes.get("beta")
    ),
    "Elu": lambda node, *_: _elu(node, node.get("alpha", 1.0)),
    "Softmax": lambda node, _, axes, opset: _softmax(node, axes, opset),
    "Clip": lambda node, values, *_: _clip(node, values),
}
"""Operator -> function of (node, inputs, axes of the input, opset) that gives our activation."""


def dense(node: Node, name: str, values: Sequence[Any]) -> Dense:
    """Build the layer of a Gemm or of a MatMul by weights: alpha x B + beta C."""
    matrix = as_array(values[1], f"{node.name}.B", (None, None))
    if node.operator == "MatMul":
        return Dense(name, matrix.T, np.zeros(matrix.shape[1]))
    kernel: FloatArray = node.get("alpha", 1.0) * (matrix if node.get("transB", 0) else matrix.T)
    units = kernel.shape[0]
    bias = np.zeros(units)
    if len(values) > 2 and values[2] is not None:
        addend = as_array(values[2], f"{node.name}.C")
        if addend.size not in (1, units) or addend.size != (addend.shape or (1,))[-1]:
            raise UnsupportedError(f"{node}: C has shape {addend.shape}, no bias of {units} units")
        bias = bias + node.get("beta", 1.0) * addend.ravel()
    return Dense(name, kernel, bias)
