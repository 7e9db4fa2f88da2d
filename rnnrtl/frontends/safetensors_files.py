"""Read .safetensors files of PyTorch's parameter names, with the library's NumPy reader.

The format is a JSON header and plain numbers; the library checks every size against the file's. It
sorts tensors by name, so the order of the layers is found by their shapes.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.values import LIMIT_BYTES, grouped, joined

_TRIES = 10_000


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name, layer after layer.

    Raises UnsupportedError without the library, ModelError for a damaged file and where the shapes
    leave the order of the layers open.
    """
    try:
        numpy_reader: Any = importlib.import_module("safetensors.numpy")
    except ImportError:
        raise UnsupportedError(
            f"{path}: reading .safetensors files needs safetensors: pip install "
            '"rnnrtl[safetensors]"'
        ) from None
    if path.stat().st_size > LIMIT_BYTES // 4:
        raise ModelError(f"{path} is larger than the {LIMIT_BYTES >> 22} MiB that are read")
    try:
        arrays: dict[str, NDArray[Any]] = numpy_reader.load(path.read_bytes())
    except KeyError as error:  # bfloat16 and narrower
        raise UnsupportedError(
            f"{path} holds numbers of type {error}, which are not read: save them as float32"
        ) from None
    except Exception as error:  # the library's own, and what damaged headers give
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"{path} cannot be read as safetensors: {reason}") from None
    groups = grouped(arrays)
    ends = {prefix: _ends(parameters) for prefix, parameters in groups.items()}
    known = {prefix: pair for prefix, pair in ends.items() if pair is not None}
    # A group of another kind is for the reader of state dicts to refuse.
    if len(known) == len(ends):
        first, second = (*islice(_orders(known, [], iter(range(_TRIES))), 2), None, None)[:2]
        if second is not None:
            raise ModelError(
                f"{path} does not say the order of its layers, and {', '.join(first or ())} fit "
                f"as {', '.join(second)} too: pass a dict of the tensors in layer order"
            )
        groups = {prefix: groups[prefix] for prefix in first or groups}
    return {
        joined(prefix, name): arrays[joined(prefix, name)]
        for prefix, parameters in groups.items()
        for name in parameters
    }


def _ends(parameters: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return how many numbers a layer takes and gives, None for what is none."""
    if "running_mean" in parameters:  # a batch normalisation
        features = int(parameters["running_mean"].size)
        return features, features
    taken, given = (
        next((parameters[n] for n in ("weight", f"{name}_l0", name) if n in parameters), None)
        for name in ("weight_ih", "weight_hh")
    )
    if taken is None or given is None or taken.ndim != 2 or given.ndim != 2:
        return None
    return taken.shape[1], given.shape[0] if "weight" in parameters else given.shape[1]


def _orders(
    ends: Mapping[str, tuple[int, int]], before: list[str], tries: Iterator[int]
) -> Iterator[list[str]]:
    """Yield the orders in which each layer takes as many numbers as the one before it gives.

    In a Sequential ("net.0", "net.2") the numbers say which comes first.
    """
    if next(tries, None) is None:
        raise ModelError("the order of so many layers is not found: pass a dict in layer order")
    if len(before) == len(ends):
        yield list(before)
    for prefix, (taken, _) in ends.items():
        if prefix in before or (before and ends[before[-1]][1] != taken):
            continue
        container, number = _place(prefix)
        if not any(
            other not in before and _place(other)[0] == container and _place(other)[1] < number
            for other in ends
            if number >= 0
        ):
            yield from _orders(ends, [*before, prefix], tries)


def _place(prefix: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:(.*)\.)?(\d{1,9})", prefix)
    return (match[1] or "", int(match[2])) if match else (prefix, -1)
