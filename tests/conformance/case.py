"""A case of the matrix, and what its answer is checked by."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.design import Design
from rnnrtl.network import Network
from rnnrtl.simulation import in_amaranth
from rnnrtl.vectors import vectors_of
from tests.conformance.bound import error_bound

Array = NDArray[Any]
Framework = Literal["Keras 3", "Keras 2 file", "PyTorch", "ONNX"]

UNITS, FEATURES, STEPS, BATCH = 2, 2, 4, 3
PRECISION = "fixed<16,6>"
RTL_STEPS = 3
"""Of the one sequence that goes through the hardware."""

ROUNDINGS = 60
"""A float output may be off by as many roundings, of the largest output. The sums of a step have 5
terms at most, each rounded, as are the activations that follow, whose slopes are 1 at most; in 4
steps and 3 layers: 5 * 4 * 3."""

LARGEST_BOUND = 0.25
"""Formats that allow more than this would prove nothing: outputs lie within 1, mostly."""


@dataclass(frozen=True)
class Source:
    """What is loaded, and how: `rnnrtl.load(what, **options)`."""

    what: object
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A model as a case makes it.

    Members
    -------
    sources : the same model as files and objects; each must give the answer
    x : (batch, steps, features)
    y : the framework's own output, (batch, outputs) or (batch, steps, outputs)
    """

    sources: tuple[Source, ...]
    x: Array
    y: Callable[[], Array]


Build = Callable[[Path], Built]


@dataclass(frozen=True)
class Works:
    """The framework's own output, and every simulated bit."""

    def __str__(self) -> str:
        return "works"


@dataclass(frozen=True)
class Refused:
    """One clear line of ours, which has these words in it."""

    words: str

    def __str__(self) -> str:
        return f'refused: "{self.words}"'


@dataclass(frozen=True)
class NotMeaningful:
    """There is nothing to compute."""

    because: str

    def __str__(self) -> str:
        return f"not meaningful: {self.because}"


@dataclass(frozen=True)
class Case:
    """An option of a framework's layer, and what becomes of it.

    Members
    -------
    framework, group, option : its place in the page
    answer : what is expected
    build : makes the model; None where there is nothing to make
    """

    framework: Framework
    group: str
    option: str
    answer: Works | Refused | NotMeaningful
    build: Build | None = None

    def __str__(self) -> str:
        return f"{self.framework}, {self.group}, {self.option}"

    def check(self, folder: Path) -> None:
        """Build the model in a folder, and raise AssertionError where the answer is another."""
        if self.build is None:
            assert isinstance(self.answer, NotMeaningful), "only nothing needs no model"
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the framework's own
            built = self.build(folder)
            y = built.y() if isinstance(self.answer, Works) else None
        assert built.sources, "a case without a model"
        for source in built.sources:
            match self.answer:
                case Refused(words):
                    check_refusal(source, words)
                case Works():
                    network = rnnrtl.load(source.what, **source.options)
                    check_float(network, built.x, y)
                    check_hardware(network, built.x)
                case _:
                    raise AssertionError("what means nothing has no model")


def check_refusal(source: Source, words: str) -> None:
    """Raise unless `load` refuses in one line with these words."""
    try:
        network = rnnrtl.load(source.what, **source.options)
    except rnnrtl.RnnrtlError as error:
        text = str(error)
        assert words in text, f"refused, but with other words: {text}"
        assert "\n" not in text, text
        return
    raise AssertionError(f"it is not refused, but read as {network.layers}")


def check_float(network: Network, x: Array, y: Any) -> None:
    """Raise unless the network gives the framework's numbers, in its order, to rounding.

    Axes of one and a squeezed or flattened output make no other numbers.
    """
    found = network.predict(x)
    assert found.size == y.size, f"shape {found.shape}, the framework's is {y.shape}"
    rounding = float(np.finfo(y.dtype).eps) / 2
    bound = ROUNDINGS * rounding * max(1.0, float(np.abs(y).max()))
    np.testing.assert_allclose(found.ravel(), y.ravel(), rtol=0, atol=bound)


def check_hardware(network: Network, x: Array) -> None:
    """Raise unless fixed point is as near as its formats say, and the hardware is fixed point."""
    _check_hardware(pickle.dumps(network), np.asarray(x, np.float64).tobytes(), x.shape)


@cache  # many options lead to the same network: one design proves it for all
def _check_hardware(pickled: bytes, data: bytes, shape: tuple[int, ...]) -> None:
    network: Network = pickle.loads(pickled)
    x = np.frombuffer(data).reshape(shape)
    design = rnnrtl.generate(network, PRECISION, steps=x.shape[1])
    check_fixed(design, x)
    steps = x.shape[1] if network.fixed_by else RTL_STEPS
    # What `simulate` does, without stalls and resets, which have tests of their own.
    vectors = vectors_of(design, design.input_codes(x[:1, :steps]))
    measured = in_amaranth(design, vectors, stalls=False, reset_rounds=0)
    np.testing.assert_array_equal(measured.codes, vectors.expected)


def check_fixed(design: Design, x: Array) -> None:
    """Raise unless fixed point is as near to float64 as its formats say."""
    bound = error_bound(design.network, design.precision, x)
    assert bound.max() < LARGEST_BOUND, f"a bound of {bound.max():.3g} proves nothing"
    error = np.abs(design.predict(x) - design.network.predict(x))
    assert (error <= bound).all(), f"off by {error.max():.3g}, the formats allow {bound.max():.3g}"
