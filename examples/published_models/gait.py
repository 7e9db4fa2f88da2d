"""A network that follows the phase of a person's gait, from the angle and speed of a hip."""

import os
from pathlib import Path

import numpy as np

import rnnrtl
from examples.published_models.published import Published, Read, folder_of, lengthened

STEPS = 200  # WINDOW_SIZE in the package's definitions.py
WINDOWS = 20


def ao_compensation_model(folder: Path) -> Read:
    """Read the layers behind the convolution, which Keras itself computes here, up to the angle.

    The last layer, which the network has behind the dense one, only brings its two outputs to
    length 1.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import joblib
    import keras

    package = folder_of("ao_compensation_model")
    version = package / "model" / "2026_03_26_22_54_0.0713"
    model = keras.models.load_model(version / "gru_model.keras", compile=False)
    gru, dense, _ = model.layers[-3:]
    front = keras.Model(model.inputs, gru.input)
    behind = keras.Sequential([keras.Input(gru.input.shape[1:]), gru, dense])
    network = rnnrtl.load(behind)

    walk = np.loadtxt(
        package / "dataset" / "test" / "test.csv", delimiter=";", skiprows=1, usecols=(1, 2)
    )
    scaled = joblib.load(version / "scaler.pkl").transform(walk)
    starts = np.linspace(0, len(scaled) - STEPS, WINDOWS).astype(int)
    windows = np.stack([scaled[start : start + STEPS] for start in starts]).astype(np.float32)
    x = keras.ops.convert_to_numpy(front(windows, training=False))
    y = keras.ops.convert_to_numpy(model(windows, training=False))
    return Read(network, list(x), list(y), finish=lengthened)


MODELS = {
    "ao_compensation_model": Published(
        package="ao-compensation-model==0.1.6",
        needs="keras torch scikit-learn",
        licence="MIT",
        kind="phase of a gait, .keras of Keras 3, from the GRU on",
        input="the package's test.csv, through its scaler and convolution",
        compared="the model in Keras",
        read=ao_compensation_model,
        hardware={"precision": "fixed<16,6>", "reuse_factor": 16},
        simulated=4,
    ),
}
