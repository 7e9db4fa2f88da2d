"""What a cell's equations need of numbers, so that they are written once.

Two kinds of numbers exist: fixed-point nodes of a graph (`rnnrtl.graph.trace`), which become the
reference and the hardware, and float64 arrays (`rnnrtl.graph.real`).
"""

from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.format import Format


class Formats(Protocol):
    """The formats of the layer at hand."""

    def __call__(self, tensor: str, gate: str = "", /) -> Format:
        """Return the format of a tensor; of a gate's own part of it, where it is a gate's."""


class Vector(Protocol):
    """A vector of numbers: exact under +, - and *, brought into a format by `to` only."""

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...

    def to(self, form: Format) -> Self:
        """Round and saturate (or wrap) into a format."""

    def halved(self) -> Self:
        """Return x / 2, exactly."""

    def relu(self) -> Self:
        """Return max(x, 0)."""

    def limited(self, lowest: int, highest: int) -> Self:
        """Return the number of lowest..highest nearest to x."""

    def lane(self, number: int) -> Self:
        """Return the vector of one lane."""

    def lanes(self, start: int, stop: int) -> Self:
        """Return the vector of lanes start..stop-1."""

    def named(self, name: str) -> Self:
        """Return the same vector under a name."""


V = TypeVar("V", bound=Vector)
T = TypeVar("T")


def pairwise(join: Callable[[T, T], T], items: Sequence[T]) -> T:
    """Join items two by two until one is left, so that each waits for few others."""
    left = list(items)
    while len(left) > 1:
        joined = [join(a, b) for a, b in zip(left[::2], left[1::2], strict=False)]
        left = joined + left[len(joined) * 2 :]
    return left[0]


class Numbers(Protocol[V]):
    """Where weights become numbers of one kind."""

    def constant(self, values: NDArray[np.float64], form: Format) -> V:
        """Return a constant vector."""

    def matvec(self, matrix: NDArray[np.float64], form: Format, x: V) -> V:
        """Return matrix @ x; matrix (units, features)."""

    def column(self, matrix: NDArray[np.float64], form: Format, x: V) -> V:
        """Return the column of a matrix that x, one lane of a whole number, says."""

    def zero(self, x: V) -> V:
        """Return zeros, as many and with the same binary point as x."""

    def lowest(self, x: V) -> V:
        """Return a constant that x never is below, with the same binary point."""

    def total(self, a: V, x: V, most: int) -> V:
        """Return a + x, where a is a sum of vectors such as x; there are `most` of them at most."""

    def joined(self, vectors: Sequence[V]) -> V:
        """Return one vector of all their lanes."""

    def maximum(self, a: V, b: V) -> V:
        """Return the larger of a and b, lane by lane; they have the same binary point."""

    def all_equal(self, x: V, value: float, form: Format) -> V:
        """Return whether all lanes, brought into a format, are one value: one lane, 1 or 0."""

    def select(self, condition: V, a: V, b: V) -> V:
        """Return a where the one lane of the condition is 1, b where it is 0."""

    def lookup(
        self, x: V, function: str, output: Format, input_: Format, *, fast: bool = False
    ) -> V:
        """Apply an activation function, from a format to a format; `fast` where a loop waits."""

    def argmax(self, x: V) -> V:
        """Return the number of the largest lane, the first of equals, as a vector of one lane."""

    def blend(self, z: V, a: V, b: V) -> V:
        """Return (1 - z) * a + z * b; z lies within 0..1, and a is known last."""
