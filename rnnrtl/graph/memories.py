"""Vectors as a memory gives them that holds a whole sequence, or one vector of it.

A network that reads time in reverse, or that changes how many steps there are, is one graph with
such vectors in it; `rnnrtl.graph.stages` cuts it there, and there hardware has memories.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np

from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.nodes import Constant, Input, Node, State


class Memory(Protocol):
    """What hardware keeps between two stages, as `rnnrtl.hardware.memories` builds it.

    Members
    -------
    every_step : whether it takes a word every step (True) or one a sequence (False)
    cycles : edges from the one at which it takes a sequence's last word to the one at which the
        core behind it takes the first
    """

    every_step: ClassVar[bool]
    cycles: ClassVar[int]

    @property
    def lanes(self) -> int:
        """Lanes of the words that it takes."""

    def played(self, words: IntArray) -> IntArray:
        """Return what it gives (batch, steps, lanes) for words (batch, steps, lanes).

        Where it takes one a sequence, those are (batch, lanes).
        """

    def steps_given(self, steps: int | None) -> int | None:
        """Return how many steps it gives for so many."""

    def size(self, steps: int) -> tuple[int, int, int]:
        """Return how many sequences, words of each and lanes of a word it holds."""


@dataclass(frozen=True)
class Reversal:
    """It plays a sequence from both ends at once, step by step.

    Members
    -------
    lanes : of the words that it takes
    forwards : which of them it plays from the first step on, in this order
    backwards : which of them, after those, from the last step on
    """

    every_step: ClassVar[bool] = True
    cycles: ClassVar[int] = 2  # it plays what it holds, and block RAM has a register

    lanes: int
    forwards: tuple[int, ...]
    backwards: tuple[int, ...]

    def played(self, words: IntArray) -> IntArray:
        parts = words[..., self.forwards], words[:, ::-1][..., self.backwards]
        return np.concatenate(parts, axis=-1)

    def steps_given(self, steps: int | None) -> int | None:
        return steps

    def size(self, steps: int) -> tuple[int, int, int]:
        return 2, steps, len(self.forwards) + len(self.backwards)


@dataclass(frozen=True)
class Gathering:
    """It gives all steps of a sequence as one word, the first in the first lanes.

    Members
    -------
    lanes : of the words that it takes
    steps : how many there are
    """

    every_step: ClassVar[bool] = True
    cycles: ClassVar[int] = 1

    lanes: int
    steps: int

    def played(self, words: IntArray) -> IntArray:
        return words.reshape(len(words), 1, self.steps * self.lanes)

    def steps_given(self, steps: int | None) -> int | None:
        return 1

    def size(self, steps: int) -> tuple[int, int, int]:
        return 1, self.steps, self.lanes


@dataclass(frozen=True)
class Scattering:
    """It gives lanes of one word as the steps of a sequence.

    Members
    -------
    lanes : of the word that it takes
    order : lanes that it gives at each step
    """

    every_step: ClassVar[bool] = False
    cycles: ClassVar[int] = 1

    lanes: int
    order: tuple[tuple[int, ...], ...]

    def played(self, words: IntArray) -> IntArray:
        given: IntArray = words[:, self.order]
        return given

    def steps_given(self, steps: int | None) -> int | None:
        return len(self.order)

    def size(self, steps: int) -> tuple[int, int, int]:
        return 1, 1, self.lanes


@dataclass(frozen=True)
class Queue:
    """It gives words as they come, one a sequence: where a core keeps its results anyway.

    So there is no hardware for it.

    Members
    -------
    lanes : of a word
    """

    every_step: ClassVar[bool] = False
    cycles: ClassVar[int] = 0

    lanes: int

    def played(self, words: IntArray) -> IntArray:
        return words[:, np.newaxis]

    def steps_given(self, steps: int | None) -> int | None:
        return 1

    def size(self, steps: int) -> tuple[int, int, int]:
        return 0, 1, self.lanes


@dataclass(frozen=True, eq=False)
class Stored(Node):
    """Its argument as a memory gives it."""


@dataclass(frozen=True, eq=False)
class Played(Stored):
    """Its argument out of a memory of the whole sequence, from the first step on or `backwards`."""

    backwards: bool = False


@dataclass(frozen=True, eq=False)
class Reshaped(Stored):
    """Its argument's lanes with other steps."""

    memory: Gathering | Scattering | Queue = field(kw_only=True)


def mirrored(*ends: Node) -> dict[Node, Node] | None:
    """Return what is as far from a sequence's end as `ends` from its beginning, and all before it.

    None where that cannot be told from what a memory plays: after a loop, or before any memory.
    """
    copies: dict[Node, Node] = {}

    def copy(node: Node) -> bool:
        if node in copies:
            return True
        if isinstance(node, Constant):
            copies[node] = node
        elif isinstance(node, Played):
            copies[node] = replace(node, backwards=not node.backwards)
        elif isinstance(node, Input | State | Stored) or not all(copy(arg) for arg in node.args):
            return False
        else:
            args = tuple(copies[arg] for arg in node.args)
            name = f"{node.name}_reversed" if node.name else ""
            copies[node] = replace(node, args=args, name=name)
        return True

    return copies if all(copy(end) for end in ends) else None


def played(x: Node, *, backwards: bool) -> Node:
    """Return a vector as a memory plays it."""
    return Played((x,), x.fraction_bits, x.lowest, x.highest, backwards=backwards)


def gathered(x: Node, steps: int) -> Node:
    """Return the vectors of all steps as one."""
    lowest, highest = x.lowest * steps, x.highest * steps
    return Reshaped((x,), x.fraction_bits, lowest, highest, memory=Gathering(x.size, steps))


def scattered(x: Node, order: IntArray) -> Node:
    """Return lanes of a vector step by step, by numbers (steps, lanes)."""
    rows = tuple(tuple(row) for row in order.tolist())
    lowest = tuple(min(x.lowest[n] for n in column) for column in zip(*rows, strict=True))
    highest = tuple(max(x.highest[n] for n in column) for column in zip(*rows, strict=True))
    return Reshaped((x,), x.fraction_bits, lowest, highest, memory=Scattering(x.size, rows))
