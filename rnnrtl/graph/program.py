"""The graph in NumPy, fast: the same bits as `evaluate`.

Codes are floats wherever their proved ranges say that floats are exact: BLAS multiplies matrices,
and NumPy has vector instructions for floats. Arrays are (lanes, sequences), so that a constant of a
lane is one number for a whole row. All layers take a time step before any takes the next, as they
do in hardware, so that nothing is kept of a step but the states.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.evaluate import apply
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lowering import Array, Operation, Product, lowered
from rnnrtl.graph.nodes import Constant, Joined, LastStep, Node, Part, State
from rnnrtl.graph.stages import stages
from rnnrtl.graph.sums import EXACT

CACHE_BYTES = 1 << 21
"""What all arrays of a time step may take: those in use then stay in a core's own caches."""

FEWEST, MOST = 16, 2048
"""Sequences evaluated at a time, whatever the cache holds."""

States = Mapping[State, IntArray]
"""A state of a layer -> its codes, int64 (batch, lanes)."""

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
        self.graph = graph
        self._stages = [(stage.memory, _Steps(stage.graph)) for stage in stages(graph)]
        self.chunk = chunk or min(steps.chunk for _, steps in self._stages)

    def run(self, codes: IntArray) -> IntArray:
        """Return the output codes, int64, for input codes (batch, steps, features).

        The result has shape (batch, outputs), or (batch, steps, outputs) where the network returns
        sequences.

        Raises
        ------
        InputError : for codes that the input format does not have
        """
        return self.resumed(codes, self.initial_states(len(codes)))[0]

    def initial_states(self, batch: int) -> States:
        """Return the states before the first step of so many sequences."""
        return {
            state: np.tile(np.array(state.initial, dtype=np.int64), (batch, 1))
            for _, steps in self._stages
            for state in steps.states
        }

    def resumed(self, codes: IntArray, states: States) -> tuple[IntArray, States]:
        """Return what `run` does, but going on from states, and the states at the end."""
        graph = self.graph
        low, high = min(graph.input.lowest), max(graph.input.highest)
        if codes.size and (codes.min() < low or codes.max() > high):
            raise InputError(f"input codes must lie within {low}..{high}: {graph.input_format}")
        out = []
        ended = {state: np.empty_like(kept) for state, kept in states.items()}
        for start in range(0, max(len(codes), 1), self.chunk):
            part = slice(start, start + self.chunk)
            words = codes[part]
            for memory, steps in self._stages:
                given = words if memory is None else memory.played(words)
                words, found = steps.run(given, {s: states[s][part] for s in steps.states})
                for state, kept in found.items():
                    ended[state][part] = kept.T
            out.append(words)
        return np.concatenate(out) if len(out) > 1 else out[0], ended


