"""Numbers that say which value of the current layer's output stands where in a graph."""

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import UnsupportedError
from rnnrtl.frontends.onnx_graph import Node

Numbers = NDArray[np.int64]


class Numbering:
    """The current layer's outputs are numbered from `start`: position * units + unit.

    A position is the place in two axes, (batch, steps) or (steps, batch). After all of them come
    positions for the last states of both directions of each sequence.

    Members
    -------
    start : the first number; those below are of earlier layers
    units : length of a vector
    lengths : of the two axes
    steps_axis : which of them is that of the steps; known from the first recurrent layer on
    """

    def __init__(self, lengths: tuple[int, int], units: int) -> None:
        self.start = 0
        self.units = units
        self.lengths = lengths
        self.steps_axis: int | None = None

    def order(self, steps_axis: int | None = None) -> Numbers:
        """Return the positions by (step, sequence)."""
        axis = self.steps_axis or 0 if steps_axis is None else steps_axis
        positions = np.arange(self.lengths[0] * self.lengths[1]).reshape(self.lengths)
        return positions if axis == 0 else positions.T

    def of(self, positions: Numbers) -> Numbers:
        """Return the numbers of whole vectors (..., units)."""
        return self.start + positions[..., None] * self.units + np.arange(self.units)

    def states(self) -> Numbers:
        """Return the positions of the last states of both directions, by sequence."""
        found: Numbers = self.lengths[0] * self.lengths[1] + np.arange(self.order().shape[1])
        return found

    def next(self, units: int) -> None:
        """Go on to a new layer's outputs."""
        self.start += self._room * self.units
        self.units = units

    def relative(self, node: Node, data: Numbers) -> Numbers:
        """Return numbers from 0; raises UnsupportedError for those of earlier layers."""
        numbers = data - self.start
        if data.ndim == 0 or np.any(numbers < 0):
            raise _earlier(node)
        return numbers

    def positions(self, node: Node, data: Numbers) -> Numbers:
        """Return the position of each row of `data`, of whole vectors; else UnsupportedError."""
        numbers = self.relative(node, data)
        if np.any(numbers >= self._room * self.units):
            raise _earlier(node)
        rows = numbers[..., :1]
        if (
            data.shape[-1] != self.units
            or np.any(rows % self.units)
            or np.any(numbers != rows + np.arange(self.units))
        ):
            raise UnsupportedError(f"{node} takes parts of a vector, or vectors of several steps")
        return rows[..., 0] // self.units

    @property
    def _room(self) -> int:
        """How many positions there are at most."""
        return 2 * self.lengths[0] * self.lengths[1]


def _earlier(node: Node) -> UnsupportedError:
    return UnsupportedError(
        f"{node} takes what an earlier layer gave: only layers one after the other are supported"
    )
