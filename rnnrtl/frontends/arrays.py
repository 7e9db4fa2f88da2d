"""Read a dict of arrays with Keras' parameter names, rnnrtl's own form.

Keys are "layer/parameter", or nested dicts, layers in order. A recurrent layer has

    kernel            (features, gates*units)   gates i f c o (LSTM), z r h (GRU)
    recurrent_kernel  (units, gates*units)      4 gates make an LSTM, 3 a GRU, 1 a plain RNN
    bias              (gates*units,) or (2, gates*units): input and recurrent bias; zero if absent
    return_sequences  bool; by default only the layers before another recurrent one do
    initial_h, initial_c  (units,): the state before the first step, c for an LSTM only; zero if
                      absent
    reset_after       bool, GRU only; by default what the bias says, as in Keras: two rows are
                      reset_after, one is reset before
    rounded_products  bool, LSTM only, False by default; see `rnnrtl.LSTM`
    projection        (units, outputs), LSTM only; recurrent_kernel is (outputs, gates*units) then
    go_backwards      bool, False by default

A convolution over time has kernel (taps, features, units), the oldest step first, bias (units,) and
`padding`, "causal" or "valid"; see `rnnrtl.Convolution`.

An embedding has `embeddings` (vocabulary, units), and is the first layer; x holds whole numbers.

A layer that pools over time has `pooling`, "average" or "max", `features`, the length of its
vectors, and for an average `steps`.

A layer that changes how many steps there are has `order`, `features`, and `steps` where it takes a
sequence; see `rnnrtl.layers.Reshape`.

A dense layer has kernel (features, units) and bias (units,). It takes `activation`, as convolutions
and recurrent layers do, LSTM and GRU `recurrent_activation` too. A bidirectional layer names two
recurrent ones, which then are no layers by themselves:

    forward, backward  the names of the two
    merge              "concat" (by default), "sum", "mul", "ave"
    last_output        bool, False by default; see `rnnrtl.Bidirectional`

Beside the layers stand `name`, `steps`, `stateful` and `mask_value` of the network, and
`precision`, the formats that it was trained in, as JSON text of the mapping of patterns to formats.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.convolutions import convolution
from rnnrtl.frontends.gates import KERAS_ORDER, SHORT, Cell, cell_of, split
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import as_array, as_count, as_flag, as_text
from rnnrtl.layers import (
    GRU,
    LSTM,
    AveragePooling,
    Bidirectional,
    Convolution,
    Dense,
    Embedding,
    FloatArray,
    Layer,
    MaxPooling,
    Recurrent,
    Reshape,
    SimpleRNN,
)

INITIAL = "initial_"
"""What the key of an initial state begins with; the state's own name follows."""

_WEIGHTS = ("kernel", "recurrent_kernel", "bias")
POOLINGS: Mapping[str, type[AveragePooling] | type[MaxPooling]] = {
    "average": AveragePooling,
    "max": MaxPooling,
}
_DENSE_KEYS = ("kernel", "bias", "activation")
_RESHAPE_KEYS = ("order", "features", "steps")
_CONVOLUTION_KEYS = (*_DENSE_KEYS, "padding")
_PAIR_KEYS = ("forward", "backward", "merge", "last_output")
_RECURRENT_KEYS = (
    *_WEIGHTS, "activation", "recurrent_activation", "return_sequences", "reset_after",
    "rounded_products", "projection", "initial_h", "initial_c", "go_backwards",
)  # fmt: skip
_CALLED: Mapping[Cell, str] = {SimpleRNN: "a plain RNN", LSTM: "an LSTM", GRU: "a GRU"}
_ONLY: Mapping[str, tuple[Cell, ...]] = {
    "recurrent_activation": (LSTM, GRU), "reset_after": (GRU,), "rounded_products": (LSTM,),
    "projection": (LSTM,),
}  # fmt: skip


def _key(layer: str, parameter: str) -> str:
    return f"{layer}/{parameter}" if layer else parameter


