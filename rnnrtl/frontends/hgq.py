"""Read Keras models of HGQ2's layers (github.com/calad0i/HGQ2): their own numbers, bit for bit.

QSimpleRNN, QGRU and QDense, with one format for all elements of an activation
(`heterogeneous_axis=()`); those of weights may differ from element to element, for weights are just
numbers. HGQ2 quantises the hidden state where it is read and not where it is made: so what reads it
after a QGRU must quantise it as the QGRU itself does, and so must what follows a QSimpleRNN with
`enable_sq`. A QGRU's gates are `HardSigmoidConfig`'s, x / 4 + 1/2 of a number within -2..2, and its
candidate `HardTanhConfig`'s, which saturates at 1 by its format. Other activations take sums that
nothing has rounded: they have no equal. A QSimpleRNN has its activation, linear, relu or tanh, of
what `paq` has rounded.

The model's own float32 sums are exact while they stay below 2^24 steps of their grid.
"""

from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.fixedpoint.format import Format, Overflow, Rounding
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.frontends.gates import KERAS_ORDER, split
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.quantised import (
    WIDEST_SUMS,
    exact_format,
    exact_output,
    fixed_outputs,
    unlike,
)
from rnnrtl.frontends.trial import first_line, trial_sequences
from rnnrtl.layers import GRU, Dense, FloatArray, Layer, SimpleRNN
from rnnrtl.network import Network

_PASSED = ("InputLayer", "Dropout")
_ROUNDINGS = {mode: Rounding[mode] for mode in ("RND", "RND_CONV", "TRN")}
_OVERFLOWS = {mode: Overflow[mode] for mode in ("SAT", "SAT_SYM", "WRAP")}
HARD_SIGMOID = (0.25, 0.5)
"""What `HardSigmoidConfig` multiplies by and adds once it has rounded."""


def is_hgq(model: Any) -> bool:
    """Tell whether a Keras model has layers of HGQ2."""
    layers = getattr(model, "layers", None)
    return isinstance(layers, list) and any(type(x).__module__.startswith("hgq.") for x in layers)


def read_hgq(model: Any) -> Network:
    """Build the network of a Keras model, with the formats that it was trained in.

    Raises UnsupportedError for what has no equal in fixed point, ModelError where a trial run
    gives other bits.
    """
    reader = _Reader()
    for layer in model.layers:
        kind = type(layer).__name__
        where = f"{layer.name} ({kind})"
        if kind == "QGRU":
            reader.gru(where, layer)
        elif kind == "QSimpleRNN":
            reader.simple_rnn(where, layer)
        elif kind == "QDense":
            reader.dense(where, layer)
        elif kind not in _PASSED:
            raise UnsupportedError(
                f"{where} is not supported, only QSimpleRNN, QGRU, QDense and {', '.join(_PASSED)}"
            )
    network = reader.network()
    x = trial_sequences(network.features)
    try:
        y = np.asarray(model(x.astype(np.float32)), dtype=np.float64)
    except Exception as error:  # the model's code, which may raise anything
        raise ModelError(f"{model.name} fails on {x.shape}: {first_line(error)}") from None
    expected = fixed_outputs(network, x)
    if y.shape != expected.shape:
        raise ModelError(f"{model.name} gives {y.shape}, its layers in order {expected.shape}")
    if not np.array_equal(y, expected):
        raise unlike(model.name, y, expected)
    return network


