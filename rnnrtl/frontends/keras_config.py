"""Read the configuration of a Keras model: its layers in order, each with its options.

Keras 1, 2 and 3 write the same JSON in slightly different forms: {"class_name": "Sequential" or
"Functional" (Keras 1 and 2: "Model"), "config": {"layers": [...]}}, each layer again a class_name
with its config. A functional model also says which layer each one takes its input from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.folding import REFUSED
from rnnrtl.frontends.keras_masks import without_masks
from rnnrtl.frontends.values import brief

# A configuration of a layer is about 2 KB; that of a model beyond this is no such thing.
_LONGEST = 1 << 24
_FUNCTIONAL = ("Functional", "Model")
_POLICIES = (
    "float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16",
)  # fmt: skip

DROPOUTS = (
    "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
    "ActivityRegularization",
)  # fmt: skip
"""Layers that do something in training only."""

_KNOWN = (
    "InputLayer", "SimpleRNN", "LSTM", "GRU", "RNN", "Bidirectional", "Dense", "TimeDistributed",
    "Activation", "ReLU", "ELU", "Softmax", "Flatten", "Reshape", "RepeatVector", "Permute",
    "Masking", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Conv1D", "Embedding",
    "BatchNormalization", "Normalization", "Rescaling", *DROPOUTS,
)  # fmt: skip
_OFFER = (
    "load a model that begins from zeros, and generate(..., state_ports=True) for hardware that "
    "states are offered to"
)
CELLS = {"SimpleRNNCell": "SimpleRNN", "LSTMCell": "LSTM", "GRUCell": "GRU"}
"""Cells that an RNN may hold -> the layers that they make."""
_STACK = "StackedRNNCells"
_INSTEAD = {
    **dict.fromkeys(
        ("LeakyReLU", "PReLU", "ThresholdedReLU"),
        "of this kind only ReLU and ELU are, both without parameters of their own",
    ),
    "Permute": "give the network its input with the axes as it sees them",
    "RepeatVector": "give the vector at each step, and load the layers behind it by themselves",
    **REFUSED,
    "Lambda": "it holds code, which is never run",
    "CuDNNLSTM": "load its weights into an LSTM layer and save that",
    "CuDNNGRU": "load its weights into a GRU layer with reset_after=True and save that",
    "Functional": "a model inside the model: put its layers side by side",
    "Sequential": "a model inside the model: put its layers side by side",
    "Model": "a model inside the model: put its layers side by side",
}


@dataclass(frozen=True)
class Spec:
    """A layer as the configuration says it.

    Members
    -------
    name, kind : the layer's name, and the name of its class
    options : its config
    """

    name: str
    kind: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"

    def count(self, *keys: str) -> int:
        """Return the option at the first of `keys` that is there, a positive integer."""
        value = self.given(*keys)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{self}: {keys[0]} must be a positive integer, not {brief(value)}")
        return value

    def flag(self, *keys: str, default: bool | None = None) -> bool:
        """Return an option that is True or False."""
        value = self.given(*keys, default=default)
        if not isinstance(value, bool):
            raise ModelError(f"{self}: {keys[0]} must be true or false, not {brief(value)}")
        return value

    def given(self, *keys: str, default: object = None) -> Any:
        """Return the option at the first of `keys` that is there, else `default`."""
        return next((self.options[key] for key in keys if key in self.options), default)


@dataclass(frozen=True)
class Config:
    """The layers of a model.

    Members
    -------
    stored : in the order of the configuration, which is that of the stored weights
    chain : in the order of the data, from the input to the output
    version : of Keras, its first number; None where nothing says it
    """

    stored: tuple[Spec, ...]
    chain: tuple[Spec, ...]
    version: int | None


def parse(text: str | bytes, what: str) -> Any:
    """Return JSON; raises ModelError for what is none, `what` being the name of the text."""
    if len(text) > _LONGEST:
        raise ModelError(f"{what} is longer than the {_LONGEST >> 20} MiB that are read")
    try:
        return json.loads(text)
    except RecursionError:
        raise ModelError(f"{what} is nested too deep") from None
    except ValueError as error:  # a decoding error or a syntax error
        raise ModelError(f"{what} is not JSON: {' '.join(str(error).split())}") from None


def major(version: object) -> int | None:
    """Return the first number of a version such as "2.4.0", None where it is none."""
    first = str(version).split(".")[0]
    return int(first) if isinstance(version, str) and first in ("0", "1", "2", "3") else None


def read_config(model: object, version: int | None) -> Config:
    """Read the configuration of a model, parsed from its JSON.

    `version` is what the file says besides. Raises ModelError for a damaged configuration,
    UnsupportedError for a model that is no chain of layers.
    """
    top = _mapping(model, "the model's configuration")
    kind, config = top.get("class_name"), top.get("config")
    if kind not in ("Sequential", *_FUNCTIONAL):
        raise UnsupportedError(
            f"a model of class {brief(kind)} is not read: only Sequential and functional ones say "
            "what they do"
        )
    _check_origin(top, f"a model of class {kind!r}")
    # Keras before 2.2.3 wrote a Sequential's layers without the mapping around them.
    items = config if isinstance(config, list) else _mapping(config, "config").get("layers")
    if not isinstance(items, list) or not items:
        raise ModelError("the model's configuration has no layers")
    if kind != "Sequential":
        items = without_masks(items)
    stored = tuple(read_spec(item) for item in items)
    names = [spec.name for spec in stored]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"two layers are called {name!r}")
    unknown = [spec for spec in stored if spec.kind not in _KNOWN]
    if unknown:
        # Masking brings operations of its own with it: what can be helped comes first.
        spec = min(unknown, key=lambda each: each.kind not in _INSTEAD)
        advice = _INSTEAD.get(spec.kind, f"only {', '.join(_KNOWN)}")
        raise UnsupportedError(f"{spec} is not supported: {advice}")
    version = major(top.get("keras_version")) or version
    if version is None and "module" in top:
        version = 3  # Keras 2 writes its version wherever it writes the module
    if kind == "Sequential":
        return Config(stored, stored, version)
    return Config(stored, _chain(_mapping(config, "config"), items, stored), version)


def read_spec(item: object) -> Spec:
    """Read one layer of the configuration."""
    entry = _mapping(item, "a layer")
    kind, options = entry.get("class_name"), _mapping(entry.get("config"), "a layer's config")
    name = options.get("name", entry.get("name"))
    if not isinstance(kind, str) or not isinstance(name, str) or len(name) > 1000:
        raise ModelError(f"a layer has class {brief(kind)} and name {brief(name)}")
    spec = Spec(name, kind, options)
    _check_origin(entry, str(spec))
    _check_dtype(spec)
    return spec


def cells_of(spec: Spec) -> tuple[Spec, ...]:
    """Return the cells of an RNN, the first one first."""
    cell = read_spec(spec.options.get("cell"))
    inner = cell.options.get("cells") if cell.kind == _STACK else [spec.options["cell"]]
    if not isinstance(inner, list) or not inner:
        raise ModelError(f"{spec}: its cells are {brief(inner)}")
    cells = tuple(read_spec(item) for item in inner)
    for each in cells:
        if each.kind not in CELLS:
            raise UnsupportedError(
                f"{spec} holds {each}: only {', '.join((*CELLS, _STACK))} are supported there"
            )
    return cells


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{what} is {brief(value)}, expected a JSON object")
    return value


def _check_origin(entry: Mapping[str, Any], what: str) -> None:
    """Raise for a class of the user's own that carries the name of one of Keras'."""
    module, registered = entry.get("module"), entry.get("registered_name")
    keras = module is None or str(module).split(".")[0] in ("keras", "tf_keras")
    if not keras or registered not in (None, entry.get("class_name")):
        raise UnsupportedError(
            f"{what} is a class of its own, {brief(registered or module)}: only Keras' own are read"
        )


def _check_dtype(spec: Spec) -> None:
    """Raise for a layer with quantised weights."""
    if spec.kind == "InputLayer":
        return  # numbers of any kind, such as those of an Embedding
    policy = spec.options.get("dtype", "float32")
    if isinstance(policy, dict):
        config = policy.get("config")
        policy = config.get("name") if isinstance(config, dict) else None
    if policy not in (*_POLICIES, None):
        raise UnsupportedError(
            f"{spec}: dtype {brief(policy)} is not supported: save the model before it is quantised"
        )


def _chain(
    config: Mapping[str, Any], items: list[Any], stored: tuple[Spec, ...]
) -> tuple[Spec, ...]:
    """Return the layers of a functional model from input to output."""
    by_name = {spec.name: spec for spec in stored}
    before = {spec.name: _source(spec, item) for spec, item in zip(stored, items, strict=True)}
    outputs = _without_states(config.get("output_layers"))
    first, last = _end(config.get("input_layers"), "input_layers"), _end(outputs, "output_layers")
    names: list[str] = []
    name: str | None = last
    while name is not None and len(names) <= len(stored):
        if name not in by_name:
            raise ModelError(f"the configuration names the layer {name!r}, which it does not have")
        names.append(name)
        name = before[name]
    if len(names) != len(stored) or names[-1] != first:
        raise UnsupportedError(
            f"the {len(stored)} layers of the model are no chain from {first!r} to {last!r}: "
            "branches and layers used twice are not supported"
        )
    return tuple(by_name[name] for name in reversed(names))


def _without_states(outputs: object) -> object:
    """Return the first of a model's outputs where all others are states of a layer."""
    if not isinstance(outputs, list) or not outputs or not isinstance(outputs[0], list):
        return outputs
    states = [isinstance(each, list) and _is_state(each) for each in outputs[1:]]
    return outputs[:1] if all(states) else outputs


