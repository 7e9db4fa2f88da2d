"""Normalisations beside layers: what each framework computes, folded into weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.design import Design
from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends import load
from rnnrtl.frontends.keras_config import read_config
from rnnrtl.frontends.keras_layers import build
from rnnrtl.generation import generate
from rnnrtl.network import Network
from tests import float_reference as reference
from tests import keras_models as made
from tests.frontend_models import FEATURES, UNITS, X, by_gate, keras

RNG = np.random.default_rng(7)


def statistics(features: int) -> dict[str, Any]:
    return {
        "gamma": RNG.normal(1, 0.3, features), "beta": RNG.normal(0, 0.5, features),
        "mean": RNG.normal(0, 1, features), "variance": RNG.uniform(0.2, 3, features),
    }  # fmt: skip


IN, OUT, LAST = statistics(FEATURES), statistics(UNITS), statistics(2)


def normal(x: Any, given: dict[str, Any], epsilon: float = 1e-3) -> Any:
    deviation = np.sqrt(given["variance"] + epsilon)
    return given["gamma"] * (x - given["mean"]) / deviation + given["beta"]


def weights(given: dict[str, Any]) -> dict[str, Any]:
    return {f"norm/{number}": array for number, array in enumerate(given.values())}


def cell(x: Any, kind: str = "lstm", **options: Any) -> Any:
    """Return the last hidden state of the recurrent layer of `keras`, by the reference."""
    rows = 2 if options.get("reset_after") else 1
    arrays = keras(kind, bias_rows=rows)
    order = {"lstm": "ifgo", "gru": "zrn"}[kind]
    biases = np.reshape(arrays["bias"], (rows, -1))
    stacked = [arrays["kernel"], arrays["recurrent_kernel"], *biases]
    run: Any = {"lstm": reference.lstm, "gru": reference.gru}[kind]
    return run(x, *(by_gate(each, order) for each in stacked), **options)[:, -1]


def head(x: Any) -> Any:
    kernel, bias = made.dense_weights()
    return x @ kernel + bias


def bn(name: str, **options: Any) -> dict[str, Any]:
    return made.entry(
        "BatchNormalization", {"name": name, "axis": [-1], "epsilon": 1e-3, **options}
    )


def layer(kind: str, name: str, **options: Any) -> dict[str, Any]:
    return made.entry(kind, {"name": name, **options})


RELU = layer("ReLU", "relu")
MEAN = {"mean": [1.0, -2.0, 0.5], "variance": [0.5, 2.0, 4.0]}
SCALED = layer("Rescaling", "a", scale=0.25, offset=[1.0, 2.0, 3.0])
KERAS: dict[str, tuple[list[Any], dict[str, Any], Any]] = {
    "before a cell": ([bn("a"), made.RNN], {"a": IN}, cell(normal(X, IN))),
    "between": ([made.RNN, bn("a"), made.HEAD], {"a": OUT}, head(normal(cell(X), OUT))),
    "behind a cell": ([made.RNN, bn("a")], {"a": OUT}, normal(cell(X), OUT)),
    "behind a dense layer": (
        [made.RNN, made.HEAD, bn("a"), RELU], {"a": LAST},
        np.maximum(normal(head(cell(X)), LAST), 0),
    ),
    "behind an activation": (
        [made.RNN, bn("a"), RELU, bn("b"), made.HEAD], {"a": OUT, "b": OUT},
        head(normal(np.maximum(normal(cell(X), OUT), 0), OUT)),
    ),
    "two in a row": ([bn("a"), bn("b"), made.RNN], {"a": IN, "b": IN},
                     cell(normal(normal(X, IN), IN))),
    "neither scale nor centre": (
        [bn("a", scale=False, center=False), made.RNN],
        {"a": {key: IN[key] for key in ("mean", "variance")}},
        cell(normal(X, {**IN, "gamma": 1, "beta": 0})),
    ),
    "on each step": (
        [layer("TimeDistributed", "a", layer=bn("x", axis=[1])), made.RNN], {"a": IN},
        cell(normal(X, IN)),
    ),
    "given statistics": (
        [layer("Normalization", "a", axis=[-1], **MEAN), made.RNN], {},
        cell((X - np.array(MEAN["mean"])) / np.sqrt(MEAN["variance"])),
    ),
    "statistics of data": (
        [layer("Normalization", "a", axis=-1), made.RNN],
        {"a": {"mean": IN["mean"], "variance": IN["variance"], "count": np.array(9)}},
        cell((X - IN["mean"]) / np.sqrt(IN["variance"])),
    ),
    "one number, and no variance": (
        [layer("Normalization", "a", axis=None, mean=0.5, variance=0.0, invert=False), made.RNN],
        {}, cell((X - 0.5) / 1e-7),
    ),
    "inverse": (
        [made.RNN, made.HEAD, layer("Normalization", "a", mean=[3.0, 4.0], variance=[4.0, 9.0],
                                    invert=True)],
        {}, head(cell(X)) * [2, 3] + [3, 4],
    ),
    "rescaling": ([SCALED, made.RNN], {}, cell(0.25 * X + [1, 2, 3])),
}  # fmt: skip


def of_keras(layers: list[Any], arrays: dict[str, Any]) -> Network:
    given = {
        "rnn": dict(zip("012", made.weights("lstm"), strict=True)),
        "head": dict(zip("01", made.dense_weights(), strict=True)),
        **{name: weights(values) for name, values in arrays.items()},
    }
    names = {each["config"]["name"] for each in layers}
    config = read_config(made.sequential(*layers), 3)
    return build(config, {name: given[name] for name in given if name in names})


@pytest.mark.parametrize("case", KERAS)
def test_keras(case: str) -> None:
    layers, arrays, want = KERAS[case]
    scale = max(1.0, np.abs(want).max())
    np.testing.assert_allclose(
        of_keras(layers, arrays).predict(X), want, rtol=0, atol=1e-12 * scale
    )


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_takes_it_outside_the_reset(tmp_path: Path, reset_after: bool) -> None:
    rnn = made.entry("GRU", {**made.GRU, "reset_after": reset_after})
    data = made.numbered(
        gru=made.weights("gru", rows=1 + reset_after), batch_normalization=list(IN.values())
    )
    made.write_archive(tmp_path / "model.keras", made.sequential(bn("norm"), rnn), data)
    want = cell(normal(X, IN), "gru", reset_after=reset_after)
    found = load(tmp_path / "model.keras").predict(X)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-12)


def test_names_of_keras_in_h5(tmp_path: Path) -> None:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    arrays = {
        "norm": {f"norm/{name}:0": IN[key] for name, key in zip(names, IN, strict=True)},
        "rnn": {f"rnn/lstm_cell/{name}:0": array for name, array in keras("lstm").items()},
    }
    made.write_listed(tmp_path / "model.h5", made.sequential(bn("norm"), made.RNN), arrays)
    np.testing.assert_allclose(
        load(tmp_path / "model.h5").predict(X), cell(normal(X, IN)), rtol=0, atol=1e-12
    )


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "of steps": ([bn("a", axis=[1]), made.RNN], {"a": IN}, r"'a' .*axis=\[1\] is not supported"),
    "of data, by step": (
        [layer("Normalization", "a", axis=[1, 2]), made.RNN], {"a": IN}, r"axis=\[1, 2\]",
    ),
    "renormalised": ([bn("a", renorm=True), made.RNN], {"a": IN}, "renorm=True"),
    "layer norm": ([layer("LayerNormalization", "a"), made.RNN], {}, "as it runs, which no"),
    "other length": ([bn("a"), made.RNN], {"a": OUT}, "'rnn': the normalisation .* of 4 features"),
    "other lengths": (
        [bn("a"), made.RNN], {"a": {**IN, "mean": OUT["mean"]}}, r"differ in shape.*beta \(3,\)",
    ),
    "no arrays": ([bn("a"), made.RNN], {"a": {}}, "'a' .*has the weights none, expected gamma"),
    "epsilon": ([bn("a", epsilon="x"), made.RNN], {"a": IN}, "epsilon must be a number, not 'x'"),
    "negative variance": (
        [bn("a"), made.RNN], {"a": {**IN, "variance": -IN["variance"]}}, "has the scale nan",
    ),
    "a number for each step": (
        [layer("Rescaling", "a", scale=[[1.0], [2.0]], offset=0.0), made.RNN], {}, "shape .2, 1.:",
    ),
    "nothing else": ([layer("Rescaling", "a", scale=2.0, offset=0.0)], {}, "how many features 'a'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    layers, arrays, message = REFUSED[case]
    with pytest.raises(RnnrtlError, match=message) as caught:
        of_keras(layers, arrays)
    assert "\n" not in str(caught.value)


def test_normalised_input() -> None:
    arrays = {"rnn": keras("lstm"), "head": dict(zip(("kernel", "bias"), made.dense_weights(),
                                                      strict=True))}  # fmt: skip
    plain = load(arrays)
    scale = np.sqrt(IN["variance"])
    for mean, deviation in ((IN["mean"], scale), (0.5, [1.0, -2.0, 3.0]), (2, 4)):
        found = load(arrays, normalise=(mean, deviation), steps=5)
        want = plain.predict((X - np.asarray(mean)) / np.asarray(deviation))
        np.testing.assert_allclose(found.predict(X), want, rtol=0, atol=1e-12)
        assert found.steps == 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, r"must be \(mean, scale\), not 3"),
        ((1, 2, 3), r"must be \(mean, scale\)"),
        (([1, 2], 1), r"mean has shape \(2,\), expected one number or .* 3 features"),
        ((0, [[1, 2, 3]]), r"scale has shape \(1, 3\)"),
        ((0, [1, 0, 3]), "scale is 0 for feature 1"),
        ((0, np.inf), "scale is inf"),
        (([0, np.nan, 0], 1), "mean is nan"),
        (("x", 1), "normalise: mean"),
    ],
)
def test_bad_normalisation(given: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load({"rnn": keras("lstm")}, normalise=given)
    assert "\n" not in str(caught.value)


def test_trained_formats_are_not_changed() -> None:
    arrays = {"rnn": keras("lstm"), "precision": '{"*": "fixed<8,3>"}'}
    with pytest.raises(UnsupportedError, match="normalise its input instead"):
        load(arrays, normalise=(0, 2))


def test_hardware() -> None:
    layers, arrays, _ = KERAS["behind an activation"]
    network = of_keras([bn("c"), *layers], {**arrays, "c": IN})
    assert [each.name for each in network.layers] == ["rnn", "relu", "head"]
    design: Design = generate(network, "fixed<12,4>")
    x = np.clip(X, -3, 3)
    found = design.simulate(x, simulator="verilator")
    np.testing.assert_array_equal(found.outputs, design.predict(x))
    assert np.abs(design.predict(x) - network.predict(x)).max() < 0.1
