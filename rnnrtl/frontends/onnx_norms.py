"""ONNX nodes that scale and move each feature by itself.

Source: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.folding import standardised
from rnnrtl.frontends.onnx_graph import Node
from rnnrtl.frontends.values import as_array
from rnnrtl.layers import FloatArray

_Parts = tuple[FloatArray, FloatArray]


def _batch_normalization(node: Node, values: Sequence[Any], axes: int) -> _Parts:
    """Return the scale and offset along the second axis, which is that of the features."""
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise UnsupportedError(f"{node} measures what it gets: export the model in eval()")
    names = ("gamma", "beta", "mean", "variance")
    given = {
        name: as_array(value, f"{node.name}: {name}", (None,))
        for name, value in zip(names, values[1:5], strict=True)
    }
    affine = standardised(str(node), node.get("epsilon", 1e-5), given)
    shape = (-1, *[1] * max(0, axes - 2))
    return affine.scale.reshape(shape), affine.offset.reshape(shape)


def _operands(node: Node, values: Sequence[Any]) -> tuple[FloatArray, bool]:
    """Return the constant of the two operands, and whether it is the second one."""
    first, second = (isinstance(value, np.ndarray) for value in values)
    if first == second:
        raise ModelError(f"{node} has not one constant operand")
    return as_array(values[second], f"{node.name}: a constant"), second


def _add(node: Node, values: Sequence[Any], axes: int) -> _Parts:
    constant, _ = _operands(node, values)
    return np.ones(()), constant


def _sub(node: Node, values: Sequence[Any], axes: int) -> _Parts:
    constant, second = _operands(node, values)
    return (np.ones(()), -constant) if second else (-np.ones(()), constant)


def _mul(node: Node, values: Sequence[Any], axes: int) -> _Parts:
    constant, _ = _operands(node, values)
    return constant, np.zeros(())


def _div(node: Node, values: Sequence[Any], axes: int) -> _Parts:
    constant, second = _operands(node, values)
    if not second:
        raise UnsupportedError(f"{node} divides by computed numbers, which is not supported")
    if not np.all(constant):
        raise ModelError(f"{node} divides by zero")
    return 1 / constant, np.zeros(())


NORMALISATIONS: Mapping[str, Callable[[Node, Sequence[Any], int], _Parts]] = {
    "BatchNormalization": _batch_normalization, "Add": _add, "Sub": _sub, "Mul": _mul, "Div": _div,
}  # fmt: skip
"""Operator -> function of (node, inputs, axes of the input) that gives scale and offset.

Both are of a shape that spreads over that of the input.
"""


def by_unit(node: Node, part: FloatArray, units: NDArray[np.int64], count: int) -> FloatArray:
    """Return a scale or offset (count,) by unit; `units` says which one stands at each place.

    Raises UnsupportedError where one unit has different numbers at different places.
    """
    found = np.zeros(count)
    fits = np.broadcast_shapes(part.shape, units.shape) == units.shape
    if fits:
        found[units] = part
    if not fits or np.any(found[units] != part):
        raise UnsupportedError(
            f"{node} takes an array of shape {part.shape}: only one number for each feature is "
            "supported"
        )
    return found
