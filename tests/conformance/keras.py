"""Keras 3, and what Keras 2 writes: recurrent layers with every option."""

import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance.case import (
    BATCH,
    FEATURES,
    STEPS,
    UNITS,
    Build,
    Built,
    Case,
    Framework,
    NotMeaningful,
    Refused,
    Source,
    Works,
)

VOCABULARY = 5

Answer = Works | Refused | NotMeaningful
Make = Callable[[Any], Any]  # keras -> layers of a chain, or a model

Form = Callable[[Any, Path], Source]

WORKS = Works()
BOTH: tuple[Framework, ...] = ("Keras 3", "Keras 2 file")


def built(make: Make, folder: Path, form: Form) -> Built:
    """Make a model, and write or keep it in a form."""
    os.environ.setdefault("KERAS_BACKEND", "torch")  # read once, when Keras is imported
    keras: Any = import_module("keras")
    old = keras.__version__.startswith("2.")
    model = make(keras)
    numbers = isinstance(model, list) and isinstance(model[0], keras.layers.Embedding)
    if isinstance(model, list):
        # Stateful layers want to know the batch.
        shape = {"shape": (STEPS,) if numbers else (STEPS, FEATURES), "batch_size": BATCH}
        model = keras.Sequential([keras.Input(**shape), *model])
    model.set_weights([seeded(number, each) for number, each in enumerate(model.weights)])
    rng = np.random.default_rng(2)
    x: Any = rng.standard_normal((BATCH, STEPS, FEATURES)).astype(np.float32)
    if numbers:
        x = rng.integers(0, VOCABULARY, (BATCH, STEPS))
        x[0, 1] = 0
    if any("mask" in each.name for each in model.layers):
        x[0, 1] = 0

    def run() -> Any:
        y = model(x, training=False)
        y = y[0] if isinstance(y, list | tuple) else y
        # Keras 3 computes in part in float32 where a layer is of float64.
        return np.asarray(y if old else keras.ops.convert_to_numpy(y), np.float32)

    return Built((form(model, folder),), x[..., None] if numbers else x, run)


def saved(name: str) -> Form:
    """Return the writing of a whole model."""

    def write(model: Any, folder: Path) -> Source:
        model.save(folder / name)
        return Source(folder / name)

    return write


def seeded(number: int, weight: Any) -> Any:
    """Return random weights, seeded by their place; variances are positive."""
    rng = np.random.default_rng(number)
    values = rng.normal(0, 0.3, tuple(weight.shape))
    return values**2 + 0.5 if "variance" in weight.name else values


def chain(make: Make, form: Form) -> Build:
    return lambda folder: built(make, folder, form)


def layer(kind: str, **options: Any) -> Make:
    """Return a chain of one recurrent layer."""
    return lambda keras: [getattr(keras.layers, kind)(UNITS, **options)]


def after(name: str, *arguments: Any, **options: Any) -> Make:
    """Return a chain of an LSTM's last state and a layer."""
    return lambda k: [k.layers.LSTM(UNITS), getattr(k.layers, name)(*arguments, **options)]


def behind(name: str, *arguments: Any, **options: Any) -> Make:
    """Return a chain of every step of a GRU and a layer."""
    return lambda k: [
        k.layers.GRU(UNITS, return_sequences=True), getattr(k.layers, name)(*arguments, **options)
    ]  # fmt: skip


def ahead(name: str, *arguments: Any, **options: Any) -> Make:
    """Return a chain of a layer and a GRU."""
    return lambda k: [getattr(k.layers, name)(*arguments, **options), k.layers.GRU(UNITS)]


FORMS: Mapping[Framework, Form] = {
    "Keras 3": saved("model.keras"),
    "Keras 2 file": saved("model.h5"),
}
WORDS = ("linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "softsign", "elu", "softplus",
         "exponential")  # fmt: skip
OTHERS = {"Keras 3": ("selu", "gelu", "silu", "relu6", "leaky_relu", "mish", "hard_silu"),
          "Keras 2 file": ("selu", "gelu", "swish")}  # fmt: skip

# Options of a recurrent layer -> what is to be expected.
OPTIONS: Mapping[str, tuple[Mapping[str, Any], Answer]] = {
    "the defaults": ({}, WORKS),
    "return_sequences=True": ({"return_sequences": True}, WORKS),
    "use_bias=False": ({"use_bias": False}, WORKS),
    "unroll=True": ({"unroll": True}, WORKS),
    "dropout=0.2": ({"dropout": 0.2}, WORKS),
    "recurrent_dropout=0.2": ({"recurrent_dropout": 0.2}, WORKS),
    "kernel_regularizer='l2'": ({"kernel_regularizer": "l2"}, WORKS),
    "dtype='float64'": ({"dtype": "float64"}, WORKS),
    "go_backwards=True": ({"go_backwards": True}, WORKS),
    "stateful=True": ({"stateful": True}, WORKS),
}


