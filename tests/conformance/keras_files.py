"""Keras: the forms in which a model comes, and what single versions have."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.case import UNITS, Case, Framework, Refused, Source
from tests.conformance.keras import FORMS, WORKS, Form, chain, layer, saved


def in_memory(model: Any, folder: Path) -> Source:
    return Source(model)


def weights(name: str) -> Form:
    """Return the writing of weights alone, and of the model's JSON beside them."""

    def write(model: Any, folder: Path) -> Source:
        model.save_weights(folder / name)
        (folder / "model.json").write_text(model.to_json())
        return Source(folder / name, {"architecture": folder / "model.json"})

    return write


def without_json(model: Any, folder: Path) -> Source:
    return Source(weights("only.weights.h5")(model, folder).what)


FILES: Mapping[Framework, Mapping[str, Form]] = {
    "Keras 3": {
        ".keras": saved("model.keras"),
        ".h5": saved("model.h5"),
        "weights in .h5, architecture in JSON": weights("only.weights.h5"),
        "keras.Model in memory": in_memory,
    },
    "Keras 2 file": {
        ".h5": saved("model.h5"),
        ".hdf5": saved("model.hdf5"),
        ".keras of Keras 2.12 and later": saved("model.keras"),
        "weights in .h5, architecture in JSON": weights("only.h5"),
        "tf.keras.Model in memory": in_memory,
    },
}


def tagger(keras: Any) -> Any:
    layers = keras.layers
    return [
        layers.LSTM(UNITS, return_sequences=True), layers.GRU(UNITS),
        layers.Dense(3, activation="relu"), layers.Dense(1, activation="sigmoid"),
    ]  # fmt: skip


def cases() -> Iterator[Case]:
    for framework, forms in FILES.items():
        for option, form in forms.items():
            yield Case(framework, "files", option, WORKS, chain(tagger, form))
        option, refused = "weights in .h5, no JSON", Refused("architecture")
        yield Case(framework, "files", option, refused, chain(tagger, without_json))
    for kind in ("LSTM", "GRU"):
        refused = Refused("time_major=True is not supported")
        build = chain(layer(kind, time_major=True), FORMS["Keras 2 file"])
        yield Case("Keras 2 file", kind, "time_major=True", refused, build)
