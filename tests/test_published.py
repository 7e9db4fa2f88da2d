"""Networks that others trained and published, against what their own packages compute."""

from pathlib import Path

import numpy as np

import rnnrtl

DATA = Path(__file__).parent / "data" / "published"


def test_chars2vec() -> None:
    """Weights that Keras 2 wrote by themselves; each word is a sequence of its own length."""
    stem = DATA / "chars2vec_eng_50"
    network = rnnrtl.load(stem.with_suffix(".h5"), architecture=stem.with_suffix(".json"))
    with np.load(stem.with_suffix(".npz")) as known:
        letters, words, y = str(known["letters"]), known["words"], known["y"]
    assert network.features == len(letters)
    for word, vector in zip(words, y, strict=True):
        x = np.array([[letter == each for each in letters] for letter in word], float)
        np.testing.assert_allclose(network.predict(x[None])[0], vector, rtol=0, atol=1e-6)


def test_gait() -> None:
    """Every step of two walks through the hardware."""
    network = rnnrtl.load(DATA / "ao_compensation_gait.npz")
    with np.load(DATA / "ao_compensation_gait_known.npz") as known:
        x, y = known["x"].astype(float), known["y"]
    outputs = network.predict(x)
    lengths = np.linalg.norm(outputs, axis=-1, keepdims=True)
    np.testing.assert_allclose(outputs / lengths, y, rtol=0, atol=1e-6)
    design = rnnrtl.generate(network, "fixed<16,6>", reuse_factor=16)
    found = design.simulate(x, simulator="verilator").outputs
    np.testing.assert_array_equal(found, design.predict(x))
    assert np.abs(found - outputs).max() < 0.01
