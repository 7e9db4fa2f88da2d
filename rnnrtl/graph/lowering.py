"""From a graph to the fewest operations of NumPy that give its bits, and in which type each is exact."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.graph.composed import Composed, compose
from rnnrtl.graph.lookup import RomRead
from rnnrtl.graph.nodes import (
    Constant,
    LastStep,
    MatVec,
    Node,
    RoundShift,
    ShiftRight,
    State,
    Wrap,
)
from rnnrtl.graph.sums import EXACT, Sum, magnitudes, reach_of_product, sum_of
from rnnrtl.graph.trace import Graph

EXACT_FLOAT32 = 1 << 24

FLOAT32_FROM = 64
"""Columns from which on a product by a matrix in float32 spares more than its conversion takes."""

MOST_BITS = 100
"""Shifts by which neither float type leaves its exponents."""

Array = NDArray[Any]


@dataclass(eq=False)
class Product:
    """matrix @ vectors, for all sums of the same vectors.

    Members
    -------
    vectors : what is multiplied, one below the other
    kind : float32 or float64
    has_constant : whether the matrix has one column more, for a lane of ones
    blocks : the matrix, by sums
    """

    vectors: tuple[Node, ...]
    kind: type
    has_constant: bool
    blocks: list[Array] = field(default_factory=list)

    @property
    def lanes(self) -> int:
        """Lanes of the result."""
        return sum(map(len, self.blocks))

    @property
    def matrix(self) -> Array:
        """All blocks, one below the other."""
        return np.concatenate(self.blocks)

    def append(self, block: Array) -> slice:
        """Add a block; return its rows."""
        start = self.lanes
        self.blocks.append(block)
        return slice(start, start + len(block))


@dataclass(eq=False)
class Operation:
    """How a node is computed.

    Members
    -------
    node : what is computed: by its own arithmetic, where neither of the next two is there
    total : the sum that it is, or that its chain begins with
    drop : bits by which the sum is shifted right
    table : what is read at the sum (shifted right by `drop`), or at the table's source
    products : parts of the sum that are products: which, and which of its rows
    """

    node: Node
    total: Sum | None = None
    drop: int = 0
    table: Composed | None = None
    products: list[tuple[Product, slice]] = field(default_factory=list)

    @property
    def lanes(self) -> int:
        """Lanes of the node."""
        return self.node.size

    @property
    def reads(self) -> tuple[Node, ...]:
        """What must be there before."""
        if self.total is not None:
            return (*self.total.matrices, *self.total.terms)
        return (self.table.source,) if self.table is not None else self.node.args

    @property
    def constant(self) -> Array:
        """What the sum has besides products and terms, where it is read at 2**-drop."""
        assert self.total is not None
        first = 0 if self.table is None else self.table.first
        scaled = self.total.constant - (first << self.drop)
        return np.asarray(scaled.astype(np.float64) * 2.0**-self.drop)

    @property
    def reach(self) -> int:
        """What no number on the way to the node exceeds; at least `EXACT` for what is no float's."""
        node, found = self.node, magnitudes(self.node).max()
        if self.total is not None:
            # A table is read at the distance from its first entry.
            total = self.total.reach
            return int(max(found, total if self.table is None else 2 * total + (1 << self.drop)))
        if self.table is not None:
            return int(max(found, 2 * magnitudes(self.table.source).max()))
        if isinstance(node, RomRead | MatVec) or getattr(node, "bits", 0) > MOST_BITS:
            return max(int(found), EXACT)
        found = max([found, *(magnitudes(arg).max() for arg in node.args)])
        if isinstance(node, RoundShift):
            found += 1 << node.bits
        elif isinstance(node, Wrap):
            found += 1 << node.form.width
        return int(found)


@dataclass(frozen=True, eq=False)
class Lowered:
    """What a program is made of.

    Members
    -------
    each, end : what is computed at every step, and after a sequence's last one
    kinds : node -> the type of its array
    """

    each: tuple[Operation | Product, ...]
    end: tuple[Operation | Product, ...]
    kinds: Mapping[Node, type]


