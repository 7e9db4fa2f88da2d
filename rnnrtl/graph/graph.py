"""What a network is traced to: nodes, loops and formats."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rnnrtl.fixedpoint.format import Format
from rnnrtl.graph.nodes import Node, State


@dataclass(frozen=True, eq=False)
class Loop:
    """The recurrence of one layer: each state vector and what it becomes."""

    layer: str
    states: tuple[tuple[State, Node], ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """One time step of a network, as nodes.

    Members
    -------
    input, output : the vectors of a step and of the result
    input_format, output_format : of the two
    loops : the recurrent layers, in order
    layer_of : node -> name of its layer
    return_sequences : whether there is a result every step or one a sequence
    ended : the states after the step, or the last step, of which the result is, where they are
        given out with it: those of the loops, in their order
    """

    input: Node
    output: Node
    input_format: Format
    output_format: Format
    loops: tuple[Loop, ...]
    layer_of: Mapping[Node, str]
    return_sequences: bool
    ended: tuple[Node, ...] = ()

    def nodes(self) -> list[Node]:
        """Return every node, arguments before what uses them."""
        ends = [following for loop in self.loops for _, following in loop.states]
        return list(topological([self.input, *ends, *self.ended, self.output]))


def topological(ends: list[Node]) -> Iterator[Node]:
    """Yield nodes and all that they are computed from, arguments before what uses them."""
    done: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(end, False) for end in reversed(ends)]
    while stack:
        node, expanded = stack.pop()
        if node in done:
            continue
        if expanded:
            done.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))
