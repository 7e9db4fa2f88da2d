"""Keras: what stands around recurrent layers, and models that are no chain."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.conformance.case import FEATURES, STEPS, UNITS, Case, Framework, NotMeaningful, Refused
from tests.conformance.keras import (
    FORMS,
    OTHERS,
    VOCABULARY,
    WORDS,
    WORKS,
    Answer,
    Make,
    after,
    ahead,
    behind,
    chain,
)


def stack(*kinds: str, sequences: bool = False, **options: Any) -> Make:
    """Return a chain of recurrent layers."""

    def make(keras: Any) -> Any:
        last = len(kinds) - 1
        return [
            getattr(keras.layers, kind)(
                UNITS, return_sequences=sequences or number < last, **options
            )
            for number, kind in enumerate(kinds)
        ]

    return make


def both(kind: str = "LSTM", sequences: bool = False, **options: Any) -> Make:
    """Return a chain of one layer in both directions."""
    return lambda k: [
        k.layers.Bidirectional(
            getattr(k.layers, kind)(UNITS, return_sequences=sequences), **options
        )
    ]


def unlike(keras: Any) -> Any:
    layers = keras.layers
    backward = layers.GRU(UNITS, go_backwards=True)
    return [layers.Bidirectional(layers.LSTM(UNITS), backward_layer=backward)]


def timed(name: str, *arguments: Any, **options: Any) -> Make:
    return lambda k: [
        k.layers.GRU(UNITS, return_sequences=True),
        k.layers.TimeDistributed(getattr(k.layers, name)(*arguments, **options)),
    ]


def functional(body: Any) -> Make:
    """Return a functional model of body(keras, input)."""

    def make(keras: Any) -> Any:
        x = keras.Input((STEPS, FEATURES))
        return keras.Model(x, body(keras.layers, x))

    return make


def shared(layers: Any, x: Any) -> Any:
    one = layers.LSTM(FEATURES, return_sequences=True)
    return one(one(x))


def branches(layers: Any, x: Any) -> Any:
    return layers.Concatenate()([layers.LSTM(UNITS)(x), layers.GRU(UNITS)(x)])


def residual(layers: Any, x: Any) -> Any:
    return layers.Add()([x, layers.GRU(FEATURES, return_sequences=True)(x)])


def two_outputs(layers: Any, x: Any) -> Any:
    y = layers.LSTM(UNITS)(x)
    return [layers.Dense(1)(y), layers.Dense(2)(y)]


def nested(keras: Any) -> Any:
    inner = keras.Sequential([keras.Input((STEPS, FEATURES)), keras.layers.GRU(UNITS)])
    return [inner, keras.layers.Dense(2)]


def cells(keras: Any) -> Any:
    return [keras.layers.RNN(keras.layers.LSTMCell(UNITS))]


def stacked_cells(keras: Any) -> Any:
    return [keras.layers.RNN([keras.layers.GRUCell(UNITS), keras.layers.GRUCell(UNITS)])]


def activation(word: str) -> Make:
    return lambda k: [k.layers.LSTM(UNITS), k.layers.Dense(2), k.layers.Activation(word)]


def then(name: str, *arguments: Any, **options: Any) -> Make:
    """Return a chain of an LSTM, a Dense layer and another."""
    return lambda k: [
        k.layers.LSTM(UNITS), k.layers.Dense(2), getattr(k.layers, name)(*arguments, **options)
    ]  # fmt: skip


def convolved(name: str = "", *, last: bool = False) -> Make:
    """Return a chain of two convolutions, another layer and, where that is not the last, a GRU."""
    return lambda k: [
        k.layers.Conv1D(3, 2, activation="tanh"),
        k.layers.Conv1D(2, 2, padding="causal"),
        *([getattr(k.layers, name)()] if name else []),
        *([] if last else [k.layers.GRU(UNITS)]),
    ]


def embedded(**options: Any) -> Make:
    """Return a chain of an Embedding and two recurrent layers."""
    return lambda k: [
        k.layers.Embedding(VOCABULARY, 3, **options),
        k.layers.LSTM(UNITS, return_sequences=True),
        k.layers.GRU(UNITS),
    ]


def no(words: str) -> Refused:
    return Refused(words)


CHAINS: Mapping[str, Mapping[str, tuple[Make, Answer]]] = {
    "stacks": {
        "LSTM, LSTM": (stack("LSTM", "LSTM"), WORKS),
        "GRU, GRU, GRU": (stack("GRU", "GRU", "GRU"), WORKS),
        "LSTM, GRU": (stack("LSTM", "GRU"), WORKS),
        "GRU, LSTM, every step": (stack("GRU", "LSTM", sequences=True), WORKS),
        "SimpleRNN, LSTM": (stack("SimpleRNN", "LSTM"), WORKS),
    },
    "Dense": {
        "after the last state": (after("Dense", 2), WORKS),
        "on each step": (behind("Dense", 2), WORKS),
        "use_bias=False": (after("Dense", 2, use_bias=False), WORKS),
        "before a recurrent layer": (ahead("Dense", 3), WORKS),
        "activation='softmax'": (after("Dense", 2, activation="softmax"), WORKS),
        **{f"activation={word!r}": (after("Dense", 2, activation=word), WORKS) for word in WORDS},
    },
    "Activation": {
        **{f"{word!r} after Dense": (activation(word), WORKS) for word in ("tanh", "softmax")},
        "'relu' after LSTM": (after("Activation", "relu"), WORKS),
        "'softmax' after LSTM": (after("Activation", "softmax"), WORKS),
    },
    "TimeDistributed": {
        "Dense": (timed("Dense", 2), WORKS),
        "Dense, activation='relu'": (timed("Dense", 2, activation="relu"), WORKS),
        "Dropout": (timed("Dropout", 0.2), WORKS),
        "BatchNormalization": (timed("BatchNormalization"), WORKS),
    },
    "other activations": {
        "ReLU": (then("ReLU"), WORKS),
        "ReLU(max_value=1)": (then("ReLU", max_value=1.0), no("max_value=1.0 is not supported")),
        "ELU": (then("ELU"), WORKS),
        "ELU(alpha=0.5)": (then("ELU", 0.5), no("alpha=0.5 is not supported")),
        "Softmax": (then("Softmax"), WORKS),
        "LeakyReLU": (then("LeakyReLU"), no("(LeakyReLU) is not supported")),
        "PReLU": (then("PReLU"), no("(PReLU) is not supported")),
    },
    "training only": {
        "Dropout": (after("Dropout", 0.5), WORKS),
        "SpatialDropout1D": (behind("SpatialDropout1D", 0.5), WORKS),
        "GaussianDropout": (after("GaussianDropout", 0.5), WORKS),
        "GaussianNoise": (ahead("GaussianNoise", 0.5), WORKS),
        "ActivityRegularization": (after("ActivityRegularization", 0.1), WORKS),
    },
    "shapes": {
        "Flatten of the last state": (after("Flatten"), WORKS),
        "Flatten of every step": (behind("Flatten"), WORKS),
        "Reshape to the same": (behind("Reshape", (STEPS, UNITS)), WORKS),
        "Reshape to another": (behind("Reshape", (STEPS * UNITS,)), WORKS),
        "Permute": (behind("Permute", (2, 1)), WORKS),
        "RepeatVector": (after("RepeatVector", 3), WORKS),
        "Cropping1D": (behind("Cropping1D", 1), no("(Cropping1D) is not supported")),
        "ZeroPadding1D": (ahead("ZeroPadding1D", 1), no("(ZeroPadding1D) is not supported")),
        "UpSampling1D": (behind("UpSampling1D", 2), no("(UpSampling1D) is not supported")),
    },
    "normalisation": {
        "BatchNormalization before": (ahead("BatchNormalization"), WORKS),
        "BatchNormalization behind": (after("BatchNormalization"), WORKS),
        "BatchNormalization after Dense": (then("BatchNormalization"), WORKS),
        "LayerNormalization": (after("LayerNormalization"), no("(LayerNormalization)")),
        "Rescaling": (ahead("Rescaling", 0.5, 0.1), WORKS),
    },
    "over the steps": {
        "GlobalAveragePooling1D": (behind("GlobalAveragePooling1D"), WORKS),
        "GlobalMaxPooling1D": (behind("GlobalMaxPooling1D"), WORKS),
        "MaxPooling1D": (behind("MaxPooling1D", 2), no("(MaxPooling1D) is not supported")),
        "AveragePooling1D": (behind("AveragePooling1D", 2), no("(AveragePooling1D) is not")),
        "Masking": (ahead("Masking"), WORKS),
    },
    "Conv1D": {
        "the defaults (valid)": (ahead("Conv1D", 3, 2), WORKS),
        "padding='causal'": (ahead("Conv1D", 3, 2, padding="causal"), WORKS),
        "padding='same'": (ahead("Conv1D", 3, 2, padding="same"), no("still to come")),
        "activation='relu'": (ahead("Conv1D", 3, 2, activation="relu"), WORKS),
        "use_bias=False": (ahead("Conv1D", 3, 2, use_bias=False), WORKS),
        "kernel_size=1": (ahead("Conv1D", 3, 1), WORKS),
        "dilation_rate=2": (ahead("Conv1D", 3, 2, dilation_rate=2), WORKS),
        "groups=2": (ahead("Conv1D", 4, 2, groups=2, padding="causal"), WORKS),
        "strides=2": (ahead("Conv1D", 3, 2, strides=2), no("strides=2 is not supported")),
        "several": (convolved(), WORKS),
        "BatchNormalization behind": (convolved("BatchNormalization"), WORKS),
        "GlobalMaxPooling1D behind": (convolved("GlobalMaxPooling1D", last=True), WORKS),
        "GlobalAveragePooling1D behind": (convolved("GlobalAveragePooling1D", last=True), WORKS),
        "Bidirectional behind": (
            lambda k: [k.layers.Conv1D(3, 2), *both(sequences=True)(k), *both("GRU")(k)], WORKS,
        ),
        "valid, every step": (
            lambda k: [k.layers.Conv1D(3, 2), k.layers.GRU(UNITS, return_sequences=True)],
            no("the first 1 steps have no output"),
        ),
        "behind a recurrent layer": (behind("Conv1D", 3, 2, padding="causal"), WORKS),
        "SeparableConv1D": (ahead("SeparableConv1D", 3, 2), no("(SeparableConv1D) is not")),
    },
    "Embedding": {
        "the defaults": (embedded(), WORKS),
        "mask_zero=True": (embedded(mask_zero=True), WORKS),
        "mask_zero=True, Bidirectional": (
            lambda k: [k.layers.Embedding(VOCABULARY, 3, mask_zero=True), *both()(k)],
            no("and a mask exclude each other"),
        ),
        "SpatialDropout1D, Conv1D behind": (
            lambda k: [
                k.layers.Embedding(VOCABULARY, 3), k.layers.SpatialDropout1D(0.5),
                k.layers.Conv1D(2, 2, activation="relu"), k.layers.GRU(UNITS),
            ], WORKS,
        ),
        "behind a Dense layer": (
            lambda k: [k.layers.Dense(2), k.layers.Embedding(VOCABULARY, 3)],
            no("takes one number a step"),
        ),
    },
    "Bidirectional": {
        **{
            f"{kind}, merge_mode={mode!r}": (both(kind, merge_mode=mode), WORKS)
            for kind, modes in {
                "LSTM": ("concat", "sum", "mul", "ave"), "GRU": ("concat",),
                "SimpleRNN": ("concat",),
            }.items()
            for mode in modes
        },
        "every step": (both(sequences=True), WORKS),
        "other layer backwards": (unlike, WORKS),
    },
    "models": {
        "functional chain": (functional(lambda k, x: k.Dense(2)(k.LSTM(UNITS)(x))), WORKS),
        "a layer used twice": (functional(shared), no("is used more than once")),
        "Concatenate of branches": (functional(branches), no("(Concatenate) is not supported")),
        "Add of a branch": (functional(residual), no("(Add) is not supported")),
        "several outputs": (functional(two_outputs), no("output_layers: only models with one")),
        "a model in a model": (nested, no("a model inside the model")),
        "RNN(LSTMCell)": (cells, WORKS),
        "RNN of stacked cells": (stacked_cells, WORKS),
        "Lambda": (
            lambda k: [k.layers.LSTM(UNITS), k.layers.Lambda(lambda x: x * 2)],
            no("(Lambda) is not supported"),
        ),
    },
}  # fmt: skip


def cases(framework: Framework) -> Iterator[Case]:
    for group, options in CHAINS.items():
        for option, (make, answer) in options.items():
            yield Case(framework, group, option, answer, chain(make, FORMS[framework]))
    for word in OTHERS[framework]:
        refused = Refused(f"activation {word!r} is not supported")
        build = chain(after("Dense", 2, activation=word), FORMS[framework])
        yield Case(framework, "Dense", f"activation={word!r}", refused, build)
    meaningless = NotMeaningful("only training reads them")
    yield Case(framework, "files", "optimizer state, metrics, losses", meaningless)
