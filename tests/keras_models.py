"""Keras models as files, made by hand: configurations and arrays in the layout of each version."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.frontend_models import FEATURES, UNITS, keras

LSTM = {
    "name": "rnn", "units": UNITS, "activation": "tanh", "recurrent_activation": "sigmoid",
    "use_bias": True, "return_sequences": False,
}  # fmt: skip
GRU = {**LSTM, "reset_after": True}
DENSE = {"name": "head", "units": 2, "activation": "linear", "use_bias": True}


def weights(cell: str, *, rows: int = 1) -> list[Any]:
    """Return the arrays of a recurrent layer in Keras' order."""
    arrays = keras(cell, bias_rows=rows)
    return [arrays[name] for name in ("kernel", "recurrent_kernel", "bias") if name in arrays]


def dense_weights() -> list[Any]:
    rng = np.random.default_rng(4)
    return [rng.standard_normal((UNITS, 2)), rng.standard_normal(2)]


def entry(kind: str, options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": options, "module": "keras.layers", **more}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    given = {"name": "input", "batch_shape": [None, 6, FEATURES]}
    return {
        "class_name": "Sequential", "module": "keras",
        "config": {"name": "model", "layers": [entry("InputLayer", given), *layers]},
    }  # fmt: skip


RNN = entry("LSTM", LSTM)
HEAD = entry("Dense", DENSE)


def of_cells(cell: Any) -> dict[str, Any]:
    """Return the entry of an RNN that holds a cell."""
    return entry("RNN", {"name": "rnn", "cell": cell, "return_sequences": False})


def functional(nodes: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Return the configuration of input -> rnn -> head, with other inbound nodes for some."""
    model = sequential(RNN, HEAD)
    layers = [dict(layer) for layer in model["config"]["layers"]]
    for before, layer in zip([None, *layers], layers, strict=False):
        name = layer["config"]["name"]
        history = [before["config"]["name"], 0, 0] if before else None
        node = {"args": [{"config": {"keras_history": history}}], "kwargs": {"mask": None}}
        layer["inbound_nodes"] = nodes.get(name, [node] if before else [])
    ends = {"input_layers": [["input", 0, 0]], "output_layers": [["head", 0, 0]]}
    return {**model, "class_name": "Functional", "config": {"layers": layers, **ends, **config}}


def write_listed(
    path: Path, config: Any, arrays: dict[str, dict[str, Any]], version: str = "2.4.0"
) -> None:
    """Write an .h5 of a whole model; `arrays` are by layer and name."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
        top = file.create_group("model_weights")
        top.attrs["layer_names"] = [name.encode() for name in arrays]
        for layer, parameters in arrays.items():
            group = top.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in parameters]
            for name, array in parameters.items():
                group[name] = array


def numbered(**arrays: list[Any]) -> bytes:
    """Return the HDF5 of a .keras file; `arrays` are by class in snake case."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, parameters in arrays.items():
            recurrent = layer.startswith(("lstm", "gru")) or layer.endswith("_layer")
            inside = "cell/vars" if recurrent else "vars"
            for number, array in enumerate(parameters):
                file[f"layers/{layer}/{inside}/{number}"] = array
    return buffer.getvalue()


def write_archive(path: Path, config: Any, data: bytes, version: str = "3.4.1") -> None:
    """Write a .keras file."""
    text = config if isinstance(config, str) else json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", text)
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("model.weights.h5", data)


def archive(tmp_path: Path, config: Any, **arrays: list[Any]) -> Path:
    arrays = arrays or {"lstm": weights("lstm"), "dense": dense_weights()}
    write_archive(tmp_path / "model.keras", config, numbered(**arrays))
    return tmp_path / "model.keras"


def lstm(**options: Any) -> dict[str, Any]:
    return entry("LSTM", {**LSTM, **options})


def head(kind: str = "Dense", **options: Any) -> dict[str, Any]:
    base = DENSE if kind == "Dense" else {"name": "last"}
    return entry(kind, {**base, **options})


def pooled(**options: Any) -> dict[str, Any]:
    return entry("GlobalAveragePooling1D", {"name": "pool", **options})


ARRAYS = {
    "rnn": dict(zip("012", weights("lstm"), strict=True)),
    "head": dict(zip("01", dense_weights(), strict=True)),
}
