"""The operators that move numbers without computing them, and those that compute shapes.

Between its layers an exported network transposes, slices and reshapes, with shapes that it computes
as it runs. They work here on small arrays: shapes, and arrays that say which number is where.
Source: https://onnx.ai/onnx/operators/
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.onnx_graph import Node, cast_type

Array = NDArray[Any]

_MOST = 1 << 24  # numbers in one array


def bounded(node: Node, count: int) -> None:
    """Raise ModelError for an array larger than a network needs, before it is made."""
    if count > _MOST:
        raise ModelError(f"{node} makes {count} numbers, more than the {_MOST} that are read")


def _ints(array: Array) -> list[int]:
    return [int(value) for value in np.asarray(array).ravel()]


def _option(node: Node, values: Sequence[Array | None], place: int, key: str) -> list[int] | None:
    """Return integers that are an input in later opsets, and an attribute in earlier ones."""
    if len(values) > place and values[place] is not None:
        return _ints(np.asarray(values[place]))
    given = node.attributes.get(key)
    return None if given is None else [int(value) for value in given]


def _same(node: Node, values: Sequence[Any]) -> Array:
    return np.asarray(values[0])


def _transpose(node: Node, values: Sequence[Any]) -> Array:
    return np.transpose(values[0], node.attributes.get("perm"))


def _squeeze(node: Node, values: Sequence[Any]) -> Array:
    axes = _option(node, values, 1, "axes")
    return np.asarray(np.squeeze(values[0], None if axes is None else tuple(axes)))


def _unsqueeze(node: Node, values: Sequence[Any]) -> Array:
    return np.expand_dims(values[0], tuple(_option(node, values, 1, "axes") or ()))


def _reshape(node: Node, values: Sequence[Any]) -> Array:
    shape = _ints(values[1])
    if not node.get("allowzero", 0):
        shape = [length or values[0].shape[axis] for axis, length in enumerate(shape)]
    return np.reshape(values[0], shape)


def _flatten(node: Node, values: Sequence[Any]) -> Array:
    axis = node.get("axis", 1)
    front = values[0].shape[:axis]
    return np.reshape(values[0], (math.prod(front), -1))


def _slice(node: Node, values: Sequence[Any]) -> Array:
    starts, ends = _option(node, values, 1, "starts"), _option(node, values, 2, "ends")
    assert starts is not None
    assert ends is not None
    axes = _option(node, values, 3, "axes") or list(range(len(starts)))
    steps = _option(node, values, 4, "steps") or [1] * len(starts)
    parts = [slice(None)] * values[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # Going down, an end beyond the front is one that Python writes as None.
        below = step < 0 and end < -values[0].shape[axis]
        parts[axis] = slice(start, None if below else end, step)
    return np.asarray(values[0][tuple(parts)])


def _gather(node: Node, values: Sequence[Any]) -> Array:
    axis = node.get("axis", 0)
    indices = np.asarray(values[1], np.int64)
    bounded(node, values[0].size // max(1, values[0].shape[axis]) * indices.size)
    return np.take(values[0], indices, axis)


def _concat(node: Node, values: Sequence[Any]) -> Array:
    bounded(node, sum(value.size for value in values))
    return np.concatenate(values, node.get("axis", 0))


def _expand(node: Node, values: Sequence[Any]) -> Array:
    shape = np.broadcast_shapes(values[0].shape, tuple(_ints(values[1])))
    bounded(node, math.prod(shape))
    return np.broadcast_to(values[0], shape)


def _tile(node: Node, values: Sequence[Any]) -> Array:
    repeats = _ints(values[1])
    bounded(node, values[0].size * math.prod(repeats))
    return np.tile(values[0], repeats)


MOVES: Mapping[str, Callable[[Node, Sequence[Any]], Array]] = {
    "Identity": _same, "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Reshape": _reshape, "Flatten": _flatten, "Slice": _slice, "Gather": _gather,
    "Concat": _concat, "Expand": _expand, "Tile": _tile,
}  # fmt: skip
"""Those that move numbers: their values are arrays of anything."""


def _constant(node: Node, values: Sequence[Any]) -> Array:
    for key, kind in (
        ("value", None), ("value_float", np.float32), ("value_int", np.int64),
        ("value_floats", np.float32), ("value_ints", np.int64),
    ):  # fmt: skip
        if key in node.attributes:
            return np.asarray(node.attributes[key], kind)
    raise UnsupportedError(f"{node} holds no numbers")


def _cast(node: Node, values: Sequence[Any]) -> Array:
    kind = cast_type(node.attributes.get("to"))
    if kind is None:
        raise UnsupportedError(f"{node}: casts to type {node.attributes.get('to')} are not known")
    return np.asarray(values[0]).astype(kind)


def _constant_of_shape(node: Node, values: Sequence[Any]) -> Array:
    shape = _ints(values[0])
    bounded(node, math.prod(shape))
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(shape, value.ravel()[0])


def _arithmetic(function: Any) -> Callable[[Node, Sequence[Any]], Array]:
    def run(node: Node, values: Sequence[Any]) -> Array:
        bounded(node, math.prod(np.broadcast_shapes(*(value.shape for value in values))))
        return np.asarray(function(*values))

    return run


def _divide(a: Array, b: Array) -> Any:
    """Divide; integers towards zero, as in C."""
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)


COMPUTES: Mapping[str, Callable[[Node, Sequence[Any]], Array]] = {
    "Constant": _constant, "Cast": _cast, "ConstantOfShape": _constant_of_shape,
    "Add": _arithmetic(np.add), "Sub": _arithmetic(np.subtract), "Mul": _arithmetic(np.multiply),
    "Div": _arithmetic(_divide), "Equal": _arithmetic(np.equal), "Where": _arithmetic(np.where),
}  # fmt: skip
"""Those that compute, on constants."""