def lowered(graph: Graph) -> Lowered:
    """Return what must be computed for a graph, in order."""
    operations = _operations(graph)
    kinds = _kinds(graph, operations)
    products: dict[tuple[object, ...], Product] = {}
    each: list[Operation | Product] = []
    end: list[Operation | Product] = []
    late: set[Node] = set()
    for op in operations:
        if isinstance(op.node, LastStep) or not late.isdisjoint(op.reads):
            late.add(op.node)
        before = set(products.values())
        if op.total is not None:
            op.products = _products(op, kinds, products)
        here = end if op.node in late else each
        here += [product for product, _ in op.products if product not in before]
        here.append(op)
    return Lowered(tuple(each), tuple(end), kinds)


def _operations(graph: Graph) -> list[Operation]:
    """Return what must be computed, in order: of a chain or a sum only what is read elsewhere."""
    nodes = graph.nodes()
    order = {node: place for place, node in enumerate(nodes)}
    ends = [graph.output, *(following for loop in graph.loops for _, following in loop.states)]
    users = Counter([*ends, *(arg for node in nodes for arg in node.args)])
    wanted = set(ends)
    found = []
    for node in reversed(nodes):
        if node in wanted and not isinstance(node, Constant | State) and node is not graph.input:
            op = _operation(node, order, users)
            wanted.update(op.reads)
            found.append(op)
    return found[::-1]


def _operation(node: Node, order: Mapping[Node, int], users: Mapping[Node, int]) -> Operation:
    table = compose(node, order)
    read = node if table is None else table.source
    drop = 0
    if read is node or users[read] == 1:
        start = read
        if isinstance(read, ShiftRight) and read.bits <= MOST_BITS and users[read.args[0]] == 1:
            start, drop = read.args[0], read.bits
        total = sum_of(start, users)
        if total is not None:
            op = Operation(node, total, drop, table)
            if op.reach < EXACT:
                return op
    return Operation(node, table=table)


def _kinds(graph: Graph, operations: list[Operation]) -> dict[Node, type]:
    """Choose float32 for layers in which all is exact in it, else float64 wherever that is."""
    reach: dict[str, int] = {}
    layers = {op.node: graph.layer_of.get(op.node, "") for op in operations}
    layers |= {state: loop.layer for loop in graph.loops for state, _ in loop.states}
    for op in operations:
        layer = layers[op.node]
        reach[layer] = max(reach.get(layer, 0), op.reach)

    def kind(node: Node) -> type:
        if node in layers and reach[layers[node]] < EXACT_FLOAT32:
            return np.float32
        return np.float64 if magnitudes(node).max() < EXACT else node.dtype

    return {node: kind(node) for node in graph.nodes()}


def _products(
    op: Operation, kinds: Mapping[Node, type], known: dict[tuple[object, ...], Product]
) -> list[tuple[Product, slice]]:
    """Add a sum to the products of the same vectors, and return its parts."""
    assert op.total is not None
    kind = kinds[op.node]
    parts: dict[type, dict[Node, Array]] = {kind: {}}
    for vector in kinds:  # in one order for all sums
        matrix = op.total.matrices.get(vector)
        if matrix is not None:
            wide = len(vector.lowest) < FLOAT32_FROM
            wide |= reach_of_product(matrix, vector).max() >= EXACT_FLOAT32
            scaled = matrix.astype(np.float64) * 2.0**-op.drop
            parts.setdefault(kind if wide else np.float32, {})[vector] = scaled
    found = []
    for kind, matrices in parts.items():
        if not matrices:
            continue
        has_constant = kind is kinds[op.node] and bool(op.constant.any())
        columns = [*matrices.values(), *[op.constant[:, None]] * has_constant]
        key = (kind, has_constant, *matrices)
        product = known.setdefault(key, Product(tuple(matrices), kind, has_constant))
        found.append((product, product.append(np.concatenate(columns, axis=1).astype(kind))))
    return found
