"""Sums of matrix products, terms and constants, as one product by a matrix."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnrtl.fixedpoint.exact import FLOAT64_BITS, IntArray
from rnnrtl.graph.nodes import Add, Constant, MatVec, Node, ShiftLeft, Subtract

EXACT = 1 << FLOAT64_BITS
"""Below it float64 holds every integer."""


@dataclass(eq=False)
class Sum:
    """matrix @ vectors + factors * terms + constant.

    Members
    -------
    size : lanes
    matrices : vector -> what it is multiplied by, (lanes, lanes of the vector), of Python ints
    terms : node -> its factor
    constant : (lanes,), of Python ints
    """

    size: int
    matrices: dict[Node, IntArray] = field(default_factory=dict)
    terms: dict[Node, int] = field(default_factory=dict)
    constant: IntArray = field(default_factory=lambda: np.zeros(0, dtype=object))

    @property
    def reach(self) -> int:
        """What no part of the sum exceeds in magnitude, in whichever order it is added."""
        total = np.abs(self.constant)
        for vector, matrix in self.matrices.items():
            total = total + reach_of_product(matrix, vector)
        for term, factor in self.terms.items():
            total = total + abs(factor) * magnitudes(term)
        return int(total.max())


def magnitudes(node: Node) -> IntArray:
    """Return the largest magnitude of each lane, as Python ints."""
    return np.array(
        [max(-a, b, 0) for a, b in zip(node.lowest, node.highest, strict=True)], dtype=object
    )


def reach_of_product(matrix: IntArray, vector: Node) -> IntArray:
    """Return, by rows, what no part of matrix @ vector exceeds in magnitude."""
    return np.asarray(np.abs(matrix) @ magnitudes(vector))


def sum_of(root: Node, users: Mapping[Node, int]) -> Sum | None:
    """Return a node as a sum that is exact in float64, or None where it holds no product.

    What else reads stays a term of its own.
    """
    if not isinstance(root, Add | Subtract | MatVec):
        return None
    found = Sum(root.size, constant=np.zeros(root.size, dtype=object))
    waiting: list[tuple[Node, int]] = [(root, 1)]
    while waiting:
        node, factor = waiting.pop()
        if isinstance(node, Constant):
            found.constant = found.constant + factor * np.array(node.lowest, dtype=object)
        elif node is not root and users[node] > 1:
            found.terms[node] = found.terms.get(node, 0) + factor
        elif isinstance(node, MatVec):
            (vector,) = node.args
            matrix = node.matrix.astype(object) * factor
            found.matrices[vector] = found.matrices.get(vector, 0) + matrix
        elif isinstance(node, Add | Subtract):
            a, b = node.args
            waiting += [(a, factor), (b, -factor if isinstance(node, Subtract) else factor)]
        elif isinstance(node, ShiftLeft):
            waiting.append((node.args[0], factor << node.bits))
        else:
            found.terms[node] = found.terms.get(node, 0) + factor
    return found if found.matrices and found.reach < EXACT else None