class _Steps:
    """A graph that takes every step as it comes.

    Members
    -------
    states : of its loops
    chunk : sequences whose arrays of a step stay in the cache
    """

    def __init__(self, graph: Graph) -> None:
        low = lowered(graph)
        self._graph = graph
        self._each = [_step(part, low.kinds) for part in low.each]
        self._end = [_step(part, low.kinds) for part in low.end]
        self._input_kind = low.kinds[graph.input]
        self._constants: Values = {
            node: _column(node.lowest, kind)
            for node, kind in low.kinds.items()
            if isinstance(node, Constant)
        }
        self._following = {s: following for loop in graph.loops for s, following in loop.states}
        self._kinds = {state: low.kinds[state] for state in self._following}
        self.states = tuple(self._following)
        taken = sum(part.lanes for part in (*low.each, *low.end)) * np.dtype(np.float64).itemsize
        self.chunk = min(max(CACHE_BYTES // max(taken, 1), FEWEST), MOST)

    def run(self, codes: IntArray, states: States) -> tuple[IntArray, Mapping[State, Array]]:
        """Return what `Program.resumed` does, for few sequences; states are (lanes, batch)."""
        graph = self._graph
        columns, steps, _ = codes.shape
        shape = (columns, steps) if graph.return_sequences else (columns,)
        out = np.empty((*shape, graph.output.size), dtype=np.int64)
        values: Values = {**self._constants, None: np.ones((1, columns))}
        values |= {
            state: states[state].T.astype(kind, order="C") for state, kind in self._kinds.items()
        }
        for t in range(steps):
            values[graph.input] = codes[:, t].T.astype(self._input_kind, order="C")
            for step in self._each:
                step(values)
            if graph.return_sequences:
                out[:, t] = values[graph.output].T
            # All at once: what follows one state may be another.
            values |= {state: values[following] for state, following in self._following.items()}
        if not graph.return_sequences:
            for step in self._end:
                step(values)
            out[...] = values[graph.output].T
        return out, {state: values[state] for state in self.states}


def _column(codes: Sequence[int], kind: type) -> Array:
    """Return a number a lane, or one for all: NumPy is faster with that."""
    alike = len(set(codes)) == 1
    return np.array(codes[:1] if alike else codes, dtype=kind)[:, None]


def _step(part: Operation | Product, kinds: Mapping[Node, type]) -> Step:
    return _product(part) if isinstance(part, Product) else _operation(part, kinds[part.node])


def _product(product: Product) -> Step:
    matrix, kind = product.matrix, product.kind
    sources = (*product.vectors, *[None] * product.has_constant)

    def step(values: Values) -> None:
        rows = [_for_all(values, source) for source in sources]
        stacked: Array = np.concatenate(rows, dtype=kind, casting="unsafe")
        # Into the array of the step before: no memory is asked of the system anew.
        values[product] = np.matmul(matrix, stacked, out=values.get(product))

    return step


def _for_all(values: Values, key: Node | None) -> Array:
    """Return a value with all its lanes, for every sequence, also where they are alike."""
    shape = (1 if key is None else key.size, values[None].shape[1])
    return values[key] if values[key].shape == shape else np.broadcast_to(values[key], shape)


def _operation(op: Operation, kind: type) -> Step:
    node, formula = op.node, _formula(op, kind)

    def step(values: Values) -> None:
        values[node] = formula(values).astype(kind, copy=False)

    return step


def _formula(op: Operation, kind: type) -> Formula:
    """Return what gives a node its value, perhaps in a wider type than its own."""
    node = op.node
    if op.total is not None:
        total = _sum(op, kind)
        if op.table is not None:
            return _read(total, op.table.values.astype(kind))
        return _floor(total) if op.drop else lambda values: total(values).copy()
    if op.table is not None and op.source is not None:
        distance = _distance(op.source, op.drop, op.table.first)
        return _read(distance, op.table.values.astype(kind))
    if isinstance(node, Part):
        return _part(node)
    if isinstance(node, Joined):
        return _joined(node, kind)
    if isinstance(node, LastStep) or op.reach < EXACT:
        return _arithmetic(node)
    return _exactly(node)


def _sum(op: Operation, kind: type) -> Formula:
    """Return the sum at 2**-drop, in an array that lasts for the step only."""
    assert op.total is not None
    (first, first_rows), *products = op.products
    terms = [(node, factor * 2.0**-op.drop) for node, factor in op.total.terms.items()]
    constant: Array | None = None
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


def _floor(total: Formula) -> Formula:
    return lambda values: np.floor(total(values))


def _distance(source: Node, drop: int, first: int) -> Formula:
    if not drop:
        return lambda values: values[source] - first
    scale = 2.0**-drop
    return lambda values: values[source] * scale - first


def _read(distance: Formula, entries: Array) -> Formula:
    """Return the reading of a table at a distance from its first entry."""
    # A distance becomes an integer by dropping its fraction: towards zero, but what is below zero
    # reads the first entry either way.
    return lambda values: entries.take(distance(values).astype(np.intp), mode="clip")


def _part(node: Part) -> Formula:
    (source,) = node.args
    return lambda values: values[source][node.start : node.start + node.size]


def _joined(node: Joined, kind: type) -> Formula:
    return lambda values: np.concatenate([_typed(_for_all(values, arg), kind) for arg in node.args])


def _arithmetic(node: Node) -> Formula:
    return lambda values: np.asarray(node.arithmetic(*[values[arg] for arg in node.args]))


def _exactly(node: Node) -> Formula:
    """Return a node computed in int64 or in Python's integers, where floats would round."""
    args = [(arg, arg.dtype) for arg in node.args]
    return lambda values: (
        apply(node, [_typed(_for_all(values, arg), kind).T for arg, kind in args]).T
    )


def _typed(value: Array, kind: type) -> Array:
    """Return a value in a type; Python's numbers are to be ints."""
    if kind is object and value.dtype.kind == "f":
        value = value.astype(np.int64)
    return value.astype(kind, copy=False)