def _is_state(tensor: Sequence[object]) -> bool:
    """Whether a tensor is another output of a layer than its first: of a recurrent one, a state."""
    return len(tensor) > 2 and tensor[1] == 0 and type(tensor[2]) is int and tensor[2] > 0


def _end(value: object, key: str) -> str:
    """Return the one layer at an end of the model: ["x", 0, 0], or [["x", 0, 0]]."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list) or any(isinstance(item, list) for item in value):
        count = len(value) if isinstance(value, list) else "no"
        raise UnsupportedError(f"the model has {count} {key}: only models with one are supported")
    return _tensor(value, f"{key} of the model")


def _source(spec: Spec, item: Mapping[str, Any]) -> str | None:
    """Return the layer whose output `spec` takes, None for an input of the model."""
    nodes = item.get("inbound_nodes")
    if nodes == []:
        return None
    if not isinstance(nodes, list) or len(nodes) != 1:
        raise UnsupportedError(
            f"{spec} is used more than once: only chains of layers are supported"
        )
    (node,) = nodes
    if isinstance(node, dict):  # Keras 3
        inputs, call = node.get("args"), node.get("kwargs")
    else:
        inputs = node
        call = node[0][3] if _is_call(node) else {}
    if not isinstance(inputs, list) or not isinstance(call, dict):
        raise ModelError(f"{spec}: its inbound_nodes are {brief(nodes)}")
    for key, value in call.items():
        if value is not None and not (key == "training" and value is False):
            advice = f": {_OFFER}" if key == "initial_state" else ""
            raise UnsupportedError(
                f"{spec} is called with {key}={brief(value)}, which is not supported{advice}"
            )
    if len(inputs) != 1 or (
        isinstance(inputs[0], list) and inputs[0] and isinstance(inputs[0][0], list | dict)
    ):
        raise UnsupportedError(
            f"{spec} takes several inputs, such as an initial state, which is not supported: "
            f"{_OFFER}"
        )
    return _tensor(inputs[0], f"the input of {spec}")


def _is_call(node: object) -> bool:
    return isinstance(node, list) and bool(node) and isinstance(node[0], list) and len(node[0]) > 3


def _tensor(value: object, what: str) -> str:
    """Return the layer of a tensor, which must be that layer's first output in its first use."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("keras_history") if isinstance(inner, dict) else None
    if isinstance(value, list) and _is_state(value):
        raise UnsupportedError(
            f"{what} is {brief(value)}, a state, which is not given on within a model: "
            "generate(..., state_ports=True) gives states out of the hardware"
        )
    if (
        not isinstance(value, list)
        or len(value) < 3
        or not isinstance(value[0], str)
        or value[1:3] != [0, 0]
    ):
        raise UnsupportedError(
            f"{what} is {brief(value)}, expected the only output of a layer used once"
        )
    return value[0]
