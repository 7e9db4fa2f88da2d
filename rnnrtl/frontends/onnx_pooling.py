"""ONNX' reductions over the time steps of a sequence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.onnx_graph import Node
from rnnrtl.layers import AveragePooling, MaxPooling

REDUCTIONS = ("ReduceMean", "ReduceMax")


def reduced_axis(node: Node, values: Sequence[Any], axes: int) -> int:
    """Return the one axis that a node of `REDUCTIONS` makes one number of."""
    given = values[1] if len(values) > 1 else node.attributes.get("axes")
    found = [] if given is None else np.asarray(given).ravel().tolist()
    if len(found) != 1 or not -axes <= found[0] < axes - 1 or found[0] == -1:
        raise UnsupportedError(f"{node} reduces the axes {found}: only that of the steps is pooled")
    return int(found[0]) % axes


def without_axis(
    node: Node, rows: NDArray[np.int64], axis: int, order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the positions of the last steps in place of all of them.

    `rows` are the positions that are reduced, `order` those of every step, (steps, batch). Raises
    UnsupportedError where they are not every step of each sequence.
    """
    moved = np.moveaxis(rows, axis, 0)
    if len(moved) != len(order) or not np.array_equal(moved.reshape(len(moved), -1), order):
        raise UnsupportedError(f"{node} does not take every step of what is before it, in order")
    last = moved[-1]
    return np.expand_dims(last, axis) if node.get("keepdims", 1) else last


def pooling(node: Node, name: str, units: int, steps: int | None) -> AveragePooling | MaxPooling:
    """Return the layer; a mean needs a number of steps that the graph fixes."""
    if node.operator == "ReduceMax":
        return MaxPooling(name, units)
    if not steps:
        raise ModelError(
            f"{node} takes the mean over time, and the graph leaves open of how many steps: export "
            "it with a fixed number"
        )
    return AveragePooling(name, units, steps)
