"""Build the layers of a Keras model from its configuration and its arrays."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.arrays import dense_layer, recurrent_layer
from rnnrtl.frontends.folding import Chain
from rnnrtl.frontends.gates import KERAS_ORDER, Cell
from rnnrtl.frontends.keras_bidirectional import directions, divided, merge_of
from rnnrtl.frontends.keras_config import CELLS, DROPOUTS, Config, Spec, cells_of, read_spec
from rnnrtl.frontends.keras_convolution import read_convolution
from rnnrtl.frontends.keras_embedding import read_embedding
from rnnrtl.frontends.keras_norms import NORMALISATIONS
from rnnrtl.frontends.keras_options import check_options
from rnnrtl.frontends.keras_reshaping import KINDS as RESHAPINGS
from rnnrtl.frontends.keras_reshaping import reshaped
from rnnrtl.frontends.keras_shapes import Shape, cut, input_shape
from rnnrtl.frontends.keras_weights import Arrays, check_shapes, named
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.state_dict import with_sequences
from rnnrtl.frontends.values import brief
from rnnrtl.layers import GRU, LSTM, AveragePooling, Bidirectional, Dense, MaxPooling, SimpleRNN
from rnnrtl.network import Network

_KINDS: Mapping[str, Cell] = {"SimpleRNN": SimpleRNN, "LSTM": LSTM, "GRU": GRU}


def build(config: Config, arrays: Arrays) -> Network:
    """Return the network of a configuration and its arrays, by layer and name.

    Raises UnsupportedError naming the layer and the option that rnnrtl does not compute, ModelError
    where configuration and arrays do not belong together.
    """
    builder = _Builder(config.version, arrays)
    shape = Shape()
    first = config.chain[0]
    for spec in config.chain:
        if spec is first:
            shape = input_shape(spec)
            builder.steps = shape.steps
        shape = builder.add(spec, shape)
    unused = [name for name in arrays if arrays[name] and name not in builder.used]
    if unused:
        raise ModelError(f"there are weights of {unused[0]!r}, which the configuration has not")
    layers = builder.chain.finished()
    if not layers:
        raise ModelError("the model has no layer with weights")
    return Network(
        layers, builder.steps, stateful=bool(builder.stateful), mask_value=builder.mask_value
    )


class _Builder:
    """Adds layer after layer; knows the names of Keras' classes."""

    def __init__(self, version: int | None, arrays: Arrays) -> None:
        self.chain = Chain()
        self.steps: int | None = None  # of the input
        self.used: set[str] = set()
        self.stateful: bool | None = None  # before the first recurrent layer
        self.mask_value: float | None = None
        self._masked = False  # whether what flows here has a mask
        self._seen: list[str] = []
        self._version, self._arrays = version, arrays
        self._kinds: Mapping[str, Callable[[Spec, Shape], Shape]] = {
            "InputLayer": self._input,
            **dict.fromkeys(_KINDS, self._recurrent),
            "RNN": self._of_cells,
            "Bidirectional": self._bidirectional,
            "Dense": self._dense,
            "TimeDistributed": self._time_distributed,
            "Activation": self._activation,
            "ReLU": self._relu,
            "ELU": self._elu,
            "Softmax": self._softmax,
            **dict.fromkeys(RESHAPINGS, self._reshape),
            "Masking": self._masking,
            "GlobalAveragePooling1D": self._pooling,
            "GlobalMaxPooling1D": self._pooling,
            "Conv1D": self._convolution,
            "Embedding": self._embedding,
            **dict.fromkeys(NORMALISATIONS, self._normalise),
            **dict.fromkeys(DROPOUTS, lambda _, shape: shape),
        }

    def add(self, spec: Spec, shape: Shape) -> Shape:
        """Add a layer that takes `shape`; return the shape that it gives."""
        shape = self._kinds[spec.kind](spec, shape)
        self._seen.append(spec.kind)
        self._masked &= shape.sequence
        return shape

    def _input(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec)
        return shape

    def _word(self, spec: Spec, *keys: str) -> str:
        """Return the activation at an option, under rnnrtl's name."""
        value = spec.given(*keys, default="linear")
        if value is None:
            return "linear"
        if not isinstance(value, str):
            raise UnsupportedError(f"{spec}: {keys[0]}={brief(value)} is not one of Keras' own")
        if value != "hard_sigmoid":
            return value
        # Keras 3 changed what the name means.
        if self._version is None:
            raise ModelError(
                f"{spec}: nothing says which version of Keras wrote the model, and hard_sigmoid "
                "has changed between 2 and 3"
            )
        return "hard_sigmoid" if self._version >= 3 else "hard_sigmoid_keras2"

    def _stored(self, spec: Spec) -> Mapping[str, NDArray[Any]]:
        self.used.add(spec.name)
        return self._arrays.get(spec.name, {})

    def _weights(self, spec: Spec, *names: str) -> dict[str, NDArray[Any]]:
        return named(str(spec), self._stored(spec), names)

    def _recurrent(self, spec: Spec, shape: Shape) -> Shape:
        return self._added(self._cell(spec, shape), shape)

    def _added(self, layer: SimpleRNN | LSTM | GRU | Bidirectional, shape: Shape) -> Shape:
        self.chain.add(layer)
        return Shape(shape.steps, layer.outputs, sequence=layer.return_sequences)

    def _bidirectional(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec, "layer", "backward_layer", "merge_mode")
        forward, backward = directions(spec)
        for inner in (forward, backward):
            if self._kinds.get(inner.kind) != self._recurrent:
                raise UnsupportedError(f"{spec} holds {inner}, which is not supported there")
        count = 2 + forward.flag("use_bias", default=True)
        arrays = self._arrays.get(spec.name, {})
        if spec.options.get("backward_layer") is None:
            count = len(arrays) // 2
        self._arrays = {**self._arrays, **divided(arrays, count, forward.name, backward.name)}
        self.used.add(spec.name)
        parts = [self._cell(forward, shape)]
        parts.append(replace(self._cell(backward, shape), go_backwards=False))
        name = identifier(spec.name, fallback="bidirectional")
        return self._added(Bidirectional(name, parts[0], parts[1], merge_of(spec)), shape)

    def _of_cells(self, spec: Spec, shape: Shape) -> Shape:
        """Read an RNN, whose cells are layers one above the other."""
        check_options(spec, "cell", "stateful", "return_state")
        arrays = self._stored(spec)
        of_all = {"stateful": spec.flag("stateful", default=False), "return_sequences": True}
        of_last = {"return_sequences": spec.flag("return_sequences", default=False)}
        for place, cell in enumerate(cells := cells_of(spec), start=1):
            own = {
                key: array
                for key, array in arrays.items()
                if len(cells) == 1 or key.split("/")[-2:-1] == [cell.name]
            }
            name = spec.name if len(cells) == 1 else f"{spec.name}_l{place - 1}"
            options = {**cell.options, **of_all, **(of_last if place == len(cells) else {})}
            layer = self._cell(Spec(name, CELLS[cell.kind], options), shape, own)
            shape = self._added(layer, shape)
        return shape

    def _cell(
        self, spec: Spec, shape: Shape, arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> SimpleRNN | LSTM | GRU:
        arrays = self._stored(spec) if arrays is None else arrays
        check_options(spec, "stateful", "go_backwards", "return_state")
        stateful = spec.flag("stateful", default=False)
        if self.stateful not in (None, stateful):
            raise UnsupportedError(
                f"{spec}: stateful={stateful} is not supported where other recurrent layers have "
                f"{self.stateful}: set it in all of them or in none"
            )
        self.stateful = stateful
        if self._masked and stateful:
            raise UnsupportedError(
                f"{spec}: stateful=True behind a Masking layer is not supported: Keras gives zeros "
                "for masked steps at the beginning of each call, whatever the state is"
            )
        if self._masked and spec.flag("zero_output_for_mask", default=False):
            raise UnsupportedError(
                f"{spec}: zero_output_for_mask=True is not supported behind a Masking layer"
            )
        if not shape.sequence:
            raise ModelError(f"{spec} needs a sequence, but what comes before it gives a vector")
        units = spec.count("units", "output_dim")
        cell = _KINDS[spec.kind]
        gates = len(KERAS_ORDER[cell])
        bias = ("bias",) if spec.flag("use_bias", default=True) else ()
        parameters: dict[str, object] = {
            **named(str(spec), arrays, ("kernel", "recurrent_kernel", *bias)),
            "activation": self._word(spec, "activation"),
            "return_sequences": spec.flag("return_sequences", default=False),
            "go_backwards": spec.flag("go_backwards", default=False),
        }
        if cell is not SimpleRNN:
            word = self._word(spec, "recurrent_activation", "inner_activation")
            parameters["recurrent_activation"] = word
        rows: tuple[int, ...] = (gates * units,)
        if cell is GRU:
            # Keras before 2.1 had no such option, and reset before.
            parameters["reset_after"] = spec.flag("reset_after", default=False)
            rows = (2, *rows) if parameters["reset_after"] else rows
        expected = {
            "kernel": (shape.features, gates * units),
            "recurrent_kernel": (units, gates * units),
            "bias": rows,
        }
        check_shapes(spec, parameters, expected)
        return recurrent_layer(spec.name, parameters)

    def _dense(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec)
        units = spec.count("units", "output_dim")
        bias = ("bias",) if spec.flag("use_bias", "bias", default=True) else ()
        parameters: dict[str, object] = {
            **self._weights(spec, "kernel", *bias),
            "activation": self._word(spec, "activation"),
        }
        expected = {"kernel": (shape.features, units), "bias": (units,)}
        check_shapes(spec, parameters, expected)
        self.chain.add(dense_layer(spec.name, parameters))
        return replace(shape, features=units)

    def _time_distributed(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec, "layer")
        inner = read_spec(spec.options.get("layer"))
        if not shape.sequence:
            raise ModelError(f"{spec} needs a sequence, but what comes before it gives a vector")
        if inner.kind not in ("Dense", "Activation", "Dropout", "BatchNormalization"):
            raise UnsupportedError(
                f"{spec} holds {inner}: only Dense and BatchNormalization are supported there"
            )
        # A layer on each step is what every layer but a recurrent one is here.
        inner = replace(inner, name=spec.name)
        step = self._kinds[inner.kind](inner, replace(shape, sequence=False))
        return replace(step, sequence=True)

    def _activation(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec)
        return self._follow(spec, self._word(spec, "activation"), shape)

    def _relu(self, spec: Spec, shape: Shape) -> Shape:
        for key in ("max_value", "negative_slope", "threshold"):
            if spec.options.get(key):
                value = brief(spec.options[key])
                raise UnsupportedError(f"{spec}: {key}={value} is not supported, only max(x, 0)")
        return self._follow(spec, "relu", shape)

    def _elu(self, spec: Spec, shape: Shape) -> Shape:
        if spec.options.get("alpha", 1.0) != 1.0:
            alpha = brief(spec.options["alpha"])
            raise UnsupportedError(f"{spec}: alpha={alpha} is not supported, only 1")
        return self._follow(spec, "elu", shape)

    def _softmax(self, spec: Spec, shape: Shape) -> Shape:
        self._check_unmasked(spec)
        axis = spec.options.get("axis", -1)
        if axis not in (-1, [-1], 2 if shape.sequence else 1):
            raise UnsupportedError(f"{spec}: axis={brief(axis)} is not supported, only the last")
        return self._follow(spec, "softmax", shape)

    def _follow(self, spec: Spec, activation: str, shape: Shape) -> Shape:
        self.chain.activate(spec.name, activation, shape.features)
        return shape

    def _normalise(self, spec: Spec, shape: Shape) -> Shape:
        read, options = NORMALISATIONS[spec.kind]
        check_options(spec, *options)
        axes = 3 if shape.sequence else 2
        self.chain.affine(spec.name, read(spec, axes, partial(self._weights, spec)))
        return shape

    def _masking(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec, "mask_value")
        if not self._first() or not shape.sequence:
            raise UnsupportedError(
                f"{spec} is supported as the first layer only, as a mask of the model's own input"
            )
        value = spec.given("mask_value", default=0.0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ModelError(f"{spec}: mask_value must be a number, not {brief(value)}")
        self.mask_value, self._masked = float(value), True
        return shape

    def _embedding(self, spec: Spec, shape: Shape) -> Shape:
        layer, shape = read_embedding(spec, shape, partial(self._weights, spec))
        self.chain.add(layer)
        self.steps = shape.steps
        if spec.flag("mask_zero", default=False):
            self.mask_value, self._masked = 0.0, True
        return shape

    def _convolution(self, spec: Spec, shape: Shape) -> Shape:
        weights = partial(self._weights, spec)
        layer, shape = read_convolution(spec, shape, self._word(spec, "activation"), weights)
        self.chain.add(layer)
        return shape

    def _pooling(self, spec: Spec, shape: Shape) -> Shape:
        check_options(spec, "data_format")
        order = spec.given("data_format", default="channels_last")
        if order != "channels_last":
            raise UnsupportedError(f"{spec}: data_format={brief(order)} is not supported")
        if not shape.sequence:
            raise ModelError(f"{spec} needs a sequence, but what comes before it gives a vector")
        features = self.chain.outputs(spec.name, shape.features)
        if spec.kind == "GlobalMaxPooling1D":
            self.chain.add(MaxPooling(identifier(spec.name), features))
        elif shape.steps is None:
            raise ModelError(
                f"{spec} takes the mean of all steps, and the configuration leaves open how many "
                "there are: save a model whose input has a fixed number of steps"
            )
        else:
            self.chain.add(AveragePooling(identifier(spec.name), features, shape.steps))
        return Shape(None, features, sequence=False)

    def _reshape(self, spec: Spec, shape: Shape) -> Shape:
        self._check_unmasked(spec)
        steps = cut(shape, spec.options.get("target_shape")) if spec.kind == "Reshape" else None
        if steps and self._first():
            self.steps = steps.steps
            return steps
        if spec.kind == "Flatten" and shape.sequence and shape.steps == 1 and self._stepped():
            # Of one step, that is the last state.
            self.chain.layers = list(with_sequences(self.chain.layers, last=False))
            return Shape(None, shape.features, sequence=False)
        features = self.chain.outputs(spec.name, shape.features)
        layer = reshaped(spec, shape, features, first=not self._stepped())
        if layer is None:
            return shape
        self.chain.add(layer)
        return Shape(layer.output_steps, layer.outputs, sequence=layer.return_sequences)

    def _stepped(self) -> bool:
        """Tell whether a layer has read the steps of a sequence."""
        return not all(isinstance(layer, Dense) for layer in self.chain.layers)

    def _first(self) -> bool:
        """Tell whether what flows here is still the model's own input."""
        return set(self._seen) <= {"InputLayer", *DROPOUTS}

    def _check_unmasked(self, spec: Spec) -> None:
        if self._masked:
            raise UnsupportedError(f"{spec} is not supported between Masking and the last state")
