"""Every way in which a dict of arrays or an option of load() can be bad: one clear line each."""

from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends import load
from tests.frontend_models import UNITS, dense, keras


def without(arrays: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in arrays.items() if name != key}


def endless() -> dict[str, Any]:
    nested: dict[str, Any] = {}
    nested["again"] = nested
    return nested


BAD: dict[str, tuple[Any, type[RnnrtlError], str]] = {
    "nothing": ({}, ModelError, "at least one layer"),
    "None": (None, ModelError, "cannot load a network from builtins.NoneType"),
    "array": (np.zeros((3, 3)), ModelError, "cannot load a network from numpy.ndarray"),
    "bytes": (b"model.npz", ModelError, "cannot load a network from builtins.bytes"),
    "unknown key": ({"gru": keras("gru", scale=1.0)}, ModelError, "unknown key 'gru/scale'"),
    "no kernel": ({"gru": without(keras("gru"), "kernel")}, ModelError, "no 'gru/kernel'"),
    "no recurrent kernel": (
        {"gru": without(keras("gru"), "recurrent_kernel")}, ModelError, "no 'gru/recurrent_kernel'",
    ),
    "no recurrent kernel, other name": (
        {"a": without(keras("lstm", return_sequences=True), "recurrent_kernel")},
        ModelError, "no 'a/recurrent_kernel', but 'a/return_sequences'",
    ),
    "two gates": (
        {"a": {"kernel": np.zeros((3, 8)), "recurrent_kernel": np.zeros((4, 8))}},
        ModelError, "'a/recurrent_kernel' has 8 gate rows for 4 units",
    ),
    "gates of a plain RNN": (
        {
            "a": {
                "kernel": np.zeros((3, 4)), "recurrent_kernel": np.zeros((4, 4)),
                "recurrent_activation": "sigmoid",
            },
        },
        ModelError, "'a/recurrent_activation' is for an LSTM or a GRU, but this is a plain RNN",
    ),
    "kernel of other gates": (
        {"a": {**keras("gru"), "kernel": np.zeros((3, 16))}}, ModelError, r"'a/kernel' has shape",
    ),
    "kernel of one axis": (
        {"a": {**keras("gru"), "kernel": np.zeros(12)}}, ModelError, r"'a/kernel' has shape \(12",
    ),
    "no features": (
        {"a": {**keras("gru"), "kernel": np.zeros((0, 12))}}, ModelError, "'a/kernel' has shape",
    ),
    "short bias": (
        {"a": {**keras("gru"), "bias": np.zeros(5)}},
        ModelError, r"'a/bias' has shape \(5,\), expected \(12,\) or \(2, 12\)",
    ),
    "no reset": ({"a": keras("gru", bias_rows=0)}, ModelError, "'a/reset_after' is missing"),
    "reset after with one bias": (
        {"a": keras("gru", reset_after=True)}, ModelError, "'a/reset_after' is True, but 'a/bias'",
    ),
    "reset of an LSTM": (
        {"a": keras("lstm", reset_after=True)}, ModelError, "'a/reset_after' is for a GRU",
    ),
    "odd flag": (
        {"a": keras("gru", return_sequences="no")}, ModelError, "'a/return_sequences' must be True",
    ),
    "sequence ends too early": (
        {"a": keras("gru", return_sequences=False),
         "b": {**keras("gru"), "kernel": np.zeros((UNITS, 3 * UNITS))}},
        ModelError, "set return_sequences",
    ),
    "dense bias": (
        {"a": dense(bias=np.zeros(3))}, ModelError, r"'a/bias' has shape \(3,\), expected \(2,\)",
    ),
    "unknown activation": ({"a": dense(activation="gelu")}, UnsupportedError, "Dense 'a'.*'gelu'"),
    "unknown cell activation": (
        {"a": keras("gru", activation="gelu")}, UnsupportedError, "GRU 'a'.*'gelu'",
    ),
    "activation no string": ({"a": dense(activation=3)}, ModelError, "'a/activation' must be one"),
    "layers that do not fit": (
        {"a": dense(), "b": dense()}, ModelError, "layer 'b' takes 4 features, but layer 'a'",
    ),
    "equal names": ({"a.b": dense(), "a_b": dense()}, ModelError, "two layers are called 'a_b'"),
    "key twice": ({"a": dense(), "a/kernel": 1}, ModelError, "'a.kernel' is given twice"),
    "key no string": ({1: dense()}, ModelError, "the key 1 is a int"),
    "endless": (endless(), ModelError, "nested more than"),
    "objects": ({"a": dense(kernel=np.array([None]))}, ModelError, "'a/kernel' holds object"),
    "words": ({"a": dense(kernel=[["x"]])}, ModelError, "'a/kernel' holds <U1"),
    "ragged": ({"a": dense(kernel=[[1], [2, 3]])}, ModelError, "'a/kernel' is not an array"),
    "complex": ({"a": dense(kernel=np.eye(2) * 1j)}, ModelError, "'a/kernel' holds complex128"),
    "bool": ({"a": dense(kernel=np.eye(2) > 0)}, ModelError, "'a/kernel' holds bool"),
    "NaN": ({"a": dense(bias=[0.0, np.nan])}, ModelError, r"a.bias is nan at index \(1,\)"),
    "inf": (
        {"a": {**keras("gru"), "bias": np.full(12, -np.inf)}}, ModelError, "gate z is -inf",
    ),
    "steps": ({"a": dense(), "steps": 0}, ModelError, "steps must be a positive integer, not 0"),
    "steps no integer": ({"a": dense(), "steps": 2.5}, ModelError, "'steps' must be one integer"),
    "name": ({"a": dense(), "name": 7}, ModelError, "'name' must be one string"),
    "mixed forms": (
        {"a": dense(), "b": {"weight": np.zeros((2, 2))}}, ModelError, "unknown key 'a.kernel'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_source(case: str) -> None:
    source, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        load(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a positive integer, not 0"),
        ({"steps": "20"}, "steps must be a positive integer, not '20'"),
        ({"steps": True}, "steps must be a positive integer, not True"),
        ({"activations": {"b": "relu"}}, "'b', but the layers are out"),
        ({"activations": {"out": "gelu"}}, "'gelu' is not supported"),
        ({"activations": {"out": None}}, "both must be strings"),
        ({"activations": "relu"}, "must map layer names"),
        ({"activations": {"o.ut": "relu", "o_ut": "tanh"}}, "names layer 'o_ut' twice"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RnnrtlError, match=message):
        load({"out": dense()}, **options)
