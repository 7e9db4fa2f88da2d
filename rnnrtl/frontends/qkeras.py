"""Read Keras models of QKeras' layers: QSimpleRNN, QLSTM, QGRU and QDense, their
quantised weights bit for bit.

QKeras rounds no sum before its activation and no product of a gate, so that there is no model in
fixed point whose every bit could be kept. A `PrecisionWarning` says so: weights have their exact
formats, everything else `fixed<16,6>`, unless `generate` is given a precision.
"""

import warnings
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, PrecisionWarning, UnsupportedError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.frontends.arrays import read_arrays
from rnnrtl.frontends.quantised import WIDEST_SUMS, exact_format
from rnnrtl.frontends.trial import first_line, trial_sequences
from rnnrtl.layers import Dense, FloatArray, Recurrent
from rnnrtl.network import Network

_LAYERS = ("QSimpleRNN", "QLSTM", "QGRU", "QDense")
_PASSED = ("InputLayer", "Dropout")
_QUANTISERS = {"kernel": "kernel", "recurrent_kernel": "recurrent", "bias": "bias"}
_TOLERANCE = 1e-4  # the model computes in float32


def is_qkeras(model: Any) -> bool:
    """Tell whether a Keras model has layers of QKeras."""
    layers = getattr(model, "layers", None)
    return isinstance(layers, list) and any(
        type(layer).__module__.startswith("qkeras.") for layer in layers
    )


def read_qkeras(model: Any) -> Network:
    """Build the network of a Keras model, with exact formats of its weights.

    Raises UnsupportedError for other layers and for activations of QKeras' own, ModelError where
    the network gives other outputs.
    """
    groups: dict[str, dict[str, object]] = {}
    for layer in model.layers:
        kind = type(layer).__name__
        where = f"{layer.name} ({kind})"
        if kind in _LAYERS:
            groups[layer.name] = _parameters(where, layer)
        elif kind not in _PASSED:
            known = ", ".join((*_LAYERS, *_PASSED))
            raise UnsupportedError(f"{where} is not supported, only {known}")
    network = Network(read_arrays(groups))
    network = network.replace(precision=Precision(Format(16, 6), tuple(_weights(network).items())))
    x = trial_sequences(network.features)
    try:
        y = np.asarray(model(x.astype(np.float32)), dtype=np.float64)
    except Exception as error:  # the model's code, which may raise anything
        raise ModelError(f"{model.name} fails on {x.shape}: {first_line(error)}") from None
    expected = network.predict(x)
    if y.shape != expected.shape or not np.allclose(y, expected, _TOLERANCE, _TOLERANCE):
        raise ModelError(f"{model.name} does something else than its layers in order")
    warnings.warn(
        f"{model.name}: QKeras rounds no sums and no products, so only its weights are kept bit "
        "for bit; activations have fixed<16,6>, or the precision that you give",
        PrecisionWarning,
        stacklevel=4,
    )
    return network


def _parameters(where: str, layer: Any) -> dict[str, object]:
    """Return the arrays and options of a layer, as `read_arrays` takes them."""
    part = getattr(layer, "cell", layer)
    if part.__class__.__name__ != "QDense":
        for option in ("go_backwards", "stateful", "return_state"):
            if getattr(layer, option, False):
                raise UnsupportedError(f"{where}: {option} is not supported")
    found: dict[str, object] = {}
    for weights, word in _QUANTISERS.items():
        value = getattr(part, weights, None)
        if value is not None:
            quantiser = getattr(part, f"{word}_quantizer_internal", None)
            found[weights] = _array(value if quantiser is None else quantiser(value))
    for option in ("activation", "recurrent_activation"):
        if hasattr(part, option):
            function = getattr(part, option)
            name = "linear" if function is None else getattr(function, "__name__", None)
            if name is None or type(function).__module__.startswith("qkeras."):
                raise UnsupportedError(
                    f"{where}: {option} is {type(function).__name__}, which rounds sums that "
                    "nothing has rounded before: use one of Keras' own, and a precision"
                )
            found[option] = name
    if hasattr(part, "recurrent_kernel"):
        found["return_sequences"] = bool(layer.return_sequences)
    if hasattr(part, "reset_after"):
        found["reset_after"] = bool(part.reset_after)
    return found


def _array(values: Any) -> FloatArray:
    from keras import ops  # there is a Keras model, so there is Keras

    return np.asarray(ops.convert_to_numpy(values), dtype=np.float64)


def _weights(network: Network) -> dict[str, Format]:
    """Return exact formats by rule."""
    rules: dict[str, Format] = {}
    for layer in network.parts:
        arrays: dict[str, list[FloatArray]] = {}
        if isinstance(layer, Dense):
            arrays = {"kernel": [layer.kernel], "bias": [layer.bias]}
        elif isinstance(layer, Recurrent):
            gates = layer.gates.values()
            arrays = {
                "kernel": [gate.kernel for gate in gates],
                "recurrent_kernel": [gate.recurrent_kernel for gate in gates],
                "bias": [v for g in gates for v in (g.bias, g.recurrent_bias)]
                + [g.bias + g.recurrent_bias for g in gates],
            }
        for tensor, values in arrays.items():
            name = f"{layer.name}.{tensor}"
            widest = {"widest": WIDEST_SUMS} if tensor == "bias" else {}
            rules[name] = exact_format(values, name, **widest)
    return rules
