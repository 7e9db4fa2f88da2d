"""The graph in NumPy, fast: the same bits as `evaluate`.

Codes are floats wherever their proved ranges say that floats are exact: BLAS multiplies matrices, and
NumPy has vector instructions for floats. Arrays are (lanes, sequences), so that a constant of a lane
is one number for a whole row. All layers take a time step before any takes the next, as they do in
hardware, so that nothing is kept of a step but the states.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.composed import Composed
from rnnrtl.graph.evaluate import apply
from rnnrtl.graph.lowering import EXACT, Array, Operation, Product, lowered
from rnnrtl.graph.nodes import Constant, Joined, Node, Part
from rnnrtl.graph.trace import Graph

CACHE_BYTES = 1 << 20
"""What the arrays of a time step shall take: they stay in the second-level cache of a core."""

FEWEST, MOST = 16, 2048
"""Sequences evaluated at a time, whatever the cache holds."""

Values = dict[Node | Product | None, Array]
"""What is known at a step: nodes and products by themselves, and a lane of ones."""

Formula = Callable[[Values], Array]
Step = Callable[[Values], None]


class Program:
    """A graph made ready to be evaluated for many sequences.

    Members
    -------
    graph : what is evaluated
    chunk : sequences evaluated at a time, which bounds the memory taken
    """

    def __init__(self, graph: Graph, chunk: int | None = None) -> None:
        low = lowered(graph)
        self.graph = graph
        self._each = [_step(part, low.kinds) for part in low.each]
        self._end = [_step(part, low.kinds) for part in low.end]
        self._input_kind = low.kinds[graph.input]
        self._constants: Values = {
            node: np.array(node.lowest, dtype=kind)[:, None]
            for node, kind in low.kinds.items()
            if isinstance(node, Constant)
        }
        self._states = [
            (state, np.array(state.initial, dtype=low.kinds[state])[:, None], following)
            for loop in graph.loops
            for state, following in loop.states
        ]
        taken = sum(part.lanes for part in (*low.each, *low.end)) * np.dtype(np.float64).itemsize
        self.chunk = chunk or min(max(CACHE_BYTES // max(taken, 1), FEWEST), MOST)

    def run(self, codes: IntArray) -> IntArray:
        """Return the output codes, int64, for input codes (batch, steps, features).

        The result has shape (batch, outputs), or (batch, steps, outputs) where the network returns
        sequences.

        Raises
        ------
        InputError : for codes that the input format does not have
        """
        graph = self.graph
        low, high = min(graph.input.lowest), max(graph.input.highest)
        if codes.size and (codes.min() < low or codes.max() > high):
            raise InputError(f"input codes must lie within {low}..{high}: {graph.input_format}")
        shape = codes.shape[: 2 if graph.return_sequences else 1]
        out = np.empty((*shape, graph.output.size), dtype=np.int64)
        for start in range(0, len(codes), self.chunk):
            part = slice(start, start + self.chunk)
            self._run(codes[part], out[part])
        return out

    def _run(self, codes: IntArray, out: IntArray) -> None:
        graph = self.graph
        columns, steps, _ = codes.shape
        by_step = np.ascontiguousarray(codes.transpose(1, 2, 0), dtype=self._input_kind)
        values = {**self._constants, None: np.ones((1, columns))}
        values |= {state: initial for state, initial, _ in self._states}
        for t in range(steps):
            values[graph.input] = by_step[t]
            for step in self._each:
                step(values)
            if graph.return_sequences:
                out[:, t] = values[graph.output].T
            # All at once: what follows one state may be another.
            values |= {state: values[following] for state, _, following in self._states}
        if not graph.return_sequences:
            for step in self._end:
                step(values)
            out[...] = values[graph.output].T


def _step(part: Operation | Product, kinds: Mapping[Node, type]) -> Step:
    return _product(part) if isinstance(part, Product) else _operation(part, kinds[part.node])


def _product(product: Product) -> Step:
    matrix, kind = product.matrix, product.kind
    sources = (*product.vectors, *[None] * product.has_constant)

    def step(values: Values) -> None:
        if len(sources) == 1:
            stacked = _for_all(values, sources[0]).astype(kind, copy=False)
        else:
            rows = [_for_all(values, source) for source in sources]
            stacked = np.concatenate(rows, dtype=kind, casting="unsafe")
        values[product] = matrix @ stacked

    return step


def _for_all(values: Values, key: Node | None) -> Array:
    """Return a value for every sequence, also where it is the same for all."""
    value, columns = values[key], values[None].shape[1]
    return value if value.shape[1] == columns else np.broadcast_to(value, (len(value), columns))


def _operation(op: Operation, kind: type) -> Step:
    node = op.node
    if op.total is not None:
        made = _sum(op, kind)
        if op.table is not None:
            made = _read(made, op.table.values.astype(kind))
        elif op.drop:
            made = _floor(made)
    elif op.table is not None:
        made = _read(_distance(op.table), op.table.values.astype(kind))
    elif isinstance(node, Part):
        made = _part(node)
    elif isinstance(node, Joined):
        made = _joined(node)
    else:
        made = _exactly(node) if op.reach >= EXACT else _arithmetic(node)

    def step(values: Values) -> None:
        values[node] = made(values).astype(kind, copy=False)

    return step


def _sum(op: Operation, kind: type) -> Formula:
    """Return the sum at 2**-drop, as an array that nothing else reads."""
    assert op.total is not None
    (first, first_rows), *products = op.products
    terms = [(node, factor * 2.0**-op.drop) for node, factor in op.total.terms.items()]
    constant = None
    if first.kind is not kind or (op.constant.any() and not first.has_constant):
        constant = op.constant[:, None].astype(kind)

    def formula(values: Values) -> Array:
        total = values[first][first_rows]
        if constant is not None:
            total = total + constant
        for product, rows in products:
            total += values[product][rows]
        for node, factor in terms:
            total += values[node] if factor == 1 else values[node] * factor
        return total

    return formula


def _floor(made: Formula) -> Formula:
    def formula(values: Values) -> Array:
        total = made(values)
        return np.floor(total, out=total)

    return formula


def _distance(table: Composed) -> Formula:
    return lambda values: values[table.source] - table.first


def _read(distance: Formula, entries: Array) -> Formula:
    """Return the reading of a table at a distance from its first entry."""
    # A distance becomes an integer by dropping its fraction: towards zero, but what is below zero
    # reads the first entry either way.
    return lambda values: entries.take(distance(values).astype(np.intp), mode="clip")


def _part(node: Part) -> Formula:
    (source,) = node.args
    return lambda values: values[source][node.start : node.start + node.size]


def _joined(node: Joined) -> Formula:
    return lambda values: np.concatenate([_for_all(values, arg) for arg in node.args])


def _arithmetic(node: Node) -> Formula:
    return lambda values: node.arithmetic(*[values[arg] for arg in node.args])


def _exactly(node: Node) -> Formula:
    """Return a node in int64 or in Python's integers, where floats would round."""

    def integers(value: Array) -> Array:
        return value.astype(np.int64) if value.dtype.kind == "f" else value

    return lambda values: apply(node, [integers(values[arg]).T for arg in node.args]).T
