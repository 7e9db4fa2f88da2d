"""What a cell's equations need of numbers, so that they are written once.

Two kinds of numbers exist: fixed-point nodes of a graph (`rnnrtl.graph.trace`), which become the
reference and the hardware, and float64 arrays (`rnnrtl.graph.real`).
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.format import Format

Formats = Callable[[str], Format]
"""Tensor name -> its format in the layer at hand."""


class Vector(Protocol):
    """A vector of numbers: exact under +, - and *, brought into a format by `to` only."""

    def __add__(self, other: Any) -> Any: ...
    def __sub__(self, other: Any) -> Any: ...
    def __mul__(self, other: Any) -> Any: ...

    def to(self, form: Format) -> Any:
        """Round and saturate (or wrap) into a format."""

    def lookup(self, function: str, output: Format, input_: Format) -> Any:
        """Apply an activation function, from a format to a format."""

    def relu(self) -> Any:
        """Return max(x, 0)."""

    def blend(self, a: Any, b: Any) -> Any:
        """Return (1 - self) * a + self * b; self lies within 0..1."""

    def named(self, name: str) -> Any:
        """Return the same vector under a name."""

    def last_step(self) -> Any:
        """Return the vector of a sequence's last step."""


class Numbers(Protocol):
    """Where weights become numbers of one kind."""

    def constant(self, values: NDArray[np.float64], form: Format) -> Any:
        """Return a constant vector."""

    def matvec(self, matrix: NDArray[np.float64], form: Format, x: Any) -> Any:
        """Return matrix @ x; matrix (units, features)."""
