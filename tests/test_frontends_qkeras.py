"""Keras models of QKeras' layers: their weights are kept, and a warning says that no more is."""

from typing import Any

import numpy as np
import pytest

import rnnrtl

pytest.importorskip("qkeras")
keras = pytest.importorskip("keras")


@pytest.mark.filterwarnings("ignore")
def test_weights_are_kept() -> None:
    from qkeras import QGRU, QLSTM, QDense, QSimpleRNN, quantized_bits, quantized_tanh

    def model(kind: Any, **options: Any) -> Any:
        words = ("kernel", "recurrent", "bias")
        given = {f"{word}_quantizer": quantized_bits(6, 0, 1, alpha=1) for word in words}
        plain = {"activation": "tanh"}
        if kind is not QSimpleRNN:
            plain["recurrent_activation"] = "sigmoid"
        recurrent = kind(3, **{**given, **plain, **options})
        given.pop("recurrent_quantizer")
        layers = [recurrent, QDense(2, activation="linear", name="head", **given)]
        return keras.Sequential([keras.layers.Input((5, 4)), *layers])

    x = np.random.default_rng(0).normal(size=(20, 5, 4))
    for kind in (QLSTM, QGRU, QSimpleRNN):
        trained = model(kind)
        with pytest.warns(rnnrtl.PrecisionWarning, match="only its weights"):
            net = rnnrtl.load(trained)
        assert net.precision is not None
        assert net.precision.format(net.layers[0].name, "kernel").width <= 6
        assert np.abs(rnnrtl.generate(net).predict(x) - np.asarray(trained(x))).max() < 0.01
    with pytest.raises(rnnrtl.UnsupportedError, match="rounds sums"):
        rnnrtl.load(model(QLSTM, activation=quantized_tanh(4)))
