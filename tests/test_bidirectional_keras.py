"""Keras' Bidirectional and go_backwards: files made by hand, and Keras itself where it is there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends import load
from rnnrtl.layers import MERGES
from tests import keras_models as made
from tests.frontend_models import FEATURES, UNITS
from tests.networks import reference

os.environ.setdefault("KERAS_BACKEND", "torch")  # read once, when Keras is imported
X = np.random.default_rng(3).standard_normal((3, 6, FEATURES))
NAMES = ("kernel", "recurrent_kernel", "bias")
FIRST, SECOND = made.weights("lstm"), [array * 0.5 for array in made.weights("lstm")]


def both(merge: Any = "concat", layer: Any = None, **options: Any) -> dict[str, Any]:
    layer = layer or made.entry("LSTM", made.LSTM)
    return made.entry(
        "Bidirectional", {"name": "b", "layer": layer, "merge_mode": merge, **options}
    )


def archive(folder: Path, *layers: dict[str, Any], **arrays: list[Any]) -> Path:
    data = made.numbered(**arrays)
    made.write_archive(folder / "model.keras", made.sequential(*layers), data)
    return folder / "model.keras"


def arrays_of(weights: list[Any]) -> dict[str, Any]:
    return dict(zip(NAMES, weights, strict=True))


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("listed", [False, True])
def test_files(tmp_path: Path, merge: str, listed: bool) -> None:
    if listed:
        path = tmp_path / "model.h5"
        keys = [f"{way}_rnn/{name}:0" for way in ("forward", "backward") for name in NAMES]
        arrays = dict(zip(keys, [*FIRST, *SECOND], strict=True))
        made.write_listed(path, made.sequential(both(merge)), {"b": arrays})
    else:
        path = archive(
            tmp_path,
            both(merge),
            **{"bidirectional/forward_layer": FIRST, "bidirectional/backward_layer": SECOND},
        )
    found = load(path)
    assert [part.name for part in found.parts] == ["forward_rnn", "backward_rnn"]
    same = load(
        {
            "b": {"forward": "f", "backward": "g", "merge": merge},
            "f": arrays_of(FIRST),
            "g": arrays_of(SECOND),
        }
    )
    np.testing.assert_array_equal(found.predict(X), same.predict(X))
    np.testing.assert_allclose(found.predict(X), reference(found, X), rtol=0, atol=1e-12)


def test_a_backward_layer_of_its_own(tmp_path: Path) -> None:
    gru = made.entry("GRU", {**made.GRU, "name": "other", "go_backwards": True})
    path = archive(
        tmp_path,
        both(backward_layer=gru),
        **{
            "bidirectional/forward_layer": FIRST,
            "bidirectional/backward_layer": made.weights("gru", rows=2),
        },
    )
    assert [type(part).__name__ for part in load(path).parts] == ["LSTM", "GRU"]


def test_go_backwards(tmp_path: Path) -> None:
    options = {**made.LSTM, "return_sequences": True}
    plain = load(archive(tmp_path, made.entry("LSTM", options), lstm=FIRST)).predict(X[:, ::-1])
    reverse = made.entry("LSTM", {**options, "go_backwards": True})
    found = load(archive(tmp_path, reverse, lstm=FIRST))
    np.testing.assert_array_equal(found.predict(X), plain)


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (both(None), UnsupportedError, "merge_mode=None gives two outputs"),
        (both("max"), UnsupportedError, "merge 'max' is not supported"),
        (both(["sum"]), ModelError, "merge_mode must be one word"),
        (
            both(layer=made.entry("LSTM", {**made.LSTM, "go_backwards": True})),
            UnsupportedError,
            r"go_backwards=True of layer 'forward_rnn'",
        ),
        (both(layer=made.entry("Dense", made.DENSE)), UnsupportedError, r"\(Dense\), which is not"),
        (
            both(backward_layer=made.entry("LSTM", {**made.LSTM, "name": "c"})),
            UnsupportedError,
            "go_backwards=False of layer 'c'",
        ),
        (both(layer=3), ModelError, "a layer is 3"),
        (both(new_option=2), UnsupportedError, "new_option=2 is not supported"),
    ],
)
def test_refused(tmp_path: Path, layer: dict[str, Any], error: Any, message: str) -> None:
    arrays = {"bidirectional/forward_layer": FIRST, "bidirectional/backward_layer": SECOND}
    with pytest.raises(error, match=message):
        load(archive(tmp_path, layer, **arrays))


def test_weights_of_one_direction_only(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'forward_rnn' \(LSTM\) has the weights"):
        load(archive(tmp_path, both(), **{"bidirectional/forward_layer": FIRST}))


Made = Callable[[Any], list[Any]]


def merging(merge: str, *, sequences: bool) -> Made:
    return lambda k: [
        k.Bidirectional(k.LSTM(UNITS, return_sequences=sequences), merge_mode=merge),
        k.Dense(2),
    ]


LIVE: dict[str, Made] = {
    **{
        f"{merge}, {sequences}": merging(merge, sequences=sequences)
        for merge in MERGES
        for sequences in (False, True)
    },
    "stacked": lambda k: [
        k.Bidirectional(k.GRU(3, return_sequences=True), merge_mode="sum"),
        k.Dense(4, activation="tanh"),
        k.Bidirectional(k.GRU(2, reset_after=False)),
    ],
    "another backward layer": lambda k: [
        k.Bidirectional(k.LSTM(4, use_bias=False), backward_layer=k.GRU(4, go_backwards=True))
    ],
    "backwards": lambda k: [
        k.LSTM(4, go_backwards=True, return_sequences=True),
        k.GRU(3, go_backwards=True),
    ],
}


@pytest.mark.parametrize("case", LIVE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_keras(tmp_path: Path, case: str) -> None:
    keras: Any = pytest.importorskip("keras")
    rng = np.random.default_rng(1)
    model = keras.Sequential([keras.Input((6, FEATURES)), *LIVE[case](keras.layers)])
    model.set_weights([rng.normal(0, 0.6, each.shape) for each in model.get_weights()])
    y = keras.ops.convert_to_numpy(model(X.astype(np.float32), training=False))
    sources: list[Any] = [model]
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        sources.append(tmp_path / name)
    for source in sources:
        network = load(source)
        assert network.steps == 6
        np.testing.assert_allclose(network.predict(X), y, rtol=0, atol=2e-6)
