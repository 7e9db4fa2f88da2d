"""Keras itself, on random models: what it computes, and what is read from its files and objects."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")  # read once, when Keras is imported
keras: Any = pytest.importorskip("keras")

from rnnrtl.errors import RnnrtlError, UnsupportedError  # noqa: E402
from rnnrtl.frontends import load  # noqa: E402
from rnnrtl.frontends.keras_config import read_config  # noqa: E402
from rnnrtl.layers import ACTIVATIONS  # noqa: E402

# Of Keras itself: NumPy 2 on PyTorch, and a softmax over one number.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

FEATURES, STEPS = 3, 5
WORDS = sorted(set(ACTIVATIONS) - {"hard_sigmoid_keras2", "hard_sigmoid_hgq", "hard_tanh"})


def random_model(rng: np.random.Generator) -> Any:
    """Return a model of one to three cells and up to two dense layers, all weights random."""
    layers = keras.layers
    found: list[Any] = [random_normalisation(rng)] if rng.random() < 0.6 else []
    depth = int(rng.integers(1, 4))
    for number in range(depth):
        options = {
            "return_sequences": number < depth - 1 or bool(rng.random() < 0.3),
            "use_bias": bool(rng.random() < 0.7),
            "activation": str(rng.choice(WORDS)),
            "recurrent_activation": str(rng.choice(["sigmoid", "hard_sigmoid"])),
            "dropout": float(rng.choice([0.0, 0.2])),
        }
        units, kind = int(rng.integers(1, 6)), rng.choice(["LSTM", "GRU", "SimpleRNN", "RNN"])
        if kind == "GRU":
            options["reset_after"] = bool(rng.random() < 0.5)
        if kind == "RNN":  # of the activations that cells have by default
            cells = [layers.LSTMCell(units), layers.SimpleRNNCell(2), layers.GRUCell(3)]
            sequences = bool(options["return_sequences"])
            found.append(layers.RNN(cells[: rng.integers(2, 4)], return_sequences=sequences))
        else:
            if kind == "SimpleRNN":
                del options["recurrent_activation"]
            found.append(getattr(layers, str(kind))(units, **options))
        if rng.random() < 0.5:
            found.append(layers.BatchNormalization(scale=bool(rng.random() < 0.7)))
        if rng.random() < 0.3:
            found.append(layers.Activation(str(rng.choice(WORDS))))
        if options["return_sequences"] and rng.random() < 0.4:
            found.append(layers.TimeDistributed(layers.Dense(4, activation="relu")))
    for _ in range(int(rng.integers(0, 3))):
        found += [layers.Dropout(0.3), layers.Dense(int(rng.integers(2, 6)))]
        if rng.random() < 0.5:
            found.append(layers.BatchNormalization(center=bool(rng.random() < 0.7)))
        found.append([layers.Activation(str(rng.choice(WORDS))), layers.Softmax()][rng.integers(2)])
    if rng.random() < 0.3:
        found.append(layers.Rescaling(2.0, 1.0))
    inputs = keras.Input((None if rng.random() < 0.5 else STEPS, FEATURES))
    if rng.random() < 0.5:
        model = keras.Sequential([inputs, *found])
    else:
        y = inputs
        for layer in found:
            y = layer(y)
        model = keras.Model(inputs, y)
    for each in model.variables:
        values = rng.normal(0, 0.6, each.shape)
        each.assign(np.abs(values) + 0.2 if "variance" in each.path else values)
    return model


def random_normalisation(rng: np.random.Generator) -> Any:
    """Return a layer that normalises the input, by data that it saw or by what it is told."""
    layers = keras.layers
    kind = rng.integers(4)
    if kind == 0:
        return layers.BatchNormalization()
    if kind == 1:
        return layers.Rescaling(0.5, [1.0, 2.0, 3.0])
    if kind == 2:
        return layers.Normalization(mean=[1.0, 0.0, -1.0], variance=[1.0, 2.0, 0.5])
    layer = layers.Normalization(axis=-1 if rng.random() < 0.6 else None)
    layer.adapt(rng.normal(1, 2, (50, STEPS, FEATURES)))
    return layer


def assert_same(source: Any, x: Any, y: Any, **options: Any) -> None:
    scale = max(1.0, float(np.abs(y).max()))
    np.testing.assert_allclose(load(source, **options).predict(x), y, rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("seed", range(6))
def test_random_model(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    x = rng.standard_normal((3, STEPS, FEATURES)).astype(np.float32)
    y = keras.ops.convert_to_numpy(model(x, training=False))
    assert_same(model, x, y)
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        assert_same(tmp_path / name, x, y)
    model.save_weights(tmp_path / "only.weights.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    assert_same(tmp_path / "only.weights.h5", x, y, architecture=tmp_path / "model.json")


@pytest.mark.parametrize("kind", ["GlobalAveragePooling1D", "GlobalMaxPooling1D"])
def test_pooling(tmp_path: Path, kind: str) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.GRU(4, return_sequences=True),
            layers.BatchNormalization(),
            getattr(layers, kind)(),
            layers.Dense(2, activation="tanh"),
        ]
    )
    rng = np.random.default_rng(3)
    model.set_weights([np.abs(rng.normal(0, 0.6, w.shape)) + 0.1 for w in model.get_weights()])
    x = rng.standard_normal((3, STEPS, FEATURES)).astype(np.float32)
    y = keras.ops.convert_to_numpy(model(x, training=False))
    model.save(tmp_path / "model.keras")
    for source in (model, tmp_path / "model.keras"):
        assert_same(source, x, y)


def test_stateful_model(tmp_path: Path) -> None:
    """Called again it goes on from where it was, and so does a stream."""
    rng = np.random.default_rng(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(3, STEPS, FEATURES)),
            layers.GRU(4, return_sequences=True, stateful=True),
            layers.LSTM(3, stateful=True),
            layers.Dense(2),
        ]
    )
    model.set_weights([rng.normal(0, 0.6, each.shape) for each in model.get_weights()])
    model.save(tmp_path / "model.keras")
    network = load(tmp_path / "model.keras")
    assert network.stateful
    stream = network.stream(3)
    for number in range(4):
        if number == 2:
            stream.clear()
            for layer in model.layers[:2]:
                layer.reset_state()
        x = rng.standard_normal((3, STEPS, FEATURES)).astype(np.float32)
        y = keras.ops.convert_to_numpy(model(x, training=False))
        np.testing.assert_allclose(stream.predict(x), y, rtol=0, atol=2e-6)


@pytest.mark.parametrize("functional", [False, True])
def test_masks(tmp_path: Path, functional: bool) -> None:
    rng = np.random.default_rng(3)
    layers = keras.layers
    made = [
        layers.Masking(-1.0),
        layers.TimeDistributed(layers.Dense(4)),
        layers.LSTM(4, return_sequences=True),
        layers.Dropout(0.1),
        layers.GRU(3, return_sequences=True),
        layers.Dense(2),
    ]
    y = inputs = keras.Input((STEPS, FEATURES))
    for layer in made if functional else ():
        y = layer(y)
    model = keras.Model(inputs, y) if functional else keras.Sequential([inputs, *made])
    model.set_weights([rng.normal(0, 0.6, each.shape) for each in model.get_weights()])
    x = rng.standard_normal((8, STEPS, FEATURES)).astype(np.float32)
    x[rng.random((8, STEPS)) < 0.4] = -1
    x[0], x[1, 0], x[2, -1] = -1, -1, -1
    y = keras.ops.convert_to_numpy(model(x, training=False))
    assert load(model).mask_value == -1
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        assert_same(tmp_path / name, x, y)


def test_a_layer_that_does_not_take_the_mask() -> None:
    layers = keras.layers
    inputs = keras.Input((STEPS, FEATURES))
    y = layers.GRU(3, return_sequences=True)(layers.Masking()(inputs))
    model = keras.Model(inputs, layers.LSTM(2)(y))
    config = json.loads(model.to_json())
    config["config"]["layers"][-1]["inbound_nodes"][0]["kwargs"]["mask"] = None
    with pytest.raises(UnsupportedError, match=r"\(LSTM\) does not take the mask of 'masking"):
        read_config(config, 3)


def test_live_model_that_is_refused() -> None:
    inputs = keras.Input((STEPS, FEATURES))
    layers = keras.layers

    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    for model, message in (
        (
            keras.Sequential(
                [
                    keras.Input(batch_shape=(1, STEPS, FEATURES)),
                    layers.Bidirectional(layers.LSTM(2, stateful=True)),
                ]
            ),
            "reads time in reverse",
        ),
        (
            keras.Sequential([inputs, layers.Dense(2), layers.Masking(), layers.LSTM(2)]),
            "first layer only",
        ),
        (
            keras.Sequential(
                [
                    inputs,
                    layers.Masking(),
                    layers.TimeDistributed(layers.Dense(2)),
                    layers.LSTM(2, zero_output_for_mask=True),
                ]
            ),
            "zero_output_for_mask",
        ),
        (
            keras.Sequential(
                [
                    keras.Input(batch_shape=(1, STEPS, FEATURES)),
                    layers.Masking(),
                    layers.LSTM(2, stateful=True),
                ]
            ),
            "stateful=True behind a Masking",
        ),
        (keras.Model(inputs, layers.GRU(2)(inputs, mask=inputs[..., 0] > 0)), "GetItem|Greater"),
        (keras.Model(inputs, layers.LSTM(2, return_sequences=True)(inputs)[:, -1]), "GetItem"),
        (keras.Model(inputs, layers.LSTM(2)(inputs) * 2), "Multiply"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            load(model)
    with pytest.raises(RnnrtlError, match="Own"):
        load(Own())
