"""ONNX graphs in ONNX' own text form, seeded weights by name, and what onnx computes of them.

Source of the text form: https://github.com/onnx/onnx/blob/main/docs/Syntax.md
"""

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from tests.conformance.case import BATCH, FEATURES, STEPS, UNITS, Build, Built, Source

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def graph(
    text: str,
    *,
    kind: str = "LSTM",
    directions: int = 1,
    opset: int = 17,
    batch_first: bool = False,
    steps: int | None = None,
    dtype: str = "float",
    more: Mapping[str, Any] | None = None,
) -> Build:
    """Return the building of a graph from x to y.

    W, R, B and P are a layer's of this kind, W2, R2 and B2 those of one after it; K and C a dense
    layer's, V a variance, and H and D initial states of ones; `more` adds arrays to them.
    """

    def build(folder: Path) -> Built:
        import onnx

        every = "S" if steps is None else str(steps)
        axes = f"B, {every}" if batch_first else f"{every}, B"
        model = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]>\n'
            f"graph ({dtype}[{axes}, {FEATURES}] x) => ({dtype}[N] y) {{\n{text}\n}}"
        )
        wanted = arrays(kind, directions) | dict(more or {})
        kinds = {"float": np.float32, "double": np.float64, "float16": np.float16}
        used = {name for node in model.graph.node for name in node.input}
        for name, array in wanted.items():
            if name in used:
                stored = array.astype(kinds[dtype]) if array.dtype.kind == "f" else array
                model.graph.initializer.append(onnx.numpy_helper.from_array(stored, name))
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        x = np.random.default_rng(2).standard_normal((BATCH, STEPS, FEATURES))
        x = x.astype(kinds[dtype])
        return Built((Source(path),), x, lambda: computed(path, x, batch_first=batch_first))

    return build


def arrays(kind: str, directions: int) -> dict[str, Any]:
    """Return weights, each seeded by its name."""
    rows = GATES[kind] * UNITS
    shapes = {
        "W": (directions, rows, FEATURES), "R": (directions, rows, UNITS),
        "B": (directions, 2 * rows), "P": (directions, 3 * UNITS),
        "W2": (1, rows, directions * UNITS), "R2": (1, rows, UNITS), "B2": (1, 2 * rows),
        "K": (UNITS, 2), "C": (2,), "K0": (FEATURES, 3), "W3": (1, rows, 3),
    }  # fmt: skip
    found = {
        name: np.random.default_rng(crc32(name.encode())).normal(0, 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    ones = np.ones((directions, BATCH, UNITS), np.float32)
    return {**found, "H": ones, "D": ones, "Z": 0 * ones, "Kt": found["K"].T.copy(),
            "V": found["C"] ** 2 + 0.5}  # fmt: skip


def computed(path: Path, x: Any, *, batch_first: bool) -> Any:
    """Return what onnx' reference implementation gives, in the type that it computes in."""
    reference: Any = import_module("onnx.reference")
    evaluator = reference.ReferenceEvaluator(str(path), new_ops=operators())
    (y,) = evaluator.run(None, {"x": x if batch_first else x.swapaxes(0, 1)})
    if y.shape[:2] == (STEPS, BATCH):
        y = y.swapaxes(0, 1)
    return y.astype(x.dtype)


def operators() -> list[Any]:
    """Return LSTM and GRU of the reference implementation, which knows only default activations."""
    ops = "onnx.reference.ops.op_"
    lstm: Any = import_module(f"{ops}lstm")
    gru: Any = import_module(f"{ops}gru")

    class LSTM(lstm.CommonLSTM):
        op_domain = ""

        def __init__(self, node: Any, parameters: Any) -> None:
            super().__init__(node, parameters)
            self.f, self.g, self.h = activations(node, ["Sigmoid", "Tanh", "Tanh"])

    class GRU(gru.CommonGRU):
        op_domain = ""

        def __init__(self, node: Any, parameters: Any) -> None:
            super().__init__(node, parameters)
            self.f, self.g = activations(node, ["Sigmoid", "Tanh"])

    return [LSTM, GRU]


# https://onnx.ai/onnx/operators/onnx__LSTM.html: the equations, and the default alpha and beta.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), ()),
    "tanh": (np.tanh, ()),
    "relu": (lambda x: np.maximum(x, 0), ()),
    "softsign": (lambda x: x / (1 + np.abs(x)), ()),
    "softplus": (lambda x: np.log1p(np.exp(x)), ()),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), (0.2, 0.5)),
    "affine": (lambda x, a, b: a * x + b, (1.0, 0.0)),
    "elu": (lambda x, a: np.where(x > 0, x, a * np.expm1(x)), (1.0,)),
}


def activations(node: Any, default: list[str]) -> list[Callable[[Any], Any]]:
    """Return a node's functions; each that takes an alpha or a beta takes the next one given."""
    import onnx

    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    names = [each.decode() for each in given.get("activations", [])] or default
    numbers = [list(given.get(f"activation_{key}", [])) for key in ("alpha", "beta")]

    def taken(name: str) -> Callable[[Any], Any]:
        function, defaults = FUNCTIONS[name.lower()]
        own = [n.pop(0) if n else d for n, d in zip(numbers, defaults, strict=False)]
        return lambda x: function(x, *own).astype(x.dtype)

    return [taken(name) for name in names]


def joined(*lines: str) -> str:
    """Return lines of a graph, with the constants that they name."""
    text = "\n".join(lines)
    known = {
        "zero": "int64[1] {0}", "one": "int64[1] {1}", "two": "int64[1] {2}",
        "last": "int64[1] {-1}", "first": "int64 {0}", "end": "int64 {-1}",
    }  # fmt: skip
    words = set(re.findall(r"\w+", text))
    constants = [f"{n} = Constant <value = {v}> ()" for n, v in known.items() if n in words]
    return "\n".join([*constants, text])
