"""Parse an .onnx file into plain nodes and arrays; the `onnx` package only reads the protobuf.

A file is untrusted: tensors outside the file are read only from files beside it, within their size.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends.values import LIMIT_BYTES

_LIMIT = LIMIT_BYTES // 4
_NODES = 10_000
# onnx.TensorProto.DataType of float32, int32, int64, bool, float16, float64.
_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}


@dataclass(frozen=True)
class Node:
    """An operation.

    Members
    -------
    operator, name : its op_type, and the name of the node (or of its first output)
    inputs, outputs : names of tensors, "" for one that is left out
    attributes : numbers, strings, lists of them, arrays
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.operator})"

    def get(self, key: str, default: Any) -> Any:
        """Return an attribute, of the type of the default where there is one."""
        value = self.attributes.get(key, default)
        if default is not None and not isinstance(value, type(default)):
            raise ModelError(f"{self}: {key} is a {type(value).__name__}")
        return value


@dataclass(frozen=True)
class Graph:
    """A model's main graph.

    Members
    -------
    nodes : those that the output needs, in the order of the file, in which they can be run
    constants : by name
    input, shape : the one input, and its lengths; None is open
    output : the first output
    opset : version of the operators
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input: str
    shape: tuple[int | None, ...]
    output: str
    opset: int


def cast_type(number: object) -> Any:
    """Return the NumPy type of a number of onnx.TensorProto.DataType, None if it is another."""
    return _TYPES.get(number) if isinstance(number, int) else None


def read_graph(path: Path) -> Graph:
    """Parse a file.

    Raises UnsupportedError without the package, ModelError for a damaged file.
    """
    try:
        onnx: Any = importlib.import_module("onnx")
    except ImportError:
        raise UnsupportedError(
            f'{path}: reading ONNX files needs onnx: pip install "rnnrtl[onnx]"'
        ) from None
    if path.stat().st_size > _LIMIT:
        raise ModelError(f"{path} is larger than the {_LIMIT >> 20} MiB that are read")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        return _graph(onnx, model, path.parent)
    except RnnrtlError:
        raise
    except Exception as error:  # protobuf and onnx raise many kinds of errors
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"cannot be read as ONNX: {reason}") from None


def _graph(onnx: Any, model: Any, folder: Path) -> Graph:
    graph = model.graph
    if len(graph.node) > _NODES:
        raise ModelError(f"the graph has {len(graph.node)} nodes, more than the {_NODES} read")
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] < 7:
        raise UnsupportedError(f"opset {versions} is not supported, only 7 and later")
    constants = {}
    for tensor in graph.initializer:
        constants[tensor.name] = _array(onnx, tensor, folder)
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise UnsupportedError(
            f"the graph has the inputs {names or 'none'}: only one is supported; initial states "
            "must be constants inside the model, or are offered to the hardware: generate(..., "
            "state_ports=True)"
        )
    if not graph.output:
        raise ModelError("the graph has no output")
    dimensions = inputs[0].type.tensor_type.shape.dim
    shape = tuple(each.dim_value if each.HasField("dim_value") else None for each in dimensions)
    output = graph.output[0].name
    nodes = _needed([_node(onnx, each, folder) for each in graph.node], output)
    return Graph(nodes, constants, inputs[0].name, shape, output, versions[0])


def _needed(nodes: list[Node], output: str) -> tuple[Node, ...]:
    """Return the nodes that the output depends on: exporters write the last states besides."""
    names, found = {output}, []
    for node in reversed(nodes):
        if not names.isdisjoint(node.outputs):
            names.update(node.inputs)
            found.append(node)
    return tuple(reversed(found))


def _node(onnx: Any, node: Any, folder: Path) -> Node:
    name = node.name or next(iter(node.output), "")
    if node.op_type in ("If", "Loop", "Scan"):
        raise UnsupportedError(
            f"node {name!r} ({node.op_type}) runs other graphs: recurrent layers must be RNN, LSTM "
            "and GRU nodes; load the Keras or PyTorch model itself"
        )
    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedError(
            f"node {name!r} ({node.domain}.{node.op_type}) is not of ONNX' own operators"
        )
    attributes = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = _array(onnx, value, folder)
        elif isinstance(value, bytes):
            value = value.decode()
        elif not isinstance(value, int | float):
            value = [each.decode() if isinstance(each, bytes) else each for each in value]
        attributes[attribute.name] = value
    return Node(node.op_type, name, tuple(node.input), tuple(node.output), attributes)


def _array(onnx: Any, tensor: Any, folder: Path) -> NDArray[Any]:
    if tensor.data_type not in _TYPES:
        raise UnsupportedError(
            f"the tensor {tensor.name!r} is of ONNX' type {tensor.data_type}, expected floats, "
            "integers or bool"
        )
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor.raw_data = _outside(tensor, folder)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    array: NDArray[Any] = onnx.numpy_helper.to_array(tensor)
    return array


def _outside(tensor: Any, folder: Path) -> bytes:
    """Read the bytes of a tensor from the file beside the model that it names."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    what = f"the tensor {tensor.name!r} lies in {location!r}"
    path = folder / location
    if path.name != location or path.is_symlink() or not path.is_file():
        raise ModelError(f"{what}, which is no file beside the model")
    size = path.stat().st_size
    offset = int(entries.get("offset", "0"))
    length = int(entries.get("length", str(size - offset)))
    if offset < 0 or length < 0 or offset + length > size or length > _LIMIT:
        raise ModelError(f"{what} at {offset} for {length} bytes, but that has {size} bytes")
    with path.open("rb") as file:
        file.seek(offset)
        data: bytes = file.read(length)
        return data