def read_arrays(groups: Mapping[str, Mapping[str, object]]) -> tuple[Layer, ...]:
    """Build the layers from parameters grouped by layer (see the module for their shapes).

    Raises ModelError or UnsupportedError naming the key that is missing, unknown or misshapen.
    """
    pairs = {layer: _pair(layer, parts, groups) for layer, parts in groups.items() if _pairs(parts)}
    within = {name for pair in pairs.values() for name in pair}
    chain = {layer: parts for layer, parts in groups.items() if layer not in within}
    kinds = {layer: _kind(layer, parts) for layer, parts in chain.items() if layer not in pairs}
    connected = (dense_layer, convolution_layer, embedding_layer)
    stepping = [layer for layer in chain if kinds.get(layer) not in connected]
    found: list[Layer] = []
    for layer, parameters in chain.items():
        following = stepping[stepping.index(layer) + 1 :] if layer in stepping else []
        before = bool(following) and not _takes_vector(chain[following[0]])
        if layer in pairs:
            parts = [
                recurrent_layer(name, groups[name], before_another=before) for name in pairs[layer]
            ]
            found.append(_bidirectional(layer, parameters, parts))
        elif kinds[layer] is recurrent_layer:
            found.append(recurrent_layer(layer, parameters, before_another=before))
        else:
            found.append(kinds[layer](layer, parameters))
    return tuple(found)


def _takes_vector(parameters: Mapping[str, object]) -> bool:
    return "order" in parameters and "steps" not in parameters


def _pairs(parameters: Mapping[str, object]) -> bool:
    return any(key in parameters for key in _PAIR_KEYS)


def _pair(
    layer: str, parameters: Mapping[str, object], groups: Mapping[str, Mapping[str, object]]
) -> tuple[str, str]:
    """Return the groups of the two layers of a bidirectional one."""
    for key in parameters:
        if key not in _PAIR_KEYS:
            raise ModelError(
                f"unknown key {_key(layer, key)!r}: a bidirectional layer has "
                f"{', '.join(_PAIR_KEYS)}"
            )
    names = []
    for key in ("forward", "backward"):
        if key not in parameters:
            raise ModelError(f"{_key(layer, key)!r} is missing")
        name = as_text(parameters[key], _key(layer, key))
        if name not in groups or not _is_recurrent(name, groups[name]):
            raise ModelError(f"{_key(layer, key)!r} is {name!r}, which is no recurrent layer")
        names.append(name)
    if names[0] == names[1]:
        raise ModelError(f"{layer!r} has {names[0]!r} in both directions: give two layers")
    return names[0], names[1]


def _bidirectional(
    layer: str, parameters: Mapping[str, object], parts: Sequence[Recurrent]
) -> Bidirectional:
    merge = as_text(parameters.get("merge", "concat"), _key(layer, "merge"))
    last_output = as_flag(parameters.get("last_output", False), _key(layer, "last_output"))
    name = identifier(layer, fallback="bidirectional")
    return Bidirectional(name, parts[0], parts[1], merge, last_output)


def _kind(layer: str, parameters: Mapping[str, object]) -> Callable[..., Layer]:
    """Return what builds a layer."""
    if "pooling" in parameters:
        return pooling_layer
    if "order" in parameters:
        return reshape_layer
    if "embeddings" in parameters:
        return embedding_layer
    if "padding" in parameters:
        return convolution_layer
    return recurrent_layer if _is_recurrent(layer, parameters) else dense_layer


def pooling_layer(layer: str, parameters: Mapping[str, object]) -> AveragePooling | MaxPooling:
    """Build a layer that pools over time from its parameters; see the module."""
    key = _key(layer, "pooling")
    word = as_text(parameters["pooling"], key)
    if word not in POOLINGS:
        raise UnsupportedError(f"{key!r} is {word!r}, but only {', '.join(POOLINGS)} are known")
    kind = POOLINGS[word]
    wanted = ("features", "steps") if kind is AveragePooling else ("features",)
    for parameter in parameters:
        if parameter not in ("pooling", *wanted):
            raise ModelError(f"unknown key {_key(layer, parameter)!r} in {word} pooling")
    for parameter in wanted:
        if parameter not in parameters:
            raise ModelError(f"layer {layer!r} has no {_key(layer, parameter)!r}")
    counts = {name: as_count(parameters[name], _key(layer, name)) for name in wanted}
    return kind(identifier(layer, fallback="pooling"), **counts)


