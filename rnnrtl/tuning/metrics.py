"""Figures of a classifier's outputs, to be kept while bits are taken; more is better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Share of sequences that are told right: by the largest output, or where there is one, by 1/2.

    Members
    -------
    labels : (batch,) whole numbers, the right class of each sequence
    """

    labels: NDArray[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _checked(self.labels))

    def __call__(self, outputs: NDArray[np.float64]) -> float:
        """Return the accuracy of outputs (batch, classes), or (batch, 1)."""
        if outputs.ndim != 2 or len(outputs) != len(self.labels):
            raise InputError(_unsuited(self.labels, outputs))
        told = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0.5
        return float((told == self.labels).mean())


@dataclass(frozen=True, eq=False)
class AreaUnderCurve:
    """Area under the ROC curve: how often one of class 1 scores above one of class 0.

    Members
    -------
    labels : (batch,) 0 and 1, both among them
    """

    labels: NDArray[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _checked(self.labels))
        if set(self.labels.tolist()) != {0, 1}:
            raise InputError("the area under the curve needs labels 0 and 1, both of them")

    def __call__(self, outputs: NDArray[np.float64]) -> float:
        """Return the area of outputs (batch, 1); equal scores count half."""
        if outputs.size != len(self.labels):
            raise InputError(_unsuited(self.labels, outputs))
        _, place, counts = np.unique(outputs.ravel(), return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
        ones = int(self.labels.sum())
        above = ranks[self.labels == 1].sum() - ones * (ones + 1) / 2
        return float(above / (ones * (len(self.labels) - ones)))


METRICS: Mapping[str, Callable[[Any], Callable[[NDArray[np.float64]], float]]] = {
    "auc": AreaUnderCurve,
    "accuracy": Accuracy,
}
"""Name -> what makes the metric from labels."""


def _checked(labels: object) -> NDArray[np.int64]:
    try:
        given: NDArray[Any] = np.asarray(labels)
        array = given.astype(np.int64)
        whole = given.ndim == 1 and bool((array == given).all())
    except (TypeError, ValueError):
        whole = False
    if not whole or not len(array) or array.min() < 0:
        raise InputError("labels are whole numbers from 0 up, one for each sequence: (batch,)")
    return array


def _unsuited(labels: NDArray[np.int64], outputs: NDArray[np.float64]) -> str:
    return f"outputs have shape {outputs.shape}: they do not go with {len(labels)} labels"
