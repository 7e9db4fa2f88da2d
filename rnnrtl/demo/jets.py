"""The demo's own data: jets that the networks were not trained on, and the trained networks."""

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ToolError
from rnnrtl.frontends import load
from rnnrtl.network import Network

NETWORKS = ("top_gru20", "top_lstm20")
"""Trained top taggers: GRU(20) and LSTM(20), each with Dense(64, relu) and Dense(1, sigmoid)."""

QUANTISED = ("top_gru20_w6a8", "top_lstm20_w6a8")
"""The same, trained on in weights of 6 bits and activations of 8, with these formats."""


def test_jets() -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return x (2000, 20, 6), already scaled for the networks, and y (2000,): 0 QCD, 1 top."""
    with (
        as_file(files("rnnrtl.demo") / "data" / "jets_test2000.npz") as path,
        np.load(path, allow_pickle=False) as data,
    ):
        return data["x"].astype(np.float64), data["y"]


def tagger(name: str) -> Network:
    """Return one of `NETWORKS` or `QUANTISED`."""
    with as_file(files("rnnrtl.demo") / "data" / f"{name}.npz") as path:
        return load(path)


def area_under_curve(labels: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve (AUC) of scores (jets,) or (jets, 1)."""
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError:
        raise ToolError("the demo needs scikit-learn: pip install 'rnnrtl[demo]'") from None
    return float(roc_auc_score(labels, scores.ravel()))
