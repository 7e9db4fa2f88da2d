"""Chains of lane-wise operations as one table, read at the number that the chain begins with.

The table is what the chain's own arithmetic gives for every number that can come in, so that nothing
is computed in two ways.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.lookup import Limited, LookedUp
from rnnrtl.graph.nodes import (
    Add,
    Clamp,
    Constant,
    Input,
    Joined,
    LastStep,
    MatVec,
    Multiply,
    Node,
    Part,
    Proved,
    Relu,
    ShiftLeft,
    ShiftRight,
    State,
    Subtract,
)

MOST_CODES = 1 << 18
"""Numbers for which a chain is tried out: tens of milliseconds."""

_MIXING = (Input, State, MatVec, Part, Joined, LastStep)
"""What is no function of the same lane of its arguments at the same step."""

_CHEAP = (Add, Subtract, Multiply, ShiftLeft, ShiftRight, Clamp, Limited, Relu, Proved, LookedUp)
"""What NumPy does in less time than a table is read."""


@dataclass(frozen=True, eq=False)
class Composed:
    """A function of one number: values[min(max(x - first, 0), last place)].

    Members
    -------
    source : the node that gives x
    first : the x of the first entry; below it the function is constant, as it is above the last
    values : entries, int64
    """

    source: Node
    first: int
    values: IntArray


def compose(node: Node, order: Mapping[Node, int]) -> Composed | None:
    """Return a node as a table, or None where that cannot be, or gains nothing.

    It is read as far ahead of the node as one number determines it, in all lanes alike, and has not
    more than `MOST_CODES` values. `order` has each node's place, behind those of its arguments.
    """
    chain: list[Node] = []
    gains = False
    best: tuple[Node, int] | None = None  # the source, and how much of the chain lies behind it
    waiting = [(-order[node], node)]
    while True:
        _, last = heapq.heappop(waiting)
        if last.dtype is object:
            break
        if not waiting and gains and span(last) <= MOST_CODES:
            best = last, len(chain)
        if isinstance(last, _MIXING):
            break
        chain.append(last)
        gains |= not isinstance(last, _CHEAP)
        for arg in last.args:
            if isinstance(arg, Constant):
                if span(arg) > 1 or arg.dtype is object:
                    return _tried(chain, best)
            elif all(arg is not other for _, other in waiting):
                heapq.heappush(waiting, (-order[arg], arg))
        if not waiting:
            break
    return _tried(chain, best)


def span(node: Node) -> int:
    """Return how many numbers there are from the lowest to the highest that a lane can hold."""
    return max(node.highest) - min(node.lowest) + 1


def _tried(chain: list[Node], best: tuple[Node, int] | None) -> Composed | None:
    if best is None:
        return None
    source, length = best
    first = min(source.lowest)
    tried: dict[Node, IntArray] = {source: np.arange(first, max(source.highest) + 1)}
    for node in reversed(chain[:length]):
        operands = [
            np.array(arg.lowest[0]) if isinstance(arg, Constant) else tried[arg]
            for arg in node.args
        ]
        tried[node] = np.asarray(node.arithmetic(*operands))
    values = tried[chain[0]]
    changes = np.flatnonzero(np.diff(values))
    if not changes.size:
        return Composed(source, first, values[:1])
    start, stop = int(changes[0]), int(changes[-1]) + 2
    return Composed(source, first + start, values[start:stop])