def reshape_layer(layer: str, parameters: Mapping[str, object]) -> Reshape:
    """Build a layer that changes how many steps there are from its parameters; see the module."""
    for parameter in parameters:
        if parameter not in _RESHAPE_KEYS:
            raise ModelError(
                f"unknown key {_key(layer, parameter)!r}: a reshaping layer has "
                f"{', '.join(_RESHAPE_KEYS)}"
            )
    if "features" not in parameters:
        raise ModelError(f"layer {layer!r} has no {_key(layer, 'features')!r}")
    counts = {
        name: as_count(parameters[name], _key(layer, name)) if name in parameters else None
        for name in ("steps", "features")
    }
    name = identifier(layer, fallback="reshape")
    return Reshape(name, order=np.asarray(parameters["order"]), **counts)  # type: ignore[arg-type]


def _is_recurrent(layer: str, parameters: Mapping[str, object]) -> bool:
    """Tell recurrent layers from dense ones, and report those that are neither."""
    for parameter in parameters:
        if parameter not in _RECURRENT_KEYS:
            raise ModelError(
                f"unknown key {_key(layer, parameter)!r}: a layer has {', '.join(_RECURRENT_KEYS)}"
            )
    if "kernel" not in parameters:
        raise ModelError(f"layer {layer!r} has no {_key(layer, 'kernel')!r}")
    if "recurrent_kernel" in parameters:
        return True
    # Half an LSTM must not pass for a dense layer.
    extra = [parameter for parameter in parameters if parameter not in _DENSE_KEYS]
    if extra or any(word in layer.lower() for word in ("lstm", "gru", "simple_rnn")):
        raise ModelError(
            f"layer {layer!r} has no {_key(layer, 'recurrent_kernel')!r}"
            + (f", but {_key(layer, extra[0])!r}" if extra else ", but is named a recurrent one")
        )
    return False


def embedding_layer(layer: str, parameters: Mapping[str, object]) -> Embedding:
    """Build an embedding from its parameters; see the module."""
    for parameter in parameters:
        if parameter != "embeddings":
            raise ModelError(f"unknown key {_key(layer, parameter)!r} in an embedding")
    key = _key(layer, "embeddings")
    table = as_array(parameters["embeddings"], key, (None, None))
    return Embedding(identifier(layer, fallback="embedding"), table.T)


def convolution_layer(layer: str, parameters: Mapping[str, object]) -> Convolution | Dense:
    """Build a convolution over time from its parameters; see the module."""
    for parameter in parameters:
        if parameter not in _CONVOLUTION_KEYS:
            raise ModelError(
                f"unknown key {_key(layer, parameter)!r}: a convolution has "
                f"{', '.join(_CONVOLUTION_KEYS)}"
            )
    key = _key(layer, "kernel")
    if "kernel" not in parameters:
        raise ModelError(f"layer {layer!r} has no {key!r}")
    kernel = as_array(parameters["kernel"], key, (None, None, None))
    bias = np.zeros(kernel.shape[2])
    if "bias" in parameters:
        bias = as_array(parameters["bias"], _key(layer, "bias"), bias.shape)
    activation = as_text(parameters.get("activation", "linear"), _key(layer, "activation"))
    padding = as_text(parameters["padding"], _key(layer, "padding"))
    return convolution(layer, kernel, bias, activation, padding=padding)


