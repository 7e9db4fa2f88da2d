"""Read HDF5 files of weights, none of whose contents is trusted, in a process of their own."""

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError
from rnnrtl.frontends.values import LIMIT_BYTES

_WORKER = Path(__file__).with_name("hdf5_worker.py")
# A quarter each for the file, for its arrays as float64, and for h5py's work on them.
_LIMIT = LIMIT_BYTES // 4
_CPU_SECONDS = 3  # reading a file of the largest size takes about one
_SECONDS = 60  # on a machine that has other work


@dataclass(frozen=True)
class Tree:
    """What an HDF5 file holds; paths have their parts separated by "/", the root is "".

    Members
    -------
    path : of the file, for errors
    strings : group -> attribute -> string or list of strings
    arrays : path -> array
    refused : path -> why what is there was not read
    """

    path: Path
    strings: dict[str, dict[str, Any]]
    arrays: dict[str, NDArray[Any]]
    refused: dict[str, str]

    def error(self, text: str) -> ModelError:
        """Return the error that `text` says of this file."""
        return ModelError(f"{self.path}: {text}")

    def array(self, path: str) -> NDArray[Any]:
        """Return the array at a path, or raise ModelError that says why there is none."""
        if path not in self.arrays:
            for place, reason in self.refused.items():
                if path == place or path.startswith(f"{place}/"):
                    raise self.error(f"{place!r} {reason}")
            raise self.error(f"the array {path!r} is missing")
        return self.arrays[path]

    def text(self, path: str, name: str) -> str | None:
        """Return an attribute that is one string, or None where there is none."""
        value = self.strings.get(path, {}).get(name)
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    def names(self, path: str, name: str) -> list[str] | None:
        """Return an attribute that is a list of strings, or None where there is none."""
        attributes = self.strings.get(path, {})
        if name in attributes:
            value = attributes[name]
            return value if isinstance(value, list) else [value]
        parts: list[str] = []
        number = 0
        while f"{name}{number}" in attributes:
            parts += attributes[f"{name}{number}"]
            number += 1
        return parts if number else None


def read_hdf5(path: Path, data: bytes) -> Tree:
    """Read the contents `data` of an HDF5 file that `path` is or holds.

    Raises ModelError where they are damaged, or more than a network's.
    """
    if len(data) > _LIMIT:
        raise ModelError(f"{path} is larger than the {_LIMIT >> 20} MiB that are read")
    # -P: modules beside the worker do not hide those of the same name that it imports.
    command = [sys.executable, "-P", str(_WORKER), str(_LIMIT), str(_CPU_SECONDS)]
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            # One thread: each has memory of its own, and there is a limit for all.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{path} is damaged: HDF5 does not come to an end with it") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "the HDF5 library does not come to an end with it"
        raise ModelError(f"{path} cannot be read as HDF5: {reason}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as result:
        index = json.loads(result["arr_0"].tobytes())
        if index["error"]:
            raise ModelError(f"{path} cannot be read as HDF5: {index['error']}")
        arrays = {at: result[f"arr_{i}"] for i, at in enumerate(index["paths"], 1)}
    return Tree(path, index["strings"], arrays, index["refused"])
