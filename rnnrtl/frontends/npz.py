"""Read and write .npz files of weights, with NumPy's own format and no pickles.

A file is untrusted: the sizes that the zip directory and each array's header declare are checked
before anything of that size is allocated.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, OutputError
from rnnrtl.frontends.arrays import INITIAL, POOLINGS
from rnnrtl.frontends.gates import KERAS_ORDER
from rnnrtl.frontends.values import LIMIT_BYTES
from rnnrtl.layers import (
    GRU,
    LSTM,
    AveragePooling,
    Bidirectional,
    Connected,
    Convolution,
    Embedding,
    FloatArray,
    Gated,
    MaxPooling,
    Part,
    Pooling,
    Recurrent,
    Reshape,
    parts,
)
from rnnrtl.network import Network


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the file by key, in the order in which they were written.

    Raises ModelError for a file that is damaged, too large, or that holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check_sizes(path, members)
            arrays = {}
            for member in members:
                key = member.filename.removesuffix(".npy")
                if key in arrays:
                    raise ModelError(f"{path}: {key!r} is in the file twice")
                with archive.open(member) as stream:
                    arrays[key] = _read_array(path, key, stream, member.file_size)  # type: ignore[arg-type]
            return arrays
    except ModelError:
        raise
    # zipfile, zlib and NumPy raise a dozen different errors over damaged files.
    except Exception as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be read as .npz: {text}") from None


def check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise ModelError where a zip file unpacks to more than any network weighs."""
    size = sum(member.file_size for member in members)
    if size > LIMIT_BYTES:
        raise ModelError(
            f"{path} unpacks to {size} bytes, more than the {LIMIT_BYTES >> 20} MiB that are read"
        )


def _read_array(path: Path, key: str, stream: BinaryIO, size: int) -> NDArray[Any]:
    """Read one array of `size` bytes with its header."""
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:  # 3.0 is for records with field names beyond Latin-1
        raise ModelError(f"{path}: {key!r} has .npy version {version}, no plain array has that")
    if dtype.hasobject:
        raise ModelError(f"{path}: {key!r} holds Python objects (a pickle), which are not read")
    # Python's integers do not overflow over a hostile shape.
    declared = dtype.itemsize
    for length in shape:
        declared *= length
    rest = size - stream.tell()
    if declared != rest or any(length < 0 for length in shape):
        raise ModelError(
            f"{path}: {key!r} declares shape {shape} of {dtype}, {declared} bytes, "
            f"but {rest} bytes follow"
        )
    stream.seek(0)
    array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array


def to_arrays(network: Network) -> dict[str, NDArray[Any]]:
    """Return the network as the flat dict that `load` takes; see `rnnrtl.frontends.arrays`."""
    arrays: dict[str, NDArray[Any]] = {"name": np.array(network.name)}
    if network.steps is not None:
        arrays["steps"] = np.array(network.steps, np.int64)
    if network.stateful:
        arrays["stateful"] = np.array(True)
    if network.mask_value is not None:
        arrays["mask_value"] = np.array(network.mask_value)
    if network.precision is not None:
        arrays["precision"] = np.array(json.dumps(network.precision.as_dict()))
    for layer in network.layers:
        if isinstance(layer, Bidirectional):
            for parameter, value in _pair(layer).items():
                arrays[f"{layer.name}/{parameter}"] = value
        for part in parts(layer):
            for parameter, value in _parameters(part).items():
                arrays[f"{part.name}/{parameter}"] = value
    return arrays


def save(network: Network, path: str | Path) -> None:
    """Write the network to an .npz file that `load` reads back to the same values.

    Equal networks give equal files. Weights are float32 where that keeps every value exactly,
    else float64. Raises OutputError where the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise OutputError(f"{path}: weights are saved as .npz, name the file so")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in to_arrays(network).items():
            member = io.BytesIO()
            npy.write_array(member, np.ascontiguousarray(array).reshape(array.shape))
            # The fixed date of a new ZipInfo, not the time of writing.
            info = zipfile.ZipInfo(f"{key}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


def _compact(array: FloatArray) -> NDArray[Any]:
    single = array.astype(np.float32)
    return single if np.array_equal(single.astype(np.float64), array) else array


def _pair(layer: Bidirectional) -> dict[str, NDArray[Any]]:
    return {
        "forward": np.array(layer.forward.name),
        "backward": np.array(layer.backward.name),
        "merge": np.array(layer.merge),
        "last_output": np.array(layer.last_output),
    }


def _parameters(layer: Part) -> dict[str, NDArray[Any]]:
    if isinstance(layer, Embedding):
        return {"embeddings": _compact(layer.kernel.T)}
    if isinstance(layer, Connected):
        return _connected(layer)
    if isinstance(layer, Reshape):
        return _reshape(layer)
    return _pooling(layer) if isinstance(layer, Pooling) else _cell(layer)


def _pooling(layer: AveragePooling | MaxPooling) -> dict[str, NDArray[Any]]:
    (word,) = (word for word, kind in POOLINGS.items() if isinstance(layer, kind))
    arrays = {"pooling": np.array(word), "features": np.array(layer.features, np.int64)}
    if isinstance(layer, AveragePooling):
        arrays["steps"] = np.array(layer.steps, np.int64)
    return arrays


def _reshape(layer: Reshape) -> dict[str, NDArray[Any]]:
    arrays = {"order": np.array(layer.order), "features": np.array(layer.features, np.int64)}
    if layer.steps is not None:
        arrays["steps"] = np.array(layer.steps, np.int64)
    return arrays


def _connected(layer: Connected) -> dict[str, NDArray[Any]]:
    kernel: NDArray[Any] = layer.kernel.T
    more: dict[str, NDArray[Any]] = {}
    if isinstance(layer, Convolution):
        kernel = kernel.reshape(layer.taps, layer.features, layer.units)
        more["padding"] = np.array(layer.padding)
    return {
        "kernel": _compact(kernel),
        "bias": _compact(layer.bias),
        "activation": np.array(layer.activation),
        **more,
    }


def _cell(layer: Recurrent) -> dict[str, NDArray[Any]]:
    gates = [layer.gates[name] for name in KERAS_ORDER[type(layer)]]
    # Always two rows: one would lose the recurrent bias of PyTorch's layers.
    bias = np.stack(
        [
            np.concatenate([gate.bias for gate in gates]),
            np.concatenate([gate.recurrent_bias for gate in gates]),
        ]
    )
    arrays: dict[str, NDArray[Any]] = {
        "kernel": _compact(np.concatenate([gate.kernel for gate in gates]).T),
        "recurrent_kernel": _compact(np.concatenate([gate.recurrent_kernel for gate in gates]).T),
        "bias": _compact(bias),
        "activation": np.array(layer.activation),
        "return_sequences": np.array(layer.return_sequences),
    }
    if isinstance(layer, Gated):
        arrays["recurrent_activation"] = np.array(layer.recurrent_activation)
    arrays |= {
        INITIAL + state: _compact(values) for state, values in layer.initial.items() if values.any()
    }
    if layer.go_backwards:
        arrays["go_backwards"] = np.array(layer.go_backwards)
    if isinstance(layer, GRU):
        arrays["reset_after"] = np.array(layer.reset_after)
    elif isinstance(layer, LSTM):
        if layer.rounded_products:
            arrays["rounded_products"] = np.array(layer.rounded_products)
        if layer.projection is not None:
            arrays["projection"] = _compact(layer.projection.T)
    return arrays