# Keras 3 writes the states among the call's arguments, Keras 2 among its inputs.
FROM_STATE: Mapping[Framework, Answer] = {
    "Keras 3": Refused("is called with initial_state="),
    "Keras 2 file": Refused("takes several inputs, such as an initial state"),
}


def recurrent(framework: Framework) -> Iterator[Case]:
    """Yield the options of the three layers."""

    def case(kind: str, option: str, answer: Answer, make: Make) -> Case:
        return Case(framework, kind, option, answer, chain(make, FORMS[framework]))

    for kind in ("LSTM", "GRU", "SimpleRNN"):
        plain = kind == "SimpleRNN"
        for option, (given, answer) in OPTIONS.items():
            yield case(kind, option, answer, layer(kind, **given))
        for number in () if plain else (1, 2):
            make = layer(kind, implementation=number)
            yield case(kind, f"implementation={number}", WORKS, make)
        if kind == "LSTM":
            grows = NotMeaningful("its states grow beyond float32 within a few steps")
            yield Case(framework, kind, "activation='exponential'", grows)
        words = {"LSTM": WORDS[:-1], "GRU": WORDS, "SimpleRNN": ("relu",)}[kind]
        for word in words:
            yield case(kind, f"activation={word!r}", WORKS, layer(kind, activation=word))
        for word in OTHERS[framework] if kind == "LSTM" else ():
            refused = Refused(f"activation {word!r} is not supported")
            yield case(kind, f"activation={word!r}", refused, layer(kind, activation=word))
        if plain:
            continue
        for word in ("sigmoid", "hard_sigmoid"):
            make = layer(kind, recurrent_activation=word)
            yield case(kind, f"recurrent_activation={word!r}", WORKS, make)
        for word in ("relu", "tanh", "linear"):
            refused = Refused(f"activation {word!r} is not supported")
            make = layer(kind, recurrent_activation=word)
            yield case(kind, f"recurrent_activation={word!r}", refused, make)
    yield case("LSTM", "unit_forget_bias=False", WORKS, layer("LSTM", unit_forget_bias=False))
    for flag in (True, False):
        yield case("GRU", f"reset_after={flag}", WORKS, layer("GRU", reset_after=flag))
        make = layer("GRU", reset_after=flag, use_bias=False)
        yield case("GRU", f"reset_after={flag}, use_bias=False", WORKS, make)
        make = layer("GRU", reset_after=flag, recurrent_activation="hard_sigmoid")
        yield case("GRU", f"reset_after={flag}, hard_sigmoid", WORKS, make)
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        yield case(kind, "return_state=True, state not used", WORKS, _with_state(kind, 1))
        yield case(kind, "return_state=True, states beside the output", WORKS, _with_state(kind, 3))
        answer = Refused("a state, which is not given on within a model")
        yield case(kind, "return_state=True, dense layer of a state", answer, _of_state(kind))
        answer = FROM_STATE[framework]
        yield case(kind, "initial_state of another layer", answer, _from_state(kind))


def _with_state(kind: str, outputs: int) -> Make:
    """Return the making of a model that gives so many of a layer's output and states."""

    def make(keras: Any) -> Any:
        x = keras.Input((STEPS, FEATURES))
        y = getattr(keras.layers, kind)(UNITS, return_sequences=True, return_state=True)(x)
        return keras.Model(x, y[:outputs] if outputs > 1 else y[0])

    return make


def _of_state(kind: str) -> Make:
    def make(keras: Any) -> Any:
        x = keras.Input((STEPS, FEATURES))
        y = getattr(keras.layers, kind)(UNITS, return_state=True)(x)
        return keras.Model(x, keras.layers.Dense(UNITS)(y[-1]))

    return make


def _from_state(kind: str) -> Make:
    def make(keras: Any) -> Any:
        x = keras.Input((STEPS, FEATURES))
        _, *states = getattr(keras.layers, kind)(UNITS, return_state=True)(x)
        return keras.Model(x, getattr(keras.layers, kind)(UNITS)(x, initial_state=states))

    return make


def cases() -> list[Case]:
    from tests.conformance import keras_chains, keras_files

    found = []
    for framework in BOTH:
        found += [*recurrent(framework), *keras_chains.cases(framework)]
    return [*found, *keras_files.cases()]
