"""Vectors as a memory of the whole sequence plays them, from either end."""

from dataclasses import dataclass, replace

from rnnrtl.graph.nodes import Constant, Input, Node, State


@dataclass(frozen=True, eq=False)
class Played(Node):
    """Its argument out of a memory of the whole sequence, from the first step on or `backwards`."""

    backwards: bool = False


def mirrored(x: Node) -> dict[Node, Node] | None:
    """Return what is as far from a sequence's end as `x` from its beginning, and all on its way.

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
        elif isinstance(node, Input | State) or not all(copy(arg) for arg in node.args):
            return False
        else:
            args = tuple(copies[arg] for arg in node.args)
            name = f"{node.name}_reversed" if node.name else ""
            copies[node] = replace(node, args=args, name=name)
        return True

    return copies if copy(x) else None


def played(x: Node, *, backwards: bool) -> Node:
    """Return a vector as a memory plays it."""
    return Played((x,), x.fraction_bits, x.lowest, x.highest, backwards=backwards)