class _Reader:
    """Layers and their formats, as they are met.

    `_at` is the format of what the last layer gives, None where that is an exact sum which nothing
    has rounded yet. `_hidden` tells that it is a hidden state, which HGQ2 gives on unrounded.
    """

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._rules: dict[str, Format] = {}
        self._at: Format | None = None
        self._hidden = False
        self._before = Format(1, 1)  # what the last layer takes in

    def network(self) -> Network:
        """Return what was read."""
        if self._hidden:
            raise UnsupportedError(
                f"{self._layers[-1].name} gives a state that is not rounded: let a QDense follow"
            )
        if self._at is None:
            last = self._layers[-1]
            assert isinstance(last, Dense)
            forms = (self._rules[f"{last.name}.{tensor}"] for tensor in ("kernel", "bias"))
            self._rules[f"{last.name}.output"] = exact_output(last, self._before, *forms)
        precision = Precision(self._rules["input"], tuple(self._rules.items()))
        return Network(tuple(self._layers), precision=precision)

    def _quantised(self, where: str, layer: Any) -> None:
        """Bring what there is into the format of a layer's input."""
        last = self._layers[-1] if self._layers else None
        if not layer.enable_iq:
            if self._at is None or self._hidden:
                raise UnsupportedError(f"{where} takes an input that is not quantised: enable_iq")
            return
        relu = isinstance(last, Dense | SimpleRNN) and last.activation == "relu"
        form = _format(layer.iq, f"{where}.iq", after_relu=relu)
        if last is None:
            self._rules["input"] = form
        elif self._at is None:
            self._rules[f"{last.name}.output"] = form
        elif not self._hidden and _holds(form, self._at):
            return  # it changes nothing
        elif form != self._at:
            raise UnsupportedError(
                f"{where}.iq has {form}, but what it takes is quantised to {self._at} in "
                f"{last.name}: it would be rounded twice"
            )
        self._at, self._hidden = form, False

    def dense(self, where: str, layer: Any) -> None:
        """Read a QDense."""
        self._quantised(where, layer)
        assert self._at is not None
        self._before = self._at
        activation = layer.activation.__name__
        if activation not in ("linear", "relu"):
            raise UnsupportedError(
                f"{where}: {activation} of a sum that is not quantised, only linear and relu"
            )
        kernel = _array(layer.qkernel).T
        bias = _array(layer.qbias) if layer.bias is not None else np.zeros(len(kernel))
        name = identifier(layer.name, fallback="dense")
        self._layers.append(Dense(name, kernel, bias, activation))
        self._rules[f"{name}.kernel"] = exact_format([kernel], f"{where}.kernel")
        self._rules[f"{name}.bias"] = exact_format([bias], f"{where}.bias", WIDEST_SUMS)
        self._at = None
        if layer.enable_oq:
            form = _format(layer.oq, f"{where}.oq", after_relu=activation == "relu")
            self._rules[f"{name}.output"] = self._at = form

    def simple_rnn(self, where: str, layer: Any) -> None:
        """Read a QSimpleRNN."""
        _check_options(where, layer)
        cell = layer.cell
        self._quantised(where, cell)
        activation = cell.activation.__name__
        if activation not in ("linear", "relu", "tanh"):
            raise UnsupportedError(
                f"{where}: {activation} is not supported, only linear, relu and tanh"
            )
        sums = _format(cell.paq, f"{where}.paq")
        hidden = sums
        if cell.enable_sq:
            hidden = _format(cell.sq, f"{where}.sq", after_relu=activation == "relu")
        elif activation == "tanh":
            raise UnsupportedError(f"{where} has a state that is not rounded: enable_sq=True")
        if activation == "tanh" and hidden.rounding is Rounding.TRN:
            raise UnsupportedError(f"{where}.sq rounds tanh down (TRN): only RND is supported")
        kernel, recurrent = _array(cell.qkernel).T, _array(cell.qrecurrent_kernel).T
        bias = _array(cell.qbias) if cell.use_bias else np.zeros(len(kernel))
        gates = split(KERAS_ORDER[SimpleRNN], kernel, recurrent, bias, np.zeros_like(bias))
        name = identifier(layer.name, fallback="rnn")
        sequences = bool(layer.return_sequences)
        self._layers.append(SimpleRNN(name, gates, sequences, activation=activation))
        self._rules.update(
            {
                **_exact(name, where, kernel, recurrent, [bias]),
                # Without a table what is rounded to `paq` is rounded again, to `sq`.
                f"{name}.candidate": hidden if activation == "tanh" else sums,
                f"{name}.hidden": hidden,
            }
        )
        if activation == "tanh":
            self._rules[f"{name}.preactivation"] = sums
        self._at, self._hidden = hidden, bool(cell.enable_sq)

    def gru(self, where: str, layer: Any) -> None:
        """Read a QGRU."""
        _check_options(where, layer)
        cell = layer.cell
        self._quantised(where, cell)
        for option in ("activation", "recurrent_activation"):
            function = getattr(cell, option).__name__
            if function != "linear":
                raise UnsupportedError(
                    f"{where}: {function} of a sum that is not quantised, only linear, with which "
                    "the quantisers after it make it a hard tanh and a hard sigmoid"
                )
        if cell.praq.affine is None or tuple(cell.praq.affine) != HARD_SIGMOID:
            raise UnsupportedError(
                f"{where}.praq is not HardSigmoidConfig's: nothing keeps it in 0..1"
            )
        sums = _format(cell.praq, f"{where}.praq", affine=HARD_SIGMOID)
        hidden = _format(cell.sq, f"{where}.sq")
        inner = _format(cell.rhq, f"{where}.rhq")
        if not cell.reset_after and inner != hidden:
            raise UnsupportedError(f"{where}.rhq has {inner}, .sq {hidden}: with reset_after=False "
                                   "rnnrtl has one format for both")  # fmt: skip
        kernel, recurrent = _array(cell.qkernel).T, _array(cell.qrecurrent_kernel).T
        bias = _array(cell.qbias) if cell.use_bias else np.zeros(len(kernel))
        rows = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        gates = split(KERAS_ORDER[GRU], kernel, recurrent, *rows)
        name = identifier(layer.name, fallback="gru")
        self._layers.append(
            GRU(
                name,
                gates,
                bool(layer.return_sequences),
                activation="linear",
                recurrent_activation="hard_sigmoid_hgq",
                reset_after=bool(cell.reset_after),
            )
        )
        biases = [rows, rows.sum(axis=0)]  # the two are one in some gates
        self._rules.update(
            {
                **_exact(name, where, kernel, recurrent, biases),
                f"{name}.preactivation": sums,
                # A quarter of it, from 0 up to an LSB below 1.
                f"{name}.gate": Format(sums.fraction_bits + 3, 1),
                f"{name}.candidate": _format(cell.paq, f"{where}.paq"),
                f"{name}.hidden": hidden,
            }
        )
        if cell.reset_after:
            self._rules[f"{name}.inner"] = inner
        self._at, self._hidden = hidden, True


