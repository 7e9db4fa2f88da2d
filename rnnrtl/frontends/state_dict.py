"""Read PyTorch's parameter names, as arrays or tensors; needs no torch.

A recurrent layer has weight_ih_l0 (gates*units, features), weight_hh_l0 (gates*units, units) and
bias_ih_l0, bias_hh_l0 (gates*units,), with _l1, _l2, ... where layers are stacked; gates i f g o
(LSTM), r z n (GRU). A Linear has weight (units, features) and bias (units,).
Source: the `Variables` of torch.nn.LSTM, torch.nn.GRU and torch.nn.Linear.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends import activations as act
from rnnrtl.frontends.gates import PYTORCH_ORDER, cell_of, split
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import as_array, joined
from rnnrtl.layers import GRU, LSTM, Dense, Layer

_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)_l(\d+)(_reverse)?")
_KNOWN = "weight and bias (Linear), or weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0"


def is_state_dict(parameters: Iterable[str]) -> bool:
    """Tell PyTorch's parameter names from Keras'; both have `bias`."""
    return any(name == "weight" or _RECURRENT.fullmatch(name) for name in parameters)


@dataclass(frozen=True)
class _Found:
    """A layer and the prefix of its keys, which may be the position in a Sequential."""

    prefix: str
    layer: Layer


def read_state_dict(
    groups: Mapping[str, Mapping[str, object]], activations: Mapping[str, str]
) -> tuple[Layer, ...]:
    """Build the layers from parameters grouped by prefix, in order.

    A state dict does not hold what has no weights. `activations` (layer -> activation) says it; it
    must for every Linear that another Linear follows, unless the two are neighbours in a
    Sequential. The last Linear is linear by default. All steps of the last recurrent layer are
    given on where nothing follows it (as torch.nn.LSTM itself does), else only its last state.
    """
    found = [
        _Found(prefix, layer)
        for prefix, parameters in groups.items()
        for layer in read_group(prefix, parameters)
    ]
    _check_gaps(found, activations)
    layers = [each.layer for each in found]
    only_recurrent = not any(isinstance(layer, Dense) for layer in layers)
    return act.apply(with_sequences(layers, last=only_recurrent), activations)


def with_sequences(layers: Iterable[Layer], *, last: bool) -> tuple[Layer, ...]:
    """Return the layers with every recurrent one but the last giving all its steps on."""
    layers = tuple(layers)
    recurrent = [layer for layer in layers if not isinstance(layer, Dense)]
    return tuple(
        layer
        if isinstance(layer, Dense)
        else replace(layer, return_sequences=last or layer is not recurrent[-1])
        for layer in layers
    )


def read_group(prefix: str, parameters: Mapping[str, object]) -> tuple[Layer, ...]:
    """Build what one prefix holds: a Linear, or the stacked layers of an LSTM or a GRU."""
    for name in parameters:
        match = _RECURRENT.fullmatch(name)
        if match is None and name not in ("weight", "bias"):
            raise ModelError(f"unknown key {joined(prefix, name)!r}: known are {_KNOWN}")
        if match and match[4]:
            raise UnsupportedError(
                f"{joined(prefix, name)!r}: bidirectional layers are not supported"
            )
        if match and match[2] == "hr":
            raise UnsupportedError(
                f"{joined(prefix, name)!r}: LSTM projections (proj_size) are not supported"
            )
    if not any(_RECURRENT.fullmatch(name) for name in parameters):
        return (_linear(prefix, parameters),)
    for name in ("weight", "bias"):
        if name in parameters:
            raise ModelError(f"unknown key {joined(prefix, name)!r} in a recurrent layer")
    depths = sorted({int(match[3]) for name in parameters if (match := _RECURRENT.fullmatch(name))})
    if depths != list(range(len(depths))):
        missing = next(depth for depth in range(len(depths)) if depth not in depths)
        raise ModelError(f"{joined(prefix, f'weight_ih_l{missing}')!r} is missing")
    return tuple(_recurrent(prefix, parameters, depth, stacked=len(depths) > 1) for depth in depths)


def _linear(prefix: str, parameters: Mapping[str, object]) -> Dense:
    if "weight" not in parameters:
        raise ModelError(f"{joined(prefix, 'weight')!r} is missing")
    kernel = as_array(parameters["weight"], joined(prefix, "weight"), (None, None))
    bias = np.zeros(kernel.shape[0])
    if "bias" in parameters:
        bias = as_array(parameters["bias"], joined(prefix, "bias"), (kernel.shape[0],))
    return Dense(identifier(prefix, fallback="dense"), kernel, bias)


def _recurrent(
    prefix: str, parameters: Mapping[str, object], depth: int, *, stacked: bool
) -> LSTM | GRU:
    def key(parameter: str) -> str:
        return joined(prefix, f"{parameter}_l{depth}")

    def value(parameter: str) -> object:
        name = f"{parameter}_l{depth}"
        if name not in parameters:
            raise ModelError(f"{key(parameter)!r} is missing")
        return parameters[name]

    recurrent = as_array(value("weight_hh"), key("weight_hh"), (None, None))
    rows, units = recurrent.shape
    cell = cell_of(rows, units, key("weight_hh"))
    kernel = as_array(value("weight_ih"), key("weight_ih"), (rows, None))
    # PyTorch writes both biases or none.
    if any(f"bias_{part}_l{depth}" in parameters for part in ("ih", "hh")):
        bias = as_array(value("bias_ih"), key("bias_ih"), (rows,))
        recurrent_bias = as_array(value("bias_hh"), key("bias_hh"), (rows,))
    else:
        bias = recurrent_bias = np.zeros(rows)
    name = identifier(prefix, fallback=cell.__name__.lower()) + (f"_l{depth}" if stacked else "")
    return cell(name, split(PYTORCH_ORDER[cell], kernel, recurrent, bias, recurrent_bias))


def _place(prefix: str) -> tuple[str, int] | None:
    """Return (container, position) of a layer in a Sequential, None for a named attribute."""
    container, _, last = prefix.rpartition(".")
    return (container, int(last)) if last.isdecimal() else None


def _check_gaps(found: list[_Found], activations: Mapping[str, str]) -> None:
    """Raise where something without weights may stand after a layer and nobody says what."""
    unknown: list[str] = []
    for before, after in pairwise(found):
        if not isinstance(after.layer, Dense) or before.layer.name in activations:
            continue
        place, next_place = _place(before.prefix), _place(after.prefix)
        neighbours = bool(
            place and next_place and place[0] == next_place[0] and place[1] + 1 == next_place[1]
        )
        # A layer in front of the first Linear of a Sequential: a Dropout, or a ReLU?
        starts = next_place is None or next_place[1] == 0
        if not neighbours and (isinstance(before.layer, Dense) or not starts):
            unknown.append(f"{before.layer.name} and {after.layer.name}")
    if unknown:
        first = unknown[0].split()[0]
        dense = any(each.layer.name == first and isinstance(each.layer, Dense) for each in found)
        example = "relu" if dense else "linear"
        raise ModelError(
            f"a state dict does not say what stands between {', '.join(unknown)}: say it with "
            f'activations={{"{first}": "{example}"}} ("linear": nothing, or a Dropout), or load '
            "the module itself"
        )
