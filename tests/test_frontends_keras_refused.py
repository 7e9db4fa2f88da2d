"""Keras models that are refused: each says in one line with which words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import RnnrtlError, UnsupportedError
from rnnrtl.frontends import load
from rnnrtl.frontends.keras_config import read_config
from rnnrtl.frontends.keras_layers import build
from tests import keras_models as made
from tests.keras_models import ARRAYS, archive, head, lstm


def history(name: str, node: int = 0, tensor: int = 0) -> dict[str, Any]:
    return {"config": {"keras_history": [name, node, tensor]}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    **{
        key: (
            made.sequential(lstm(**{key: True}), made.HEAD),
            rf"'rnn' \(LSTM\): .*{key}=True is not",
        )
        for key in ("time_major", "new_option")
    },
    "some stateful": (
        made.sequential(
            lstm(stateful=True, return_sequences=True),
            made.entry("LSTM", {**made.LSTM, "name": "second"}),
        ),
        r"'second' \(LSTM\): stateful=False is not supported where other",
    ),
    "quantised": (
        made.sequential(lstm(dtype={"config": {"name": "int8_from_float32"}}), made.HEAD),
        "quantised",
    ),
    "own activation": (
        made.sequential(lstm(activation={"class_name": "function", "config": "f"})),
        "Keras' own",
    ),
    "unknown activation": (
        made.sequential(lstm(activation="gelu"), made.HEAD),
        "'gelu' is not",
    ),
    "no gate": (
        made.sequential(lstm(recurrent_activation="relu"), made.HEAD),
        "'relu' is not",
    ),
    **{
        kind: (
            made.sequential(made.entry(kind, {"name": "x"}), made.RNN, made.HEAD),
            f"'x' .{kind}. is not",
        )
        for kind in (
            "StackedRNNCells",
            "Attention",
            "LayerNormalization",
            "Lambda",
            "CuDNNGRU",
            "Conv2D",
            "Sequential",
            "GetItem",
            "LeakyReLU",
        )
    },
    "own cell": (
        made.sequential(
            made.of_cells(made.entry("LSTMCell", made.LSTM, registered_name="mine>LSTMCell"))
        ),
        "mine>LSTMCell",
    ),
    "no cell": (
        made.sequential(made.of_cells(made.entry("ConvLSTM2DCell", made.LSTM))),
        r"'rnn' \(RNN\) holds layer 'rnn' \(ConvLSTM2DCell\): only SimpleRNNCell, LSTMCell, GRU",
    ),
    "stack in a stack": (
        made.sequential(
            made.of_cells(
                made.entry(
                    "StackedRNNCells",
                    {"name": "s", "cells": [made.entry("StackedRNNCells", {"name": "t"})]},
                )
            )
        ),
        r"holds layer 't' \(StackedRNNCells\)",
    ),
    "own class": (
        made.sequential({**made.RNN, "module": "builtins", "registered_name": "mine>LSTM"}),
        "mine>LSTM",
    ),
    "own model": ({**made.sequential(), "class_name": "Tagger"}, "'Tagger' is not read"),
    "axes": (
        made.sequential(made.RNN, head("Reshape", target_shape=[1, 1, -1])),
        r"only \(steps, features\)",
    ),
    "clipped relu": (
        made.sequential(made.RNN, made.HEAD, head("ReLU", max_value=6)),
        "max_value=6",
    ),
    "softmax of steps": (
        made.sequential(lstm(return_sequences=True), made.HEAD, head("Softmax", axis=1)),
        "axis=1",
    ),
    "convolution of images": (
        {
            "class_name": "Sequential",
            "config": [made.entry("LSTM", {"name": "a", "batch_shape": [1, 2, 3, 4]})],
        },
        r"shape \[1, 2, 3, 4\]",
    ),
    "initial state": (
        made.functional({"rnn": [{"args": [history("input")], "kwargs": {"initial_state": [1]}}]}),
        r"initial_state=.* state_ports=True",
    ),
    "initial state of Keras 2": (
        made.functional({"rnn": [[["input", 0, 0, {}], ["input", 0, 0, {}]]]}),
        r"several inputs.* state_ports=True",
    ),
    "in training": (
        made.functional({"rnn": [{"args": [history("input")], "kwargs": {"training": True}}]}),
        "training=True",
    ),
    "several inputs": (
        made.functional({"head": [{"args": [[history("rnn"), history("rnn")]], "kwargs": {}}]}),
        "several inputs",
    ),
    "used twice": (
        made.functional({"rnn": [{"args": [history("input")], "kwargs": {}}] * 2}),
        "more than once",
    ),
    "other output": (
        made.functional({"head": [{"args": [history("rnn", 0, 1)], "kwargs": {}}]}),
        r"a state, which is not given on .* state_ports=True",
    ),
    "second use": (
        made.functional({"head": [{"args": [history("rnn", 1)], "kwargs": {}}]}),
        "only output of",
    ),
    "branch": (
        made.functional({"head": [{"args": [history("input")], "kwargs": {}}]}),
        "no chain from",
    ),
    "several outputs": (
        made.functional({}, output_layers=[["rnn", 0, 0], ["head", 0, 0]]),
        "2 output_layers",
    ),
    "a state first": (
        made.functional({}, output_layers=[["rnn", 0, 1], ["rnn", 0, 2]]),
        "a state, which is not given on",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    config, message = REFUSED[case]
    with pytest.raises(UnsupportedError, match=message) as caught:
        build(read_config(config, 3), ARRAYS)
    assert "\n" not in str(caught.value)


def test_refused_file(tmp_path: Path) -> None:
    config, message = REFUSED["time_major"]
    with pytest.raises(UnsupportedError, match=rf"model\.keras: .*{message}"):
        load(archive(tmp_path, config))


BAD: dict[str, tuple[Any, dict[str, list[Any]], str]] = {
    "no cell": (made.sequential(made.of_cells(None)), {}, "a layer is None"),
    "no cells": (
        made.sequential(made.of_cells(made.entry("StackedRNNCells", {"name": "s", "cells": []}))),
        {},
        "its cells are",
    ),
    "no JSON": ("{", {}, "config.json is not JSON"),
    "deep": ("[" * 100_000, {}, "config.json is nested too deep"),
    "deep, but not too deep": (
        '{"class_name": "Sequential", "config": {"layers": [' + "[" * 900 + "]" * 903,
        {},
        "not JSON",
    ),
    "list": ([], {}, "expected a JSON object"),
    "no layers": (made.sequential() | {"config": {}}, {}, "has no layers"),
    "layer no object": ({"class_name": "Sequential", "config": [[[[]]]]}, {}, "a layer is"),
    "no name": (
        made.sequential(made.entry("LSTM", {})),
        {},
        "a layer has class 'LSTM' and name None",
    ),
    "name twice": (made.sequential(made.RNN, made.RNN), {}, "two layers are called 'rnn'"),
    "units": (made.sequential(lstm(units=-3)), {}, "units must be a positive integer, not -3"),
    "flag": (
        made.sequential(lstm(return_sequences="no")),
        {},
        "return_sequences must be true or",
    ),
    "other units": (made.sequential(lstm(units=5), made.HEAD), {}, "its kernel has shape"),
    "other cell": (
        made.sequential(made.RNN),
        {"lstm": made.weights("gru")},
        "its kernel has shape",
    ),
    "bias of another kind": (
        made.sequential(made.entry("GRU", made.GRU)),
        {"gru": made.weights("gru")},
        "its bias has shape",
    ),
    "too few arrays": (
        made.sequential(made.RNN),
        {"lstm": made.weights("lstm")[:2]},
        "has the weights 0, 1, expected",
    ),
    "no arrays": (
        made.sequential(made.RNN),
        {"dense": made.dense_weights()},
        "has the weights none",
    ),
    "integers": (
        made.sequential(made.RNN),
        {"lstm": [np.ones((3, 16), int), *made.weights("lstm")[1:]]},
        "holds int64",
    ),
    "NaN": (
        made.sequential(made.RNN),
        {"lstm": [*made.weights("lstm")[:2], np.full(16, np.nan)]},
        "gate i is nan",
    ),
    "reshape": (
        made.sequential(made.RNN, head("Reshape", target_shape=[2, 5])),
        {"lstm": made.weights("lstm")},
        r"target_shape=\[2, 5\] does not fit",
    ),
    "permute": (
        made.sequential(made.RNN, head("Permute", dims=[2, 1])),
        {"lstm": made.weights("lstm")},
        "does not fit 1 axes",
    ),
    "repeat a sequence": (
        made.sequential(lstm(return_sequences=True), head("RepeatVector", n=3)),
        {"lstm": made.weights("lstm")},
        "needs a vector, but what comes before it gives a sequence",
    ),
    "vector for a cell": (
        made.sequential(made.RNN, lstm(name="b")),
        {"lstm": made.weights("lstm")},
        "needs a sequence",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad(tmp_path: Path, case: str) -> None:
    config, arrays, message = BAD[case]
    with pytest.raises(RnnrtlError, match=message) as caught:
        load(archive(tmp_path, config, **arrays))
    assert "\n" not in str(caught.value)
