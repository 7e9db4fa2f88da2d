"""What is done with each published network: read, compare with its package, simulate."""

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.network import Network

Array = NDArray[Any]


@dataclass(frozen=True)
class Read:
    """A network as `rnnrtl.load` reads it, and what its package computes.

    Members
    -------
    network : read from the package's own file
    x, y : inputs (steps, features) of each sequence, and what the package gives for it
    finish : what the package does with the network's outputs behind it
    """

    network: Network
    x: Sequence[Array]
    y: Sequence[Array]
    finish: Callable[[Array], Array] = field(default=lambda outputs: outputs, kw_only=True)


@dataclass(frozen=True)
class Published:
    """A network that a package ships.

    Members
    -------
    package, needs : what to install, and what it does not bring itself
    licence, kind : of the package, of the network and its file
    input : what it is given
    compared : what the package computes of it
    read : read and run it; takes a folder for files of its own
    hardware : options of `rnnrtl.generate`; None for a network that is not generated here
    simulated : how many sequences go through Verilator
    """

    package: str
    needs: str
    licence: str
    kind: str
    input: str
    compared: str
    read: Callable[[Path], Read]
    hardware: Mapping[str, Any] | None = None
    simulated: int = 0


@dataclass(frozen=True)
class Measured:
    """What was found.

    Members
    -------
    shape : features and units, layer by layer
    sequences, steps : how many sequences were compared, of how many steps in all
    difference, largest : between the outputs of network and package, and of the package's outputs
    exact : how many sequences were simulated; each was equal in every bit, or there is an error
    fixed : largest difference between the simulated outputs and those of the float network
    """

    shape: str
    sequences: int
    steps: int
    difference: float
    largest: float
    exact: int = 0
    fixed: float = 0.0


def folder_of(package: str) -> Path:
    """Return where a package is installed, without running it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])


def lengthened(outputs: Array) -> Array:
    """Return vectors of length 1 in the same directions."""
    return np.asarray(outputs / np.linalg.norm(outputs, axis=-1, keepdims=True))


def measure(published: Published) -> Measured:
    """Read a network, compare it, and simulate it where it is generated."""
    with tempfile.TemporaryDirectory() as folder:
        read = published.read(Path(folder))
    network = read.network
    floats = [network.predict(x[None])[0] for x in read.x]
    difference = max(
        float(np.abs(read.finish(outputs) - y).max())
        for outputs, y in zip(floats, read.y, strict=True)
    )
    shape = " → ".join(
        [str(network.features)]
        + [f"{type(layer).__name__} {layer.outputs}" for layer in network.layers]
    )
    exact, fixed = 0, 0.0
    if published.hardware is not None:
        design = rnnrtl.generate(network, **published.hardware)
        # In one run, so of one length.
        chosen = [place for place, x in enumerate(read.x) if len(x) == len(read.x[0])]
        chosen = chosen[: published.simulated]
        x = np.stack([read.x[place] for place in chosen])
        outputs = design.simulate(x, simulator="verilator").outputs
        np.testing.assert_array_equal(outputs, design.predict(x))
        exact = len(chosen)
        fixed = float(np.abs(outputs - np.stack([floats[place] for place in chosen])).max())
    return Measured(
        shape,
        len(read.x),
        sum(len(x) for x in read.x),
        difference,
        max(float(np.abs(y).max()) for y in read.y),
        exact,
        fixed,
    )