def dense_layer(layer: str, parameters: Mapping[str, object]) -> Dense:
    """Build a dense layer from its parameters; see the module."""
    kernel = as_array(parameters["kernel"], _key(layer, "kernel"), (None, None))
    units = kernel.shape[1]
    bias = np.zeros(units)
    if "bias" in parameters:
        bias = as_array(parameters["bias"], _key(layer, "bias"), (units,))
    activation = "linear"
    if "activation" in parameters:
        activation = as_text(parameters["activation"], _key(layer, "activation"))
    return Dense(identifier(layer, fallback="dense"), kernel.T, bias, activation)


@dataclass(frozen=True)
class _Biases:
    """The two biases of a recurrent layer, and how many of them the source has."""

    bias: FloatArray
    recurrent_bias: FloatArray
    rows: int


def _biases(layer: str, parameters: Mapping[str, object], columns: int) -> _Biases:
    if "bias" not in parameters:
        return _Biases(np.zeros(columns), np.zeros(columns), 0)
    key = _key(layer, "bias")
    bias = as_array(parameters["bias"], key)
    if bias.shape == (columns,):
        return _Biases(bias, np.zeros(columns), 1)
    if bias.shape == (2, columns):
        return _Biases(bias[0], bias[1], 2)
    raise ModelError(f"{key!r} has shape {bias.shape}, expected ({columns},) or (2, {columns})")


def recurrent_layer(
    layer: str, parameters: Mapping[str, object], *, before_another: bool = False
) -> SimpleRNN | LSTM | GRU:
    """Build a recurrent layer from its parameters; see the module."""
    key = _key(layer, "recurrent_kernel")
    recurrent = as_array(parameters["recurrent_kernel"], key, (None, None))
    outputs, columns = recurrent.shape
    units, projection = outputs, None
    if "projection" in parameters:
        name = _key(layer, "projection")
        projection = as_array(parameters["projection"], name, (None, outputs)).T
        units = projection.shape[1]
    cell = cell_of(columns, units, key)
    for option, cells in _ONLY.items():
        if option in parameters and cell not in cells:
            whose = " or ".join(_CALLED[each] for each in cells)
            raise ModelError(f"{_key(layer, option)!r} is for {whose}, but this is {_CALLED[cell]}")
    kernel = as_array(parameters["kernel"], _key(layer, "kernel"), (None, columns))
    biases = _biases(layer, parameters, columns)
    gates = split(KERAS_ORDER[cell], kernel.T, recurrent.T, biases.bias, biases.recurrent_bias)
    sequences = before_another
    if "return_sequences" in parameters:
        name = _key(layer, "return_sequences")
        sequences = as_flag(parameters["return_sequences"], name)
    options: dict[str, Any] = {
        word: as_text(parameters[word], _key(layer, word))
        for word in ("activation", "recurrent_activation")
        if word in parameters
    }
    options["initial"] = {
        key.removeprefix(INITIAL): as_array(parameters[key], _key(layer, key))
        for key in _RECURRENT_KEYS
        if key.startswith(INITIAL) and key in parameters
    }
    options["go_backwards"] = as_flag(
        parameters.get("go_backwards", False), _key(layer, "go_backwards")
    )
    if cell is LSTM:
        rounded = parameters.get("rounded_products", False)
        options["rounded_products"] = as_flag(rounded, _key(layer, "rounded_products"))
        options["projection"] = projection
    elif cell is GRU:
        options["reset_after"] = _reset_after(layer, parameters, biases.rows)
    return cell(identifier(layer, fallback=SHORT[cell]), gates, sequences, **options)


def _reset_after(layer: str, parameters: Mapping[str, object], bias_rows: int) -> bool:
    """Return what the source says, or what the rows of its bias say."""
    key = _key(layer, "reset_after")
    if "reset_after" in parameters:
        given = as_flag(parameters["reset_after"], key)
        if given and bias_rows == 1:
            raise ModelError(
                f"{key!r} is True, but {_key(layer, 'bias')!r} has one row: reset_after needs "
                "two, the bias of the input and the one inside the reset"
            )
        return given
    if bias_rows == 0:
        raise ModelError(
            f"{key!r} is missing: without a bias nothing says whether the reset gate is applied "
            "before (False) or after (True) the recurrent product"
        )
    return bias_rows == 2