def _holds(form: Format, other: Format) -> bool:
    """Whether a format has every value of another one."""
    return (
        form.fraction_bits >= other.fraction_bits
        and form.min_code * form.lsb <= other.min_code * other.lsb
        and form.max_code * form.lsb >= other.max_code * other.lsb
    )


def _check_options(where: str, layer: Any) -> None:
    for option in ("go_backwards", "stateful", "return_state"):
        if getattr(layer, option, False):
            raise UnsupportedError(f"{where}: {option} is not supported")


def _exact(
    name: str, where: str, kernel: FloatArray, recurrent: FloatArray, biases: list[FloatArray]
) -> dict[str, Format]:
    """Return the formats that hold weights exactly."""
    return {
        f"{name}.kernel": exact_format([kernel], f"{where}.kernel"),
        f"{name}.recurrent_kernel": exact_format([recurrent], f"{where}.recurrent_kernel"),
        f"{name}.bias": exact_format(biases, f"{where}.bias", WIDEST_SUMS),
    }


def _array(values: Any) -> FloatArray:
    from keras import ops  # there is a Keras model, so there is Keras

    return np.asarray(ops.convert_to_numpy(values), dtype=np.float64)


def _format(
    quantiser: Any,
    what: str,
    *,
    after_relu: bool = False,
    affine: tuple[float, float] | None = None,
) -> Format:
    """Return the format of an activation's quantiser."""
    inner = quantiser.quantizer
    if not hasattr(inner, "kif"):
        raise UnsupportedError(f"{what} is no fixed point: {type(inner).__name__}")
    if quantiser.scaler is not None or (quantiser.affine or None) != affine:
        raise UnsupportedError(f"{what} scales what it quantises: leave scaler and affine out")
    bits = [np.unique(_array(part)) for part in inner.kif]
    if any(part.size != 1 for part in bits):
        raise UnsupportedError(
            f"{what} has formats that differ from element to element: rnnrtl has one for them all; "
            "train with heterogeneous_axis=()"
        )
    keep, integer, fraction = (int(part[0]) for part in bits)
    mode, overflow = inner.round_mode, inner.overflow_mode
    if mode not in _ROUNDINGS or overflow not in _OVERFLOWS:
        raise UnsupportedError(f"{what} has the modes {mode} and {overflow}, which are unknown")
    if integer + fraction < 1:
        raise UnsupportedError(f"{what} has no bits left: all it gives is 0")
    if after_relu and overflow == "WRAP":
        raise UnsupportedError(f"{what} wraps what relu gives: let it saturate (SAT)")
    if not keep and not (after_relu and overflow == "SAT"):
        raise UnsupportedError(f"{what} is unsigned, which is for saturating after relu only: k0=1")
    return Format(1 + integer + fraction, 1 + integer, _ROUNDINGS[mode], _OVERFLOWS[overflow])
