"""Exact sums in a graph: which nodes add, what they add, and which of them belong together."""

from collections.abc import Collection, Set
from dataclasses import dataclass

from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.nodes import Add, Constant, MatVec, Node, Proved, ShiftLeft, Subtract
from rnnrtl.schedule.operations import Op

LINEAR = (Add, Subtract, MatVec, ShiftLeft)


@dataclass(frozen=True, eq=False)
class Linear:
    """An exact sum of multiples of operations and a constant."""

    terms: dict[Op, int]
    constant: int = 0

    def plus(self, other: "Linear", sign: int = 1) -> "Linear":
        """Return self + sign * other."""
        terms = dict(self.terms)
        for op, weight in other.terms.items():
            terms[op] = terms.get(op, 0) + sign * weight
        return Linear({o: w for o, w in terms.items() if w}, self.constant + sign * other.constant)

    def times(self, factor: int) -> "Linear":
        """Return factor * self."""
        return Linear({o: w * factor for o, w in self.terms.items()}, self.constant * factor)


def product_of(matrix: IntArray, x: tuple[Linear, ...]) -> tuple[Linear, ...]:
    """Return matrix @ x."""
    rows = []
    for weights in matrix.tolist():
        row = Linear({})
        if all(len(form.terms) == 1 and not form.constant for form in x):
            terms: dict[Op, int] = {}
            for form, weight in zip(x, weights, strict=True):
                ((op, factor),) = form.terms.items()
                terms[op] = terms.get(op, 0) + factor * weight
            row = Linear({op: w for op, w in terms.items() if w})
        else:
            for form, weight in zip(x, weights, strict=True):
                row = row.plus(form.times(weight))
        rows.append(row)
    return tuple(rows)


def is_sum(node: Node) -> bool:
    """Whether a node only adds exact multiples of its arguments."""
    wire = isinstance(node, Proved) and isinstance(node.args[0], LINEAR)
    return isinstance(node, LINEAR) or wire


class Sums:
    """The sums of a graph.

    Parameters
    ----------
    graph : whose
    recurrent : the nodes that depend on a state
    """

    def __init__(self, graph: Graph, recurrent: Set[Node]) -> None:
        self._graph = graph
        self._recurrent = recurrent
        self._users: dict[Node, list[Node]] = {}
        nodes = graph.nodes()
        for node in nodes:
            for arg in node.args:
                self._users.setdefault(arg, []).append(node)
        self.whole = [
            node
            for node in nodes
            if is_sum(node) and not (self.is_absorbed(node) and is_sum(self._users[node][0]))
        ]

    def is_absorbed(self, node: Node) -> bool:
        """Whether a sum is only part of another one."""
        return is_sum(node) and len(self._users.get(node, [])) == 1

    def leaves(self, node: Node) -> list[Node]:
        """Return the matrix products and the vectors that a sum adds."""
        if isinstance(node, MatVec) or not is_sum(node):
            return [node]
        return [
            leaf
            for arg in node.args
            for leaf in (self.leaves(arg) if self.is_absorbed(arg) else [arg])
        ]

    def group(self, node: Node, placed: Collection[Node]) -> list[Node]:
        """Return a sum and the others of its layer, not placed yet, that multiply the same vectors.

        Sums that wait for a product of their own layer's state with something else stay alone:
        not all that they need stands at the time of the others.
        """
        key = self.multiplied(node)
        if not key:
            return [node]
        return [
            other
            for other in self.whole
            if other is node
            or (
                other not in placed
                and self._graph.layer_of[other] == self._graph.layer_of[node]
                and self.multiplied(other) == key
            )
        ]

    def multiplied(self, node: Node) -> frozenset[Node]:
        """Return the vectors of a sum's matrix products: those of the state, where there are."""
        leaves = self.leaves(node)
        recurrent = {leaf for leaf in leaves if leaf in self._recurrent}
        chosen = recurrent or {leaf for leaf in leaves if not isinstance(leaf, Constant)}
        if not all(isinstance(leaf, MatVec) for leaf in chosen):
            return frozenset()
        layer = self._graph.layer_of[node]
        if any(self._graph.layer_of[leaf] != layer for leaf in chosen):
            return frozenset()
        return frozenset(leaf.args[0] for leaf in chosen)
