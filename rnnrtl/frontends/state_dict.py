"""Read PyTorch's parameter names, as arrays or tensors; needs no torch.

A recurrent layer has weight_ih_l0 (gates*units, features), weight_hh_l0 (gates*units, units) and
bias_ih_l0, bias_hh_l0 (gates*units,), an LSTM with a projection weight_hr_l0 (proj_size, units) and
weight_hh_l0 (gates*units, proj_size), with _l1, _l2, ... where layers are stacked; gates i f g o
(LSTM), r z n (GRU), one alone (RNN); a bidirectional one has weight_ih_l0_reverse, ... besides, and
a cell the same without _l0. A Linear has weight (units, features) and bias (units,). A BatchNorm1d
has running_mean and running_var (features,), weight and bias (features,) or neither; `eps`, which
no state dict holds, is 1e-5, PyTorch's default, unless a key of that name is put beside them.
Source: the `Variables` of torch.nn.LSTM, GRU, RNN, their cells, Linear and BatchNorm1d.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends import activations as act
from rnnrtl.frontends.folding import Affine, Chain, standardised
from rnnrtl.frontends.gates import PYTORCH_ORDER, SHORT, cell_of, split
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import as_array, joined
from rnnrtl.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Layer,
    Recurrent,
    Reshape,
    SimpleRNN,
    Stepping,
)

_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|(?<=weight_)hr)(?:(_l\d+)(_reverse)?)?")
_KNOWN = (
    "weight and bias (Linear), weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 (RNN, LSTM, "
    "GRU), or running_mean and running_var (BatchNorm1d)"
)
_NORM = {
    "running_mean": "mean", "running_var": "variance", "weight": "gamma", "bias": "beta",
}  # fmt: skip


def is_state_dict(parameters: Iterable[str]) -> bool:
    """Tell PyTorch's parameter names from Keras'; both have `bias`."""
    return any(
        name in ("weight", "running_mean") or _RECURRENT.fullmatch(name) for name in parameters
    )


@dataclass(frozen=True)
class _Found:
    """A layer and the prefix of its keys, which may be the position in a Sequential."""

    prefix: str
    name: str
    layer: Layer | Affine


def read_state_dict(
    groups: Mapping[str, Mapping[str, object]], activations: Mapping[str, str]
) -> tuple[Layer, ...]:
    """Build the layers from parameters grouped by prefix, in order.

    A state dict does not hold what has no weights. `activations` (layer -> activation) says it; it
    must for every Linear and BatchNorm1d that another layer follows, unless the two are neighbours
    in a Sequential, and for every RNN, whose own nonlinearity it is: nothing else may follow one.
    The last Linear is linear by default. All steps of the last recurrent layer are given on where
    nothing follows it (as torch.nn.LSTM itself does), else only its last state.
    """
    found = [each for prefix, parameters in groups.items() for each in _found(prefix, parameters)]
    act.check_names((each.name for each in found), activations)
    _check_plain(found, activations)
    _check_gaps(found, activations)
    chain = Chain()
    for each in found:
        if isinstance(each.layer, Affine):
            chain.affine(each.name, each.layer)
        elif isinstance(each.layer, SimpleRNN):
            chain.add(replace(each.layer, activation=activations[each.name]))
            continue
        else:
            chain.add(each.layer)
        act.follow(chain, each.name, activations)
    only_recurrent = not any(isinstance(each.layer, Dense | Affine) for each in found)
    layers = chain.finished()
    _check_last(layers)
    return with_sequences(layers, last=only_recurrent)


def _found(prefix: str, parameters: Mapping[str, object]) -> Iterator[_Found]:
    if "running_mean" in parameters:
        yield _Found(prefix, identifier(prefix, fallback="norm"), batch_norm(prefix, parameters))
        return
    for layer in read_group(prefix, parameters):
        yield _Found(prefix, layer.name, layer)


def batch_norm(
    prefix: str, parameters: Mapping[str, object], epsilon: float | None = None
) -> Affine:
    """Build what a BatchNorm1d does in evaluation; see the module."""
    for name in parameters:
        if name not in (*_NORM, "num_batches_tracked", "eps"):
            raise ModelError(f"unknown key {joined(prefix, name)!r} in a batch normalisation")
    values = {
        name: as_array(parameters[key], joined(prefix, key), (None,))
        for key, name in _NORM.items()
        if key in parameters
    }
    if "variance" not in values or len({"gamma", "beta"} & set(values)) == 1:
        raise ModelError(
            f"{joined(prefix, 'running_mean')!r} needs running_var, and weight and bias or neither"
        )
    if epsilon is None:
        given = as_array(parameters.get("eps", 1e-5), joined(prefix, "eps"))
        if given.size != 1:
            raise ModelError(f"{joined(prefix, 'eps')!r} must be one number")
        epsilon = float(given.item())
    return standardised(f"batch normalisation {prefix!r}", epsilon, values)


def _check_last(layers: Sequence[Layer]) -> None:
    """Raise where a dense layer follows a bidirectional one, for two things may lie between."""
    for before, after in pairwise(layers):
        if isinstance(before, Bidirectional) and isinstance(after, Dense):
            raise ModelError(
                f"a state dict does not say what {after.name} takes of the bidirectional "
                f"{before.name}, the last states of both directions (h_n) or the output of the "
                "last step: load the module itself"
            )


def with_sequences(
    layers: Iterable[Layer], *, last: bool, last_output: bool = False
) -> tuple[Layer, ...]:
    """Return the layers with every recurrent one but the last giving all its steps on.

    Neither does one before a layer that takes one vector. A bidirectional last one gives all steps,
    or with `last_output` that of the last step, or else the last state of both directions.
    """
    found: list[Layer] = []
    sequences, at_last = last, last_output and not last  # as what follows takes them
    for layer in reversed(tuple(layers)):
        if isinstance(layer, Reshape):
            sequences, at_last = layer.steps is not None, False
        elif isinstance(layer, Stepping | Bidirectional):
            found.append(_giving(layer, sequences=sequences, last_output=at_last))
            sequences, at_last = True, False
            continue
        found.append(layer)
    return tuple(reversed(found))


def _giving(layer: Layer, *, sequences: bool, last_output: bool) -> Layer:
    if isinstance(layer, Bidirectional):
        both = [replace(part, return_sequences=sequences) for part in layer.parts]
        return replace(layer, forward=both[0], backward=both[1], last_output=last_output)
    return replace(layer, return_sequences=sequences) if isinstance(layer, Recurrent) else layer


def read_group(prefix: str, parameters: Mapping[str, object]) -> tuple[Layer, ...]:
    """Build what one prefix holds: a Linear, or the stacked layers of an LSTM, a GRU or an RNN."""
    for name in parameters:
        match = _RECURRENT.fullmatch(name)
        if match is None and name not in ("weight", "bias"):
            raise ModelError(f"unknown key {joined(prefix, name)!r}: known are {_KNOWN}")
    if not any(_RECURRENT.fullmatch(name) for name in parameters):
        return (_linear(prefix, parameters),)
    for name in ("weight", "bias"):
        if name in parameters:
            raise ModelError(f"unknown key {joined(prefix, name)!r} in a recurrent layer")
    found = {match[3] or "" for name in parameters if (match := _RECURRENT.fullmatch(name))}
    depths = [""] if found == {""} else [f"_l{depth}" for depth in range(len(found))]
    for depth in depths:
        if depth not in found:
            raise ModelError(f"{joined(prefix, f'weight_ih{depth}')!r} is missing")
    reverse = any((match := _RECURRENT.fullmatch(name)) and match[4] for name in parameters)
    made = _bidirectional if reverse else _recurrent
    return tuple(made(prefix, parameters, depth, stacked=len(depths) > 1) for depth in depths)


def _linear(prefix: str, parameters: Mapping[str, object]) -> Dense:
    if "weight" not in parameters:
        raise ModelError(f"{joined(prefix, 'weight')!r} is missing")
    axes = as_array(parameters["weight"], joined(prefix, "weight")).ndim
    if axes == 3:
        raise UnsupportedError(
            f"{joined(prefix, 'weight')!r} has 3 axes, as those of Conv1d: a state dict does not "
            "say its padding, load the module itself"
        )
    if axes == 1:
        raise UnsupportedError(
            f"{joined(prefix, 'weight')!r} is a vector, as those of LayerNorm, GroupNorm and PReLU "
            "are, which are not supported"
        )
    kernel = as_array(parameters["weight"], joined(prefix, "weight"), (None, None))
    bias = np.zeros(kernel.shape[0])
    if "bias" in parameters:
        bias = as_array(parameters["bias"], joined(prefix, "bias"), (kernel.shape[0],))
    return Dense(identifier(prefix, fallback="dense"), kernel, bias)


def _bidirectional(
    prefix: str, parameters: Mapping[str, object], depth: str, *, stacked: bool
) -> Bidirectional:
    forward, backward = (
        _recurrent(prefix, parameters, depth, stacked=stacked, suffix=suffix)
        for suffix in ("", "_reverse")
    )
    both = [replace(forward, name=f"{forward.name}_forward")]
    both.append(replace(backward, name=f"{forward.name}_backward"))
    return Bidirectional(forward.name, both[0], both[1])


def _recurrent(
    prefix: str, parameters: Mapping[str, object], depth: str, *, stacked: bool, suffix: str = ""
) -> SimpleRNN | LSTM | GRU:
    end = f"{depth}{suffix}"

    def key(parameter: str) -> str:
        return joined(prefix, f"{parameter}{end}")

    def value(parameter: str) -> object:
        name = f"{parameter}{end}"
        if name not in parameters:
            raise ModelError(f"{key(parameter)!r} is missing")
        return parameters[name]

    recurrent = as_array(value("weight_hh"), key("weight_hh"), (None, None))
    rows, units = recurrent.shape
    options: dict[str, Any] = {}
    if f"weight_hr{end}" in parameters:
        projection = as_array(value("weight_hr"), key("weight_hr"), (units, None))
        options["projection"], units = projection, projection.shape[1]
    cell = cell_of(rows, units, key("weight_hh"))
    if options and cell is not LSTM:
        raise ModelError(f"{key('weight_hr')!r} is for an LSTM, but {key('weight_hh')!r} is none")
    kernel = as_array(value("weight_ih"), key("weight_ih"), (rows, None))
    # PyTorch writes both biases or none.
    if any(f"bias_{part}{end}" in parameters for part in ("ih", "hh")):
        bias = as_array(value("bias_ih"), key("bias_ih"), (rows,))
        recurrent_bias = as_array(value("bias_hh"), key("bias_hh"), (rows,))
    else:
        bias = recurrent_bias = np.zeros(rows)
    name = identifier(prefix, fallback=SHORT[cell]) + (depth if stacked else "")
    gates = split(PYTORCH_ORDER[cell], kernel, recurrent, bias, recurrent_bias)
    return cell(name, gates, **options)


def _place(prefix: str) -> tuple[str, int] | None:
    """Return (container, position) of a layer in a Sequential, None for a named attribute."""
    container, _, last = prefix.rpartition(".")
    return (container, int(last)) if last.isdecimal() else None


def _check_plain(found: list[_Found], activations: Mapping[str, str]) -> None:
    """Raise where nobody says whether an RNN has tanh or relu."""
    unknown = [
        each.name
        for each in found
        if isinstance(each.layer, SimpleRNN) and each.name not in activations
    ]
    if unknown:
        example = ", ".join(f'"{name}": "tanh"' for name in unknown)
        raise ModelError(
            f"a state dict does not say the nonlinearity of the RNN {', '.join(unknown)}: say it "
            f"with activations={{{example}}}, or load the module itself"
        )


def _check_gaps(found: list[_Found], activations: Mapping[str, str]) -> None:
    """Raise where something without weights may stand after a layer and nobody says what."""
    unknown: list[str] = []
    for before, after in pairwise(found):
        # What is said of an RNN is its own nonlinearity.
        plain = isinstance(before.layer, SimpleRNN)
        if (before.name in activations and not plain) or not (
            isinstance(before.layer, Dense | Affine) or isinstance(after.layer, Dense | Affine)
        ):
            continue
        place, next_place = _place(before.prefix), _place(after.prefix)
        neighbours = bool(
            place and next_place and place[0] == next_place[0] and place[1] + 1 == next_place[1]
        )
        # A layer in front of the first Linear of a Sequential: a Dropout, or a ReLU?
        starts = next_place is None or next_place[1] == 0
        if plain and not neighbours and not starts:
            raise ModelError(
                f"a state dict does not say what stands between {before.name} and {after.name}: "
                "load the module itself"
            )
        if not neighbours and (isinstance(before.layer, Dense | Affine) or not starts):
            unknown.append(f"{before.name} and {after.name}")
    if unknown:
        first = unknown[0].split()[0]
        dense = any(each.name == first and isinstance(each.layer, Dense | Affine) for each in found)
        example = "relu" if dense else "linear"
        raise ModelError(
            f"a state dict does not say what stands between {', '.join(unknown)}: say it with "
            f'activations={{"{first}": "{example}"}} ("linear": nothing, or a Dropout), or load '
            "the module itself"
        )
