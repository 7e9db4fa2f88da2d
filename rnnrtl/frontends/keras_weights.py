"""The arrays of a layer under Keras' names for them, whichever version stored them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]
"""Layer -> name of the array in its source -> the array, in the order of the source."""

# Keras 1 stored a kernel, a recurrent kernel and a bias for each gate, in the order in which its
# recurrent.py made them; or, with consume_less="gpu", stacked as later versions do.
_KERAS1 = re.compile(r"(?:.*_)?([WUb])(?:_([ifcozrh]))?")
_KERAS1_NAMES = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
_GATES = ("ifco", "zrh")


def named(
    layer: str, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a layer as `names`, which are all that it shall have.

    `layer` is what errors call it. Keys are positions ("0", as in a .keras file), paths that end in
    the name ("gru/gru_cell/kernel:0"), or those of Keras 1 ("gru_1_W_z").
    """
    short = {key.rpartition("/")[2].partition(":")[0]: array for key, array in arrays.items()}
    if len(short) != len(arrays):
        raise ModelError(f"{layer}: the weights {', '.join(arrays)} are not told apart")
    if set(short) == {str(position) for position in range(len(names))}:
        return {name: short[str(position)] for position, name in enumerate(names)}
    if short and all(_KERAS1.fullmatch(key) for key in short):
        short = _stacked(layer, short)
    if set(short) != set(names):
        raise ModelError(
            f"{layer} has the weights {', '.join(arrays) or 'none'}, expected {', '.join(names)}"
        )
    return {name: short[name] for name in names}


def check_shapes(
    layer: object,
    arrays: Mapping[str, object],
    expected: Mapping[str, tuple[int | None, ...]],
) -> None:
    """Raise ModelError for an array of another shape than the configuration asks for."""
    for name, shape in expected.items():
        array: Any = arrays.get(name)
        if array is not None and (
            len(array.shape) != len(shape)
            or any(
                want not in (None, length) for want, length in zip(shape, array.shape, strict=True)
            )
        ):
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            comma = "," if len(shape) == 1 else ""
            raise ModelError(
                f"{layer}: its {name} has shape {array.shape}, but its configuration asks for "
                f"({wanted}{comma})"
            )


def _stacked(layer: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return Keras 1's arrays, the gates side by side as in later versions."""
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        match = _KERAS1.fullmatch(key)
        assert match is not None
        parts.setdefault(_KERAS1_NAMES[match[1]], {})[match[2] or ""] = array
    stacked = {}
    for name, gates in parts.items():
        if list(gates) == [""]:
            stacked[name] = gates[""]
            continue
        order = next((order for order in _GATES if set(order) == set(gates)), None)
        if order is None:
            raise ModelError(f"{layer}: its {name} has the gates {', '.join(gates)}")
        try:
            stacked[name] = np.concatenate([gates[gate] for gate in order], axis=-1)
        except ValueError:
            shapes = ", ".join(str(array.shape) for array in gates.values())
            raise ModelError(f"{layer}: the gates of its {name} have shapes {shapes}") from None
    return stacked
