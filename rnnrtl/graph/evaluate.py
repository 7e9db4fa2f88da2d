"""The graph in NumPy, node by node: what every bit of the hardware is held to.

`rnnrtl.graph.program` gives the same bits many times faster.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnrtl.fixedpoint.exact import IntArray, matmul
from rnnrtl.graph.graph import Graph, Loop
from rnnrtl.graph.memories import Gathering, Played, Reshaped
from rnnrtl.graph.nodes import Constant, Joined, LastStep, MatVec, Node, Part, State

CHUNK = 512
"""Sequences evaluated at a time: arrays stay in the cache, and memory is bounded."""


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A loop, its nodes in order, and those of them that something outside reads."""

    loop: Loop
    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """Nodes in the order to evaluate them: single ones, and recurrences step by step."""

    items: tuple[Node | Recurrence, ...]

    @property
    def recurrent(self) -> set[Node]:
        """Return the nodes that lie on a recurrence."""
        return {node for item in self.items if isinstance(item, Recurrence) for node in item.nodes}


def plan(graph: Graph) -> Plan:
    """Separate what must go step by step from what need not."""
    nodes = graph.nodes()
    items: list[Node | Recurrence] = []
    done: set[Node] = set()
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for arg in node.args:
            users[arg].append(node)

    def take(wanted: set[Node]) -> None:
        for node in nodes:
            if node in wanted and node not in done:
                done.add(node)
                items.append(node)

    for loop in graph.loops:
        starts = {state for state, _ in loop.states}
        forward: set[Node] = set()
        for node in nodes:
            if node in starts or any(arg in forward for arg in node.args):
                forward.add(node)
        before = _ancestors([following for _, following in loop.states])
        inside = (forward & before) | starts  # also where what follows a state does not read it
        take(before - inside)
        ends = {following for _, following in loop.states}
        outputs = {
            node
            for node in inside
            if any(user not in inside for user in users[node]) or node is graph.output
        }
        members = tuple(node for node in nodes if node in inside or node in ends)
        items.append(Recurrence(loop, members, tuple(node for node in nodes if node in outputs)))
        done |= inside
    take(set(nodes))
    return Plan(tuple(items))


def _ancestors(ends: list[Node]) -> set[Node]:
    found: set[Node] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.args)
    return found


def evaluate(
    graph: Graph,
    codes: IntArray,
    *,
    observe: Callable[[Node, IntArray], None] | None = None,
) -> IntArray:
    """Return the output codes for input codes (batch, steps, features).

    The result has shape (batch, outputs), or (batch, steps, outputs) with return_sequences.
    `observe` is shown every value of every node as it is computed; tests check ranges with it.
    """
    ordered = plan(graph)
    results = [
        _evaluate(graph, ordered, codes[start : start + CHUNK], observe)
        for start in range(0, max(len(codes), 1), CHUNK)
    ]
    return np.concatenate(results)


def _evaluate(
    graph: Graph,
    ordered: Plan,
    codes: IntArray,
    observe: Callable[[Node, IntArray], None] | None,
) -> IntArray:
    values: dict[Node, IntArray] = {graph.input: codes}

    def compute(node: Node, env: dict[Node, IntArray]) -> IntArray:
        value = apply(node, [env[arg] for arg in node.args])
        if observe is not None:
            observe(node, value)
        return value

    for item in ordered.items:
        if isinstance(item, Recurrence):
            _run(item, values, compute)
        elif item is not graph.input:
            values[item] = compute(item, values)
    return values[graph.output].astype(np.int64)


def _run(
    recurrence: Recurrence,
    values: dict[Node, IntArray],
    compute: Callable[[Node, dict[Node, IntArray]], IntArray],
) -> None:
    inside = set(recurrence.nodes)
    outside = {arg for node in recurrence.nodes for arg in node.args if arg not in inside}
    batch, steps, _ = next(values[node].shape for node in outside if not isinstance(node, Constant))
    state: dict[Node, IntArray] = {
        s: np.broadcast_to(np.array(s.initial, dtype=s.dtype), (batch, s.size))
        for s, _ in recurrence.loop.states
    }
    kept: dict[Node, list[IntArray]] = {node: [] for node in recurrence.outputs}
    for t in range(steps):
        env: dict[Node, IntArray] = dict(state)
        env |= {
            node: values[node] if isinstance(node, Constant) else values[node][:, t]
            for node in outside
        }
        for node in recurrence.nodes:
            if not isinstance(node, State):
                env[node] = compute(node, env)
        for node, sequence in kept.items():
            sequence.append(env[node])
        state = {
            s: np.broadcast_to(env[following], (batch, s.size))
            for s, following in recurrence.loop.states
        }
    values |= {node: np.stack(sequence, axis=1) for node, sequence in kept.items()}


def apply(node: Node, operands: list[IntArray]) -> IntArray:
    """Return a node's codes (..., lanes) from its arguments', int64 or object."""
    if isinstance(node, Constant):
        return np.array(node.lowest, dtype=node.dtype)
    if isinstance(node, MatVec):
        return matmul(operands[0], node.matrix)
    if isinstance(node, LastStep):
        return operands[0][:, -1]
    if isinstance(node, Played):
        return operands[0][:, ::-1] if node.backwards else operands[0]
    if isinstance(node, Reshaped):
        found = node.memory.played(operands[0])
        return found[:, 0] if isinstance(node.memory, Gathering) else found
    if isinstance(node, Part):
        return operands[0][..., node.start : node.start + node.size]
    if isinstance(node, Joined):
        # Constants have no axes but that of the lanes.
        shape = np.broadcast_shapes(*(x.shape[:-1] for x in operands))
        vectors = [np.broadcast_to(x, (*shape, x.shape[-1])) for x in operands]
        return np.concatenate(vectors, axis=-1)
    if node.dtype is object or any(x.dtype == object for x in operands):
        exact: IntArray = np.asarray(node.arithmetic(*(x.astype(object) for x in operands)))
        return exact.astype(node.dtype)
    return np.asarray(node.arithmetic(*operands))
