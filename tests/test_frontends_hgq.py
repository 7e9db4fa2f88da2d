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


def _other(**changes: Any) -> Any:
    """Return a configuration of a quantiser of activations."""
    from hgq.config import QuantizerConfig

    given = {"q_type": "kif", "i0": 2, "f0": 4, "k0": 1, "overflow_mode": "SAT"}
    axes = {"heterogeneous_axis": (), "homogeneous_axis": None}
    return QuantizerConfig(place="datalane", **{**given, **axes, **changes})


def _model(*, cell: str = "QGRU", sequences: bool = False, seed: int = 0, **layer: Any) -> Any:
    import hgq.layers
    from hgq.layers import QDense

    with _scopes():
        model = keras.Sequential(
            [
                keras.layers.Input((STEPS, FEATURES)),
                getattr(hgq.layers, cell)(UNITS, return_sequences=sequences, name="rnn", **layer),
                QDense(5, activation="relu", name="middle"),
                QDense(2, name="head"),
            ]
        )
    rng = np.random.default_rng(seed)
    for part in (model.layers[0].cell, *model.layers[1:]):
        for variable in (part.kernel, part.bias, getattr(part, "recurrent_kernel", part.bias)):
            if variable is not None:
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


PLAIN: dict[str, dict[str, Any]] = {
    "hard tanh": {},  # what HGQ2 makes of linear, by the format of the sum
    "linear": {"paq_conf": {"i0": 4}, "enable_sq": True, "sequences": True},
    "relu": {"activation": "relu", "paq_conf": {"i0": 3, "f0": 6}, "enable_sq": True},
    "tanh": {"activation": "tanh", "paq_conf": {"i0": 3, "f0": 3}, "enable_sq": True},
    "wrapping": {"paq_conf": {"i0": 1, "overflow_mode": "WRAP"}, "use_bias": False},
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_layers_in_every_simulator(name: str) -> None:
    options = dict(PLAIN[name])
    if "paq_conf" in options:
        options["paq_conf"] = _other(**options["paq_conf"])
    model = _model(cell="QSimpleRNN", **options)
    x = np.random.default_rng(1).normal(0, 2, (300, STEPS, FEATURES)).astype(np.float32)
    expected = np.asarray(model(x))
    design = rnnrtl.generate(model)
    np.testing.assert_array_equal(design.predict(x), expected)
    assert np.ptp(expected) > 0
    simulators: tuple[Any, ...] = ("icarus", "verilator")
    for simulator in simulators if name in ("hard tanh", "tanh") else simulators[:1]:
        outputs = design.simulate(x[:20], simulator).outputs
        np.testing.assert_array_equal(outputs, expected[:20])


def test_what_has_no_equal_is_refused() -> None:
    from hgq.layers import QGRU, QDense, QSimpleRNN

    def of(*layers: Any) -> Any:
        return keras.Sequential([keras.layers.Input((STEPS, FEATURES)), *layers])

    with _scopes():
        cases = {
            "sigmoid is not supported": of(QSimpleRNN(UNITS, activation="sigmoid")),
            "state that is not rounded": of(QSimpleRNN(UNITS, activation="tanh")),
            "rounds tanh down": of(
                QSimpleRNN(
                    UNITS, activation="tanh", enable_sq=True, sq_conf=_other(round_mode="TRN")
                )
            ),
            "not rounded: let a QDense": of(QGRU(UNITS)),
            "tanh of a sum": of(QGRU(UNITS, activation="tanh"), QDense(2)),
            "sigmoid of a sum": of(QDense(2, activation="sigmoid")),
            "rounded twice": of(QGRU(UNITS), QDense(2, iq_conf=_other(f0=2))),
            "unsigned": of(QDense(2, iq_conf=_other(k0=0))),
            "wraps": of(
                QDense(2, activation="relu"), QDense(2, iq_conf=_other(overflow_mode="WRAP"))
            ),
            "not HardSigmoidConfig": of(QGRU(UNITS, praq_conf=_other()), QDense(2)),
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
