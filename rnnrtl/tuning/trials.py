"""Precisions that were tried on data, and what came of it; kept in a file to go on from."""

import hashlib
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.errors import InputError, PrecisionError, PrecisionWarning
from rnnrtl.files import write_whole
from rnnrtl.fixedpoint import Precision
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.frontends.npz import to_arrays
from rnnrtl.graph.program import Program
from rnnrtl.graph.real import checked_input
from rnnrtl.graph.trace import trace
from rnnrtl.layers import FloatArray
from rnnrtl.network import Network
from rnnrtl.tuning.cost import cost

Metric = Callable[[NDArray[np.float64]], float]
"""Outputs, of the shape that `predict` gives, -> a figure; more is better."""

SECONDS_A_SAVE = 1.0
LARGEST_FILE = 1 << 26


@dataclass(frozen=True)
class Trial:
    """What a precision gave.

    Members
    -------
    cost : of the hardware, by `rnnrtl.tuning.cost`
    mean_square, largest : of the errors of the outputs against float64
    metric : the metric's figure, or None where there is none
    """

    cost: float
    mean_square: float
    largest: float
    metric: float | None


class Trials:
    """Tries precisions on a network and data, each one once.

    Members
    -------
    floats : the network's outputs in float64
    made : how many different precisions there have been, those of the file with them
    """

    def __init__(
        self, network: Network, x: object, metric: Metric | None, path: Path | None = None
    ) -> None:
        self.network = network
        self.x = checked_input(network, x)
        if not len(self.x):
            raise InputError("x holds no sequence: formats are found from data")
        self.metric = metric
        self.floats: FloatArray = network.predict(self.x)
        self.floats.setflags(write=False)
        self._path = path
        self._saved = monotonic()
        self._key = self._hashed() if path is not None else ""
        self._known: dict[str, Trial | None] = self._read() if path is not None else {}
        self._unsaved = False

    @property
    def made(self) -> int:
        """How many precisions have been tried."""
        return len(self._known)

    def figure(self, outputs: FloatArray) -> float | None:
        """Return what the metric makes of outputs, or raise InputError where that is no number."""
        if self.metric is None:
            return None
        found = self.metric(outputs)
        try:
            value = float(found)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"the metric gave {found!r}: it must give a finite number")
        return value

    def __call__(self, precision: Precision) -> Trial | None:
        """Try a precision; None where no hardware can be made of it."""
        name = hashlib.sha256(str(precision).encode()).hexdigest()[:24]
        if name not in self._known:
            try:
                self._known[name] = self.tried(precision)
            except PrecisionError:
                self._known[name] = None
            self._unsaved = True
            if monotonic() - self._saved > SECONDS_A_SAVE:
                self.save()
        return self._known[name]

    def tried(self, precision: Precision) -> Trial:
        """Try a precision, known or not. Raises PrecisionError where there are no tables for it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrecisionWarning)
            graph = trace(self.network, precision)
        codes = Program(graph).run(to_codes(self.x, graph.input_format))
        outputs = to_values(codes, graph.output_format)
        error = outputs - self.floats
        return Trial(
            cost(graph),
            float(np.mean(error**2)),
            float(np.abs(error).max()),
            self.figure(outputs),
        )

    def save(self) -> None:
        """Write the file, if there is one and if it lacks something. Raises OutputError."""
        if self._path is not None and self._unsaved:
            trials = {name: t and list(asdict(t).values()) for name, t in self._known.items()}
            write_whole(self._path, json.dumps({"key": self._key, "trials": trials}) + "\n")
            self._unsaved, self._saved = False, monotonic()

    def _hashed(self) -> str:
        """Return a hash of all that a trial's outcome depends on.

        A metric is known by what it makes of some outputs. What is asked for is left out: a trial
        is worth the same to every search.
        """
        found = hashlib.sha256(rnnrtl.__version__.encode())
        for name, array in sorted(to_arrays(self.network).items()):
            found.update(f"{name} {array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        found.update(str(self.x.shape).encode() + np.ascontiguousarray(self.x).tobytes())
        for outputs in (self.floats, self.floats[::-1].copy()):
            found.update(repr(self.figure(outputs)).encode())
        return found.hexdigest()

    def _read(self) -> dict[str, Trial | None]:
        assert self._path is not None
        refused = PrecisionError(
            f"{self._path} is not the state of a search: remove it, or name another file"
        )
        try:
            if not self._path.exists():
                return {}
            if not self._path.is_file() or self._path.stat().st_size > LARGEST_FILE:
                raise refused
            data = json.loads(self._path.read_text(encoding="utf-8"))
            key, trials = data["key"], dict(data["trials"])
            known = {str(n): None if t is None else _trial(t) for n, t in trials.items()}
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            raise refused from None
        if key != self._key:
            raise PrecisionError(
                f"{self._path} is the state of a search with another network, other data, another "
                "metric or another version: remove it, or name another file"
            )
        return known


def _trial(found: object) -> Trial:
    if not isinstance(found, list) or len(found) != 4:
        raise ValueError(found)
    numbers = [None if n is None else float(n) for n in found]
    if None in numbers[:3] or not all(n is None or math.isfinite(n) for n in numbers):
        raise ValueError(found)
    return Trial(*numbers)  # type: ignore[arg-type]
