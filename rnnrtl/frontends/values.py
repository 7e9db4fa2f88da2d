"""Values of a source, checked: real numbers, flags, counts and words, each error naming its key."""

import json
import reprlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, PrecisionError, RnnrtlError, UnsupportedError
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.layers import FloatArray

# Weights beyond this are no network for one chip, but a damaged or a hostile file.
LIMIT_BYTES = 1 << 30

_DEEPEST = 16


def flatten(source: Mapping[Any, Any]) -> dict[str, object]:
    """Flatten nested mappings into one, in order, the keys joined by a dot.

    "/" and "." both separate: "head/0.weight" and {"head": {"0": {"weight": ...}}} give
    "head.0.weight". Raises ModelError for a key that is no string or that comes twice.
    """
    flat: dict[str, object] = {}

    def walk(mapping: Mapping[Any, Any], prefix: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise ModelError(f"{prefix!r}... is nested more than {_DEEPEST} mappings deep")
        for part, value in mapping.items():
            if not isinstance(part, str):
                raise ModelError(
                    f"the key {part!r} is a {type(part).__name__}: keys must be strings"
                )
            key = f"{prefix}.{part}" if prefix else part
            key = key.replace("/", ".")
            if isinstance(value, Mapping):
                walk(value, key, depth + 1)
            elif key in flat:
                raise ModelError(f"{key!r} is given twice")
            else:
                flat[key] = value

    walk(source, "", 1)
    return flat


def grouped(flat: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Group "layer.parameter" keys by layer, in the order in which the layers first appear."""
    groups: dict[str, dict[str, object]] = {}
    for key, value in flat.items():
        layer, _, parameter = key.rpartition(".")
        groups.setdefault(layer, {})[parameter] = value
    return groups


def joined(layer: str, parameter: str) -> str:
    """Return the key that `grouped` split."""
    return f"{layer}.{parameter}" if layer else parameter


def as_array(value: object, key: str, shape: tuple[int | None, ...] | None = None) -> FloatArray:
    """Return `value` as a float64 array; None in `shape` is any length above zero.

    Takes NumPy arrays, nested lists and strided torch tensors of real numbers.
    Raises ModelError naming `key` for anything else, and for another shape.
    """
    torch = sys.modules.get("torch")  # a tensor exists only where torch was imported
    if torch is not None and isinstance(value, torch.Tensor):
        try:
            array = _from_tensor(torch, value, key)
        except RnnrtlError:
            raise
        except Exception as error:  # tensors of many kinds have no values: lazy, nested, fake
            reason = str(error).split(". ")[0].splitlines()[0]
            raise ModelError(f"{key!r} is a tensor without plain values: {reason}") from None
    else:
        try:
            given = np.asarray(value)
        except Exception as error:  # __array__ of a foreign class may raise anything
            raise ModelError(f"{key!r} is not an array of numbers: {error}") from None
        if given.dtype.kind not in "fiu":
            raise ModelError(
                f"{key!r} holds {given.dtype} ({type(value).__name__}), expected real numbers"
            )
        with np.errstate(invalid="ignore"):  # a NaN is told by its place, later
            array = given.astype(np.float64)
    if shape is not None and (
        array.ndim != len(shape)
        or any(
            length == 0 if want is None else length != want
            for length, want in zip(array.shape, shape, strict=True)
        )
    ):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        comma = "," if len(shape) == 1 else ""
        raise ModelError(f"{key!r} has shape {array.shape}, expected ({wanted}{comma})")
    return array


def _from_tensor(torch: Any, tensor: Any, key: str) -> FloatArray:
    """Return a torch tensor as float64; torch itself widens bfloat16, which NumPy does not know."""
    if tensor.is_quantized:
        raise UnsupportedError(
            f"{key!r} is quantised ({tensor.dtype}): load the float weights, the precision is "
            "given to generate()"
        )
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ModelError(f"{key!r} holds {tensor.dtype}, expected real numbers")
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        raise ModelError(
            f"{key!r} is a tensor without plain values: {tensor.layout} layout, "
            f"{tensor.device} device"
        )
    # An expanded tensor (stride 0) of a small file can claim any size. Several copies are made.
    most = LIMIT_BYTES // 4
    if tensor.numel() * 8 > most:
        raise ModelError(
            f"{key!r} has {tensor.numel()} numbers, more than the {most >> 20} MiB that are read"
        )
    array: FloatArray = tensor.detach().to(device="cpu", dtype=torch.float64).numpy().copy()
    return array


def as_text(value: object, key: str) -> str:
    """Return a str, or a NumPy array of one string, as str."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind == "U":
        return str(value.item())
    raise ModelError(f"{key!r} must be one string, not {brief(value)}")


def as_count(value: object, key: str) -> int:
    """Return an int, or an array of one integer, as int."""
    try:
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "iu":
            return int(array.item())
    except Exception:  # whatever a foreign __array__ raises, it is no integer
        pass
    raise ModelError(f"{key!r} must be one integer, not {brief(value)}")


def as_flag(value: object, key: str) -> bool:
    """Return a bool, or an array of one bool (or 0 or 1), as bool."""
    try:
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "biu" and array.item() in (0, 1):
            return bool(array.item())
    except Exception:
        pass
    raise ModelError(f"{key!r} must be True or False, not {brief(value)}")


def as_precision(value: object) -> Precision:
    """Return a Precision, or its mapping of patterns to formats as JSON text, as Precision."""
    if isinstance(value, Precision):
        return value
    try:
        return Precision.parse(json.loads(as_text(value, "precision")))
    except PrecisionError as error:
        raise ModelError(f"'precision': {error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"'precision' is no JSON text: {error}") from None


def brief(value: object) -> str:
    """Return `value` for an error message, on one line of moderate length."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    # The parts of lists and dicts only so deep: JSON can be nested deeper than repr goes.
    text = reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
