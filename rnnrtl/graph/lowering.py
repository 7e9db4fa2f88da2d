"""From a graph to few operations of NumPy that give its bits, each in a type that is exact.

Of a chain of operations that one number determines only a table remains, of a sum of products only
a product by a matrix; its rows share one call with those of all sums of the same vectors.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.graph.composed import Composed, compose
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lookup import RomRead
from rnnrtl.graph.nodes import Constant, LastStep, MatVec, Node, RoundShift, ShiftRight, State, Wrap
from rnnrtl.graph.sums import EXACT, Sum, magnitudes, reach_of_product, sum_of

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


_Products = dict[tuple[object, ...], Product]
"""Products by what makes them one: type, vectors, whether there is a constant."""


@dataclass(eq=False)
class Operation:
    """How a node is computed.

    Members
    -------
    node : what is computed: by its own arithmetic, where neither of the next two is there
    total : the sum that it is, or that its chain begins with
    table : what is read at the sum, or else at `source`
    source : what the table is read at
    drop : bits by which the sum or the source is shifted right first
    products : parts of the sum that are products: which, and which of its rows
    """

    node: Node
    total: Sum | None = None
    table: Composed | None = None
    source: Node | None = None
    drop: int = 0
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
        return (self.source,) if self.source is not None else self.node.args

    @property
    def constant(self) -> Array:
        """What the sum has besides products and terms, where it is read at 2**-drop."""
        assert self.total is not None
        first = 0 if self.table is None else self.table.first
        scaled = self.total.constant - (first << self.drop)
        return np.asarray(scaled.astype(np.float64) * 2.0**-self.drop)

    @property
    def reach(self) -> int:
        """What no number on the way exceeds in magnitude; at least `EXACT` where floats fail."""
        node, found = self.node, magnitudes(self.node).max()
        # A table is read at the distance from its first entry.
        distance = 0 if self.table is None else abs(self.table.first << self.drop)
        if self.total is not None:
            return int(max(found, self.total.reach + distance))
        if self.source is not None:
            return int(max(found, magnitudes(self.source).max() + distance))
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
    each: list[Operation | Product] = []
    end: list[Operation | Product] = []
    products: tuple[_Products, _Products] = {}, {}
    late: set[Node] = set()
    for op in operations:
        if isinstance(op.node, LastStep) or not late.isdisjoint(op.reads):
            late.add(op.node)
        here, known = (end, products[1]) if op.node in late else (each, products[0])
        before = len(known)
        if op.total is not None:
            op.products = _products(op, kinds, known)
        here += list(known.values())[before:]
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
    table = compose(node, order, users)
    read = node if table is None else table.source
    at, drop = read, 0
    total = None
    if read is node or users[read] == 1:
        if isinstance(read, ShiftRight) and read.bits <= MOST_BITS:
            at, drop = read.args[0], read.bits
        if at is read or users[at] == 1:
            total = sum_of(at, users)
    if total is not None:
        op = Operation(node, total, table, drop=drop)
    elif table is not None:
        op = Operation(node, table=table, source=at, drop=drop)
    else:
        op = Operation(node)
    if table is None:
        return op if op.reach < EXACT else Operation(node)
    return op if op.reach < EXACT else Operation(node, table=table, source=table.source)


def _kinds(graph: Graph, operations: list[Operation]) -> dict[Node, type]:
    """Choose float32 for layers in which all is exact in it, else float64 wherever that is."""
    layers = {node: graph.layer_of.get(node, "") for node in graph.nodes()}
    layers |= {state: loop.layer for loop in graph.loops for state, _ in loop.states}
    reach = {node: int(magnitudes(node).max()) for node in layers}
    narrow = {
        layer: all(op.reach < EXACT_FLOAT32 for op in operations if layers[op.node] == layer)
        for layer in set(layers.values())
    }

    def kind(node: Node) -> type:
        if narrow[layers[node]] and reach[node] < EXACT_FLOAT32:
            return np.float32
        return np.float64 if reach[node] < EXACT else node.dtype

    return {node: kind(node) for node in layers}


def _products(
    op: Operation, kinds: Mapping[Node, type], known: _Products
) -> list[tuple[Product, slice]]:
    """Add a sum to the products of the same vectors, and return its parts."""
    assert op.total is not None
    own = kinds[op.node]
    parts: dict[type, dict[Node, Array]] = {own: {}}
    for vector in kinds:  # in the same order for all sums
        matrix = op.total.matrices.get(vector)
        if matrix is not None:
            small = reach_of_product(matrix, vector).max() < EXACT_FLOAT32
            kind = np.float32 if small and vector.size >= FLOAT32_FROM else own
            scaled = matrix.astype(np.float64) * 2.0**-op.drop
            parts.setdefault(kind, {})[vector] = scaled
    found = []
    for kind, matrices in parts.items():
        if matrices:
            has_constant = kind is own and bool(op.constant.any())
            columns = [*matrices.values(), *[op.constant[:, None]] * has_constant]
            product = known.setdefault(
                (kind, has_constant, *matrices), Product(tuple(matrices), kind, has_constant)
            )
            block: Array = np.concatenate(columns, axis=1).astype(kind)
            found.append((product, product.append(block)))
    return found
