"""Keras models of HGQ2's layers, read bit for bit, or refused in a line."""

import os
from typing import Any

import numpy as np
import pytest

import rnnrtl

os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("hgq")
keras = pytest.importorskip("keras")
# JAX and Keras warn of what is none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, FEATURES, UNITS = 5, 4, 3


def _scopes(**datalane: Any) -> Any:
    """Return a context in which activations have one format for all elements, and saturate."""
    from contextlib import ExitStack

    from hgq.config import QuantizerConfigScope

    given = {"heterogeneous_axis": (), "homogeneous_axis": None, "overflow_mode": "SAT", "k0": 1}
    stack = ExitStack()
    stack.enter_context(
        QuantizerConfigScope(
            place="datalane",
            default_q_type="kif",
            q_type="kif",
            i0=2,
            f0=4,
            **{**given, **datalane},
        )
    )
    return stack


def _model(*, sequences: bool = False, seed: int = 0, **layer: Any) -> Any:
    from hgq.layers import QGRU, QDense

    with _scopes():
        model = keras.Sequential(
            [
                keras.layers.Input((STEPS, FEATURES)),
                QGRU(UNITS, return_sequences=sequences, name="rnn", **layer),
                QDense(5, activation="relu", name="middle"),
                QDense(2, name="head"),
            ]
        )
    rng = np.random.default_rng(seed)
    for part in (model.layers[0].cell, *model.layers[1:]):
        for variable in (part.kernel, part.bias, getattr(part, "recurrent_kernel", part.bias)):
            variable.assign(rng.normal(0, 0.8, variable.shape))
    return model


@pytest.mark.parametrize("options", [{}, {"reset_after": False}, {"sequences": True, "seed": 3}])
def test_read_bit_for_bit(options: dict[str, Any]) -> None:
    model = _model(**options)
    x = np.random.default_rng(1).normal(0, 2, (300, STEPS, FEATURES)).astype(np.float32)
    design = rnnrtl.generate(model, strategy="dsp")
    np.testing.assert_array_equal(design.predict(x), np.asarray(model(x)))
    assert np.ptp(design.predict(x)) > 0
    if not options:
        assert design.precision.format("rnn", "hidden") == rnnrtl.Format.parse("fixed<7,3>")
        assert design.simulate(x[:3]).bit_exact


def test_what_has_no_equal_is_refused() -> None:
    from hgq.config import QuantizerConfig
    from hgq.layers import QGRU, QDense, QSimpleRNN

    def of(*layers: Any) -> Any:
        return keras.Sequential([keras.layers.Input((STEPS, FEATURES)), *layers])

    def other(**changes: Any) -> Any:
        given = {"q_type": "kif", "i0": 2, "f0": 4, "k0": 1, "overflow_mode": "SAT"}
        axes = {"heterogeneous_axis": (), "homogeneous_axis": None}
        return QuantizerConfig(place="datalane", **{**given, **axes, **changes})

    with _scopes():
        cases = {
            "QSimpleRNN": of(QSimpleRNN(UNITS)),
            "not rounded: let a QDense": of(QGRU(UNITS)),
            "tanh of a sum": of(QGRU(UNITS, activation="tanh"), QDense(2)),
            "sigmoid of a sum": of(QDense(2, activation="sigmoid")),
            "rounded twice": of(QGRU(UNITS), QDense(2, iq_conf=other(f0=2))),
            "unsigned": of(QDense(2, iq_conf=other(k0=0))),
            "wraps": of(
                QDense(2, activation="relu"), QDense(2, iq_conf=other(overflow_mode="WRAP"))
            ),
            "not HardSigmoidConfig": of(QGRU(UNITS, praq_conf=other()), QDense(2)),
            "go_backwards": of(QGRU(UNITS, go_backwards=True), QDense(2)),
        }
    with _scopes(heterogeneous_axis=None, homogeneous_axis=(0,)):
        differing = of(QDense(2, name="d"), QDense(2))
    fractions = differing.layers[0].iq.quantizer._f
    fractions.assign(np.arange(fractions.shape[-1]) % 3 + np.zeros(fractions.shape))
    cases["differ from element"] = differing
    for message, model in cases.items():
        with pytest.raises(rnnrtl.UnsupportedError, match=message):
            rnnrtl.load(model)
    with pytest.raises(rnnrtl.UnsupportedError, match="activations"):
        rnnrtl.load(_model(), activations={"head": "relu"})
