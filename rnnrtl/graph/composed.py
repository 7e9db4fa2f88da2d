"""Chains of lane-wise operations as one table, read at the number that the chain begins with.

The table is what the chain's own arithmetic gives for every number that can come in, so that
nothing is said twice of what it computes.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.lookup import LookedUp
from rnnrtl.graph.nodes import (
    Add,
    Clamp,
    Constant,
    Input,
    Joined,
    LastStep,
    Limited,
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
from rnnrtl.graph.sums import EXACT, magnitudes

MOST_CODES = 1 << 18
"""Numbers for which a chain is tried out: milliseconds."""

_MIXING = (Input, State, MatVec, Part, Joined, LastStep)
"""What is no function of the same lane of its arguments at the same step."""

_CHEAP = (Add, Subtract, Multiply, ShiftLeft, ShiftRight, Clamp, Limited, Relu, Proved, LookedUp)
"""What takes NumPy less time than reading a table."""


@dataclass(frozen=True, eq=False)
class Composed:
    """A function of one number x: values[min(max(x - first, 0), the last place)].

    Members
    -------
    source : the node that gives x
    first : the x of the first entry
    values : entries, int64
    """

    source: Node
    first: int
    values: IntArray


def compose(node: Node, order: Mapping[Node, int], users: Mapping[Node, int]) -> Composed | None:
    """Return a node as a table, or None where that cannot be or gains nothing.

    It is read as far ahead of the node as one number determines it, in all lanes alike, and has
    at most `MOST_CODES` values.

    Parameters
    ----------
    order : each node's place, behind those of its arguments
    users : how many read each node
    """
    chain: list[Node] = []
    gains = False
    found: tuple[Node, int] | None = None  # the source, and how much of the chain lies behind it
    waiting = [(-order[node], node)]
    while waiting:
        _, last = heapq.heappop(waiting)
        if last.dtype is object:
            break
        if not waiting and gains and _span(last) <= MOST_CODES:
            found = last, len(chain)
        if isinstance(last, _MIXING) or (chain and not gains and users[last] > 1):
            break  # what others read too is there already
        chain.append(last)
        gains |= not isinstance(last, _CHEAP)
        constants = [arg for arg in last.args if isinstance(arg, Constant)]
        if any(_span(arg) > 1 or arg.dtype is object for arg in constants):
            break
        known = {other for _, other in waiting}
        for arg in {*last.args} - {*constants} - known:
            heapq.heappush(waiting, (-order[arg], arg))
    if found is None:
        return None
    source, length = found
    first, values = _tried(chain[:length], source)
    while isinstance(source, Clamp | Limited) and magnitudes(source.args[0]).max() < EXACT:
        (source,) = source.args  # the ends of the table do what the clamp does
    return Composed(source, first, values)


def _span(node: Node) -> int:
    """Return how many numbers there are from the lowest to the highest that a lane can hold."""
    return max(node.highest) - min(node.lowest) + 1


def _tried(chain: Sequence[Node], source: Node) -> tuple[int, IntArray]:
    """Return what the chain gives, without what is alike at its ends, and the x of its first."""
    first = min(source.lowest)
    tried: dict[Node, IntArray] = {source: np.arange(first, max(source.highest) + 1)}
    for node in reversed(chain):
        operands = [
            np.array(arg.lowest[0]) if isinstance(arg, Constant) else tried[arg]
            for arg in node.args
        ]
        tried[node] = np.asarray(node.arithmetic(*operands))
    values = tried[chain[0]]
    changes = np.flatnonzero(np.diff(values))
    if not changes.size:
        return first, values[:1]
    return first + int(changes[0]), values[changes[0] : changes[-1] + 2]
