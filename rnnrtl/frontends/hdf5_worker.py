"""The process in which h5py reads a file: HDF5 on standard input, what is in it on standard output.

The library loops and allocates without end on damaged files, so it works here, in a process with
limits, which may die of them. What it must not do at all is checked before: a file can refer to
other files and name filters that are loaded as libraries. Imports nothing of rnnrtl.
"""

import io
import json
import math
import resource
import sys
from typing import Any

import h5py
import numpy as np

_ATTRIBUTES = ("keras_version", "model_config", "layer_names", "weight_names")
_SKIPPED = ("optimizer", "optimizer_weights")  # the state of the training, larger than the weights
# Deflate makes at most 1032 bytes out of one (https://zlib.net/zlib_tech.html).
_EXPANSION = 1032
# Keras writes arrays in one piece; other writers in some. Each piece costs a call into the library.
_PIECES = 4096
_DEEPEST = 32
_MOST = 100_000


class _Reader:
    """Walks from the root along hard links; each object is read once."""

    def __init__(self, size: int, limit: int) -> None:
        self.strings: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, str] = {}
        self.arrays: dict[str, Any] = {}
        self._size, self._limit = size, limit
        self._seen: set[Any] = set()

    def walk(self, group: Any, path: str, depth: int) -> None:
        attributes = self._attributes(group)
        if attributes:
            self.strings[path] = attributes
        for name in group.id:
            place = f"{path}/{name.decode()}" if path else name.decode()
            if place in _SKIPPED:
                continue
            if group.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                self.refused[place] = "is a link to somewhere else, which is not followed"
                continue
            child = group[name]
            key = h5py.h5o.get_info(child.id).addr
            if key in self._seen or depth == _DEEPEST or len(self._seen) == _MOST:
                self.refused[place] = "is linked twice, or too deep"
                continue
            self._seen.add(key)
            if isinstance(child, h5py.Group):
                self.walk(child, place, depth + 1)
            elif isinstance(child, h5py.Dataset):
                reason = self._unreadable(child)
                if reason:
                    self.refused[place] = reason
                else:
                    self.arrays[place] = np.asarray(child[()])

    def _attributes(self, group: Any) -> dict[str, Any]:
        """Return the strings and lists of strings under the names that Keras uses."""
        found = {}
        for name in group.attrs:
            # Keras cuts lists beyond 64 KiB into layer_names0, layer_names1, ...
            if name.rstrip("0123456789") not in _ATTRIBUTES:
                continue
            value = np.asarray(group.attrs[name])
            items = [
                item.decode() if isinstance(item, bytes) else item
                for item in value.ravel().tolist()
            ]
            if value.ndim > 1 or not all(isinstance(item, str) for item in items):
                self.refused[name] = "holds no strings"
                continue
            found[name] = items if value.ndim else items[0]
        return found

    def _unreadable(self, data: Any) -> str:
        """Return why a dataset is not read, or nothing."""
        # bfloat16 is stored as integers of 16 bits, so integers are no weights; but a single one
        # may count, as beside the statistics of a Normalization.
        counts = data.dtype.kind == "i" and data.shape == ()
        if not (data.dtype.kind == "f" or counts) or data.shape is None:
            return f"holds {data.dtype} of shape {data.shape}, expected floats"
        count = math.prod(data.shape)
        self._limit -= count * 8
        if self._limit < 0:
            return "is more than is read"
        properties = data.id.get_create_plist()
        if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
            return "lies in other files, which are not opened"
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        if any(number != h5py.h5z.FILTER_DEFLATE for number in filters):
            return f"goes through the HDF5 filters {filters}, only gzip is read"
        size = count * data.dtype.itemsize
        if data.chunks is not None:
            pieces = math.prod(
                -(-length // part) for length, part in zip(data.shape, data.chunks, strict=True)
            )
            if pieces > _PIECES:
                return f"is cut into {pieces} pieces, store it as one"
            size = max(size, math.prod(data.chunks) * data.dtype.itemsize)
        if size > self._size * (_EXPANSION if filters else 1):
            return f"declares {size} bytes, more than a file of {self._size} bytes can hold"
        return ""


def main(limit: int, seconds: int) -> None:
    """Read what is on standard input; at most `limit` bytes of weights as float64."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (4 * limit, 4 * limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = sys.stdin.buffer.read()
    reader, error = _Reader(len(data), limit), ""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            reader.walk(file, "", 0)
    # The library raises a dozen different errors over damaged files.
    except Exception as raised:
        error = " ".join(str(raised).split()) or type(raised).__name__
    index = {
        "paths": list(reader.arrays),
        "strings": reader.strings,
        "refused": reader.refused,
        "error": error,
    }
    text = np.frombuffer(json.dumps(index).encode(), np.uint8)
    result = io.BytesIO()
    np.savez(result, text, *reader.arrays.values())
    sys.stdout.buffer.write(result.getvalue())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
