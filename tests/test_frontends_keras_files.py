"""Keras files: those that Keras wrote, what their options mean, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends import load
from rnnrtl.frontends.keras_config import read_config
from rnnrtl.frontends.keras_layers import build
from rnnrtl.layers import GRU, LSTM
from tests import float_reference as reference
from tests import keras_models as made
from tests.frontend_models import FEATURES, UNITS, X, by_gate, keras
from tests.keras_models import ARRAYS, archive, head, lstm, pooled

DATA = Path(__file__).parent / "data"
FILES = [
    "keras2_cells.h5", "keras2_gru.h5", "keras2_lstm.h5", "keras3_cells.keras", "keras3_gru.keras",
    "keras3_lstm.h5",
]  # fmt: skip


def architecture(path: Path) -> Path | None:
    beside = path.with_suffix(".json")
    return beside if beside.exists() else None


@pytest.mark.parametrize("name", FILES)
def test_file_of_keras(name: str) -> None:
    path = DATA / name
    network = load(path, architecture=architecture(path))
    with np.load(path.with_suffix(".npz")) as known:
        np.testing.assert_allclose(network.predict(known["x"]), known["y"], rtol=0, atol=1e-6)
    assert network.name == path.stem
    words = {"keras2_gru.h5": "hard_sigmoid_keras2", "keras3_gru.keras": "hard_sigmoid"}
    if name in words:
        (layer,) = network.recurrent
        assert isinstance(layer, GRU)
        assert layer.recurrent_activation == words[name]
        assert layer.reset_after is (name == "keras3_gru.keras")
    else:
        assert network.steps == 5


def test_weights_without_architecture() -> None:
    with pytest.raises(ModelError, match=r'no model_config.*architecture="model.json"'):
        load(DATA / "keras2_lstm.h5")
    with pytest.raises(ModelError, match="cannot be read"):
        load(DATA / "keras2_lstm.h5", architecture=DATA / "missing.json")
    with pytest.raises(ModelError, match="architecture is for"):
        load(DATA / "keras3_gru.keras", architecture=DATA / "keras2_lstm.json")
    with pytest.raises(UnsupportedError, match="it holds no weights"):
        load(DATA / "keras2_lstm.json")


def test_states_beside_the_output() -> None:
    outputs = [["head", 0, 0], ["rnn", 0, 1], ["rnn", 0, 2]]
    network = build(read_config(made.functional({}, output_layers=outputs), 3), ARRAYS)
    plain = build(read_config(made.functional({}), 3), ARRAYS)
    np.testing.assert_array_equal(network.predict(X), plain.predict(X))


def test_activations_and_steps_given() -> None:
    network = load(DATA / "keras3_lstm.h5", steps=7, activations={"time_distributed": "relu"})
    assert (network.steps, network.parts[-1].activation) == (7, "relu")


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(
    ("cell", "gates", "order"), [("gru", "zrh", "zrn"), ("lstm", "ifco", "ifgo")]
)
def test_keras_1(tmp_path: Path, cell: str, gates: str, order: str, apart: bool) -> None:
    arrays = keras(cell)
    parts = {"W": arrays["kernel"], "U": arrays["recurrent_kernel"], "b": arrays["bias"]}
    stored = {f"rnn_1_{letter}": array for letter, array in parts.items()}
    if apart:
        stored = {
            f"rnn_1_{letter}_{gate}:0": part
            for gate, *columns in zip(
                gates, *(np.split(array, len(gates), -1) for array in parts.values()), strict=True
            )
            for letter, part in zip(parts, columns, strict=True)
        }
        if cell == "lstm":  # the order in which Keras 1 stored them: i, c, f, o
            stored = dict(sorted(stored.items(), key=lambda item: "icfo".index(item[0][-3])))
    config = {
        "name": "rnn_1", "batch_input_shape": [None, 6, FEATURES], "output_dim": UNITS,
        "activation": "tanh", "inner_activation": "hard_sigmoid", "init": "glorot_uniform",
        "inner_init": "orthogonal", "dropout_W": 0.1, "U_regularizer": None, "input_dim": FEATURES,
        "consume_less": "cpu", "return_sequences": True, "go_backwards": False, "stateful": False,
    }  # fmt: skip
    # Keras 1 wrote a Sequential's layers as a list.
    model = {"class_name": "Sequential", "config": [{"class_name": cell.upper(), "config": config}]}
    path = tmp_path / "model.h5"
    made.write_listed(path, model, {"rnn_1": stored}, version="1.2.2")
    weights = (by_gate(array, order) for array in parts.values())
    options: dict[str, Any] = {"recurrent_activation": "hard_sigmoid_keras2"}
    if cell == "gru":
        expected = reference.gru(X, *weights, reset_after=False, **options)
    else:
        expected = reference.lstm(X, *weights, **options)
    np.testing.assert_allclose(load(path).predict(X), expected, rtol=0, atol=1e-12)


def test_pooling_over_time(tmp_path: Path) -> None:
    every = lstm(return_sequences=True)
    x = np.random.default_rng(6).standard_normal((3, 6, FEATURES))
    states = load(archive(tmp_path, made.sequential(every), lstm=made.weights("lstm"))).predict(x)
    kernel, bias = made.dense_weights()
    for kind, vector in (("Average", states.mean(axis=1)), ("Max", states.max(axis=1))):
        pool = made.entry(f"Global{kind}Pooling1D", {"name": "pool", "keepdims": False})
        network = load(archive(tmp_path, made.sequential(every, pool, made.HEAD)))
        np.testing.assert_allclose(network.predict(x), vector @ kernel + bias, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layers", "steps", "error", "words"),
    [
        ([pooled()], None, ModelError, "leaves open how many there are"),
        ([pooled(keepdims=True)], 6, UnsupportedError, "keepdims=True"),
        ([pooled(data_format="channels_first")], 6, UnsupportedError, "channels_first"),
        ([pooled(), pooled(name="again")], 6, ModelError, "'again'.*needs a sequence"),
    ],
)
def test_pooling_that_cannot_be_read(
    tmp_path: Path, layers: Any, steps: int | None, error: Any, words: str
) -> None:
    config = made.sequential(lstm(return_sequences=True), *layers)
    config["config"]["layers"][0]["config"]["batch_shape"][1] = steps
    with pytest.raises(error, match=words):
        load(archive(tmp_path, config, lstm=made.weights("lstm")))


SAME: dict[str, list[dict[str, Any]]] = {
    "flatten": [made.RNN, head("Flatten"), made.HEAD],
    "reshape": [made.RNN, head("Reshape", target_shape=[UNITS]), made.HEAD],
    "reshape open": [made.RNN, head("Reshape", target_shape=[-1]), made.HEAD],
    "noise": [
        made.RNN,
        head("GaussianNoise", stddev=1.0),
        made.HEAD,
        head("Activation", name="b", activation="linear"),
    ],
    "training": [
        lstm(dropout=0.5, implementation=1, unroll=True, kernel_regularizer={"a": 1}),
        made.HEAD,
    ],
}


@pytest.mark.parametrize("case", SAME)
def test_what_changes_nothing(tmp_path: Path, case: str) -> None:
    plain = load(archive(tmp_path, made.sequential(made.RNN, made.HEAD))).predict(X)
    np.testing.assert_array_equal(
        load(archive(tmp_path, made.sequential(*SAME[case]))).predict(X), plain
    )


@pytest.mark.parametrize(
    ("layer", "function"),
    [(head("ReLU", max_value=None), "relu"), (head("ELU", alpha=1.0), "elu"),
     (head("Softmax", axis=-1), "softmax"), (head("Activation", activation="tanh"), "tanh")],
)  # fmt: skip
def test_activation_layer(tmp_path: Path, layer: dict[str, Any], function: str) -> None:
    network = load(archive(tmp_path, made.sequential(made.RNN, made.HEAD, layer)))
    assert [each.activation for each in network.parts] == ["tanh", function]


@pytest.mark.parametrize("target", [[6, FEATURES], [-1, FEATURES], [6, -1]])
def test_input_cut_into_steps(target: list[int]) -> None:
    model = made.sequential(
        head("Dropout", name="a"), head("Reshape", target_shape=target), made.RNN
    )
    model["config"]["layers"][0]["config"]["batch_shape"] = [None, 6 * FEATURES]
    network = build(read_config(model, 3), {"rnn": ARRAYS["rnn"]})
    assert (network.steps, network.features) == (6, FEATURES)
    plain = build(read_config(made.sequential(made.RNN), 3), {"rnn": ARRAYS["rnn"]})
    np.testing.assert_array_equal(network.predict(X), plain.predict(X))
    for other in ([5, FEATURES], [FEATURES, 7], [-1, -1], [0, 18]):
        model["config"]["layers"][2]["config"]["target_shape"] = other
        with pytest.raises(RnnrtlError, match=r"does not fit|is no shape"):
            build(read_config(model, 3), {"rnn": ARRAYS["rnn"]})


def test_flattened_single_step() -> None:
    model = made.sequential(lstm(return_sequences=True), head("Flatten"), made.HEAD)
    model["config"]["layers"][0]["config"]["batch_shape"] = [None, 1, FEATURES]
    network = build(read_config(model, 3), ARRAYS)
    assert not network.return_sequences
    plain = build(read_config(made.sequential(made.RNN, made.HEAD), 3), ARRAYS)
    np.testing.assert_array_equal(network.predict(X[:, :1]), plain.predict(X[:, :1]))


def test_chain_of_a_functional_model(tmp_path: Path) -> None:
    plain = load(archive(tmp_path, made.sequential(made.RNN, made.HEAD))).predict(X)
    found = load(archive(tmp_path, made.functional({}))).predict(X)
    np.testing.assert_array_equal(found, plain)
    # as Keras 2 writes it
    nodes = {"rnn": [[["input", 0, 0, {}]]], "head": [[["rnn", 0, 0, {"training": None}]]]}
    np.testing.assert_array_equal(load(archive(tmp_path, made.functional(nodes))).predict(X), plain)


def test_hard_sigmoid_of_an_unknown_version(tmp_path: Path) -> None:
    model = made.sequential(lstm(recurrent_activation="hard_sigmoid"))
    del model["module"]
    path = tmp_path / "model.h5"
    names = ("a/kernel:0", "a/recurrent_kernel:0", "a/bias:0")
    arrays = dict(zip(names, made.weights("lstm"), strict=True))
    made.write_listed(path, model, {"rnn": arrays}, version="")
    with pytest.raises(ModelError, match="nothing says which version of Keras"):
        load(path)
    beside = tmp_path / "model.json"
    beside.write_text(json.dumps({**model, "keras_version": "2.2.0"}))
    (layer,) = load(path, architecture=beside).recurrent
    assert isinstance(layer, LSTM)
    assert layer.recurrent_activation == "hard_sigmoid_keras2"


def test_version_of_the_architecture_goes_first(tmp_path: Path) -> None:
    model = made.sequential(lstm(recurrent_activation="hard_sigmoid"))  # as Keras 3 writes it
    (tmp_path / "model.json").write_text(json.dumps(model))
    arrays = dict(zip(("kernel", "recurrent_kernel", "bias"), made.weights("lstm"), strict=True))
    made.write_listed(tmp_path / "weights.h5", None, {"rnn": arrays}, version="2.4.0")
    (layer,) = load(tmp_path / "weights.h5", architecture=tmp_path / "model.json").recurrent
    assert isinstance(layer, LSTM)
    assert layer.recurrent_activation == "hard_sigmoid"
