"""Write the model files in tests/data with the frameworks themselves, and what they computed.

    KERAS_BACKEND=torch python tools/model_files.py keras     # Keras 3, or 2 with TensorFlow
    python tools/model_files.py torch                         # PyTorch, onnx, onnxscript

Files are called after the framework. Beside each model is NAME.npz: x and y, and the versions of
what wrote it. All weights are random, biases too, since frameworks begin with zeros there.
"""

import argparse
import importlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[1] / "tests" / "data"
STEPS, FEATURES = 5, 3


def _written(name: str, x: Any, y: Any, by: str) -> None:
    np.savez(DATA / f"{name}.npz", x=x, y=np.asarray(y), by=by)
    print(f"{name}: written by {by}")


def _compress(path: Path) -> None:
    """Compress what Keras stores plainly, to keep the repository small."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def _without_traces(path: Path) -> None:
    """Remove the names of source files that the exporter notes at each node."""
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load(path)
    for part in (
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        model.graph,
        model,
    ):
        del part.metadata_props[:]
    onnx.save(model, path)


def _x() -> Any:
    return np.random.default_rng(1).standard_normal((4, STEPS, FEATURES)).astype(np.float32)


def write_keras() -> None:
    """Write what this version of Keras writes: a Sequential LSTM, a functional GRU, and cells."""
    try:
        keras: Any = importlib.import_module("keras")
    except ImportError:
        keras = importlib.import_module("tensorflow.keras")
    version = keras.__version__
    major = version[0]
    layers = keras.layers
    sequential = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.LSTM(4, activation="softsign", return_sequences=True, dropout=0.1),
            layers.TimeDistributed(layers.Dense(2, activation="elu")),
        ]
    )
    x = y = keras.Input((None, FEATURES))
    y = layers.GRU(4, recurrent_activation="hard_sigmoid", reset_after=major == "3")(y)
    y = layers.Dropout(0.2)(y)
    y = layers.Activation("softmax")(layers.Dense(2)(y))
    cells = [layers.LSTMCell(3), layers.SimpleRNNCell(4, use_bias=False), layers.LSTMCell(2)]
    stack = [keras.Input((STEPS, FEATURES)), layers.SimpleRNN(4, "relu", return_sequences=True)]
    stack += [layers.RNN(layers.GRUCell(3), return_sequences=True), layers.RNN(cells)]
    models = {
        "lstm": sequential, "gru": keras.Model(x, y), "cells": keras.Sequential(stack),
    }  # fmt: skip
    for kind, model in models.items():
        rng = np.random.default_rng(2)
        model.set_weights([rng.normal(0, 0.7, w.shape) for w in model.get_weights()])
        name = f"keras{major}_{kind}"
        _written(name, _x(), model.predict(_x(), verbose=0), f"Keras {version}")
        if kind != "lstm":
            path = DATA / (f"{name}.keras" if major == "3" else f"{name}.h5")
            model.save(path)
            if major == "3":
                _compress(path)
        elif major == "3":
            model.save(DATA / f"{name}.h5")
        else:
            model.save_weights(DATA / f"{name}.h5")
            (DATA / f"{name}.json").write_text(model.to_json())


def write_torch() -> None:
    """Write stacks of GRUs and RNNs with PyTorch's older exporter, an LSTM with the newer one."""
    torch: Any = importlib.import_module("torch")
    nn: Any = torch.nn

    class Tagger(nn.Module):
        def __init__(self, cell: Any, depth: int, after: Any, **options: Any) -> None:
            super().__init__()
            self.rnn = cell(FEATURES, 4, depth, batch_first=True, **options)
            self.head = nn.Sequential(nn.Linear(4, 3), after, nn.Dropout(0.1), nn.Linear(3, 2))

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0][:, -1])

    for name, model, dynamo in (
        ("torch_gru", Tagger(nn.GRU, 2, nn.Hardsigmoid()), False),
        ("torch_lstm", Tagger(nn.LSTM, 1, nn.ReLU()), True),
        ("torch_rnn", Tagger(nn.RNN, 2, nn.Tanh(), nonlinearity="relu"), False),
    ):
        torch.manual_seed(3)
        with torch.no_grad():
            for weights in model.parameters():
                weights.normal_(0, 0.7)
            x = torch.from_numpy(_x())
            y = model.eval()(x)
        options = {} if dynamo else {"input_names": ["x"], "dynamic_axes": {"x": [0, 1]}}
        path = DATA / f"{name}.onnx"
        torch.onnx.export(model, (x,), path, dynamo=dynamo, external_data=False, **options)
        _without_traces(path)
        _written(name, x.numpy(), y.numpy(), f"PyTorch {torch.__version__}, dynamo={dynamo}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=("keras", "torch"))
    {"keras": write_keras, "torch": write_torch}[parser.parse_args().framework]()
