"""From vectors to scalar operations: every lane of every node of a graph, placed in time."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rnnrtl.fixedpoint import Overflow
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.evaluate import Plan, Recurrence
from rnnrtl.graph.lookup import Limited, LookedUp, Magnitude, Mirror, RomRead
from rnnrtl.graph.nodes import (
    Add,
    Clamp,
    Constant,
    Input,
    Joined,
    LastStep,
    MatVec,
    Multiply,
    Node,
    Part,
    Proved,
    Relu,
    RoundShift,
    ShiftLeft,
    ShiftRight,
    State,
    Subtract,
    Wrap,
    ZeroOutside,
)
from rnnrtl.graph.trace import Graph
from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.operations import Op, range_width
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.postpone import postponed
from rnnrtl.schedule.sums import Linear, place_sums, place_turns

_LINEAR = (Add, Subtract, MatVec, ShiftLeft)

_KINDS: Mapping[type[Node], str] = {
    Multiply: "product",
    Relu: "relu",
    Proved: "wire",
    LastStep: "wire",
    ShiftRight: "wire",
    RoundShift: "rounding",
    Clamp: "saturation",
    ZeroOutside: "saturation",
    Wrap: "wire",
    Magnitude: "magnitude",
    Mirror: "mirror",
    Limited: "saturation",
    LookedUp: "wire",
    RomRead: "table",
}
"""What an operation is called in reports."""

_SUFFIXES: Mapping[type[Node], str] = {
    Add: "_sum",
    Subtract: "_sum",
    MatVec: "_sum",
    Multiply: "_product",
    Relu: "_relu",
    ShiftRight: "_shifted",
    RoundShift: "_rounded",
    Clamp: "_saturated",
    ZeroOutside: "_bounded",
    Wrap: "_wrapped",
    Magnitude: "_magnitude",
    Limited: "_limited",
    LastStep: "_last",
    Mirror: "_mirrored",
}
"""What the name of a step on the way to something named ends in."""


BLOCK_FROM = 2048
"""Bits from which on a table is better in block RAM, where there is time for that."""


class Expansion:
    """The operations of a graph, every one in its cycle.

    Parameters
    ----------
    graph, plan : what to expand
    delays, period : the clock it must keep
    starts : layer name -> the cycle in which its state is first read
    strategy : layer name -> how its products by constants are made, "dsp" or "shift_add"
    phases : cycles that sums which wait for no state may take
    spare : adders in series beyond the fewest that the sums of states may take
    blocks : the tables to put into block RAM, (layer, name) as `tables_with_time` gives them
    turns : layer name -> in how many turns its step is computed, by as many units fewer

    Members
    -------
    lanes : node -> its operations, for the nodes that are signals of their own
    ops : all operations, operands first
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        delays: Delays,
        period: float,
        starts: Mapping[str, int],
        strategy: Callable[[str], str],
        phases: int = 1,
        spare: int = 0,
        blocks: frozenset[tuple[str, str]] = frozenset(),
        turns: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.graph = graph
        self._placer = Placer(delays, period)
        self._starts = starts
        self._strategy = strategy
        self._phases = phases
        self._spare = spare
        self._blocks = blocks
        self._turns = turns
        self._units: dict[Node, tuple[Op, ...]] = {}
        self.lanes: dict[Node, tuple[Op, ...]] = {}
        self._forms: dict[Node, tuple[Linear, ...]] = {}
        self._users: dict[Node, list[Node]] = {}
        nodes = graph.nodes()
        for node in nodes:
            for arg in node.args:
                self._users.setdefault(arg, []).append(node)
        self._titles = _titles(nodes)
        self._recurrent = plan.recurrent
        self._ends: list[Node] = []
        self._sums = [
            node
            for node in nodes
            if self._is_sum(node)
            and not (self._is_absorbed(node) and (self._is_sum(self._users[node][0])))
        ]
        for item in plan.items:
            if isinstance(item, Recurrence) and item.loop.layer in starts:
                for _, following in item.loop.states:
                    self._ends.append(following)
                    self._materialise(following)

    @property
    def ops(self) -> list[Op]:
        return self._placer.ops

    def finish(self) -> None:
        """Expand what comes after the recurrent layers."""
        # Operands first: from the output alone the calls would nest as deep as a network that is
        # unrolled over many steps, which is deeper than Python goes.
        for node in self.graph.nodes():
            if not (isinstance(node, Constant) or self._is_sum(node) or self._in_turns(node)):
                self._materialise(node)
        self._materialise(self.graph.output)

    def postpone(self) -> None:
        """Move every operation to the latest cycle that delays no result.

        What waits then waits where it is narrow: in a long pipeline the inputs of a sum take
        fewer registers than the sum.
        """
        moved = postponed(
            self._placer.ops,
            set(self.lanes[self.graph.output]),
            self._placer.budget,
            self._placer.delays.alu,
        )
        self._placer.ops = list(moved.values())
        self.lanes = {
            node: tuple(moved.get(op, op) for op in ops) for node, ops in self.lanes.items()
        }

    def _materialise(self, node: Node) -> tuple[Op, ...]:
        """Return the operations of a node, placed when first asked for."""
        if node not in self.lanes:
            self.lanes[node] = self._place(node)
        return self.lanes[node]

    def _place(self, node: Node) -> tuple[Op, ...]:
        name, layer = self._titles[node], self.graph.layer_of[node]
        if self._in_turns(node):
            return self._all_turns(node)
        if isinstance(node, Input | State):
            kind = "state" if isinstance(node, State) else "input"
            cycle = self._starts[layer] if kind == "state" else 0
            return tuple(
                self._placer.source(f"{name}_{lane}", layer, bounds, cycle, kind=kind)
                for lane, bounds in enumerate(zip(node.lowest, node.highest, strict=True))
            )
        if isinstance(node, (*_LINEAR, Constant)) or _is_wire_of_sum(node):
            self._place_sums(self._group(node))
            return self.lanes[node]
        operands = [self._materialise(arg) for arg in node.args]
        if isinstance(node, Part):
            return operands[0][node.start : node.start + node.size]
        if isinstance(node, Joined):
            return tuple(op for lanes in operands for op in lanes)
        return tuple(
            self._lane(node, f"{name}_{lane}", layer, bounds, tuple(ops))
            for lane, (bounds, *ops) in enumerate(
                zip(zip(node.lowest, node.highest, strict=True), *operands, strict=True)
            )
        )

    def _in_turns(self, node: Node) -> bool:
        """Whether the lanes of a node take turns on fewer units."""
        layer = self.graph.layer_of[node]
        return self._turns.get(layer, 1) > 1 and node in self._recurrent and node.args != ()

    def _all_turns(self, node: Node) -> tuple[Op, ...]:
        """Return the lanes of a node whose units work in turns."""
        units = self._in_units(node, self.graph.layer_of[node])
        return tuple(
            self._placer.phase(
                f"{self._titles[node]}_{lane}_held",
                self.graph.layer_of[node],
                bounds,
                units[lane % len(units)],
                lane // len(units),
            )
            for lane, bounds in enumerate(zip(node.lowest, node.highest, strict=True))
        )

    def _in_units(self, node: Node, layer: str) -> tuple[Op, ...]:
        """Return the units that give the lanes of a node in the turns of a layer.

        In each turn that is as many lanes as there are units, one after the other.
        """
        if node not in self._units:
            turns = self._turns[layer]
            self._units[node] = tuple(
                self._unit(node, layer, unit) for unit in range(-(-node.size // turns))
            )
        return self._units[node]

    def _unit(self, node: Node, layer: str, unit: int) -> Op:
        turns = self._turns[layer]
        units = -(-node.size // turns)
        # The last turn may be short of lanes: what its units compute then is not read.
        lanes = [min(turn * units + unit, node.size - 1) for turn in range(turns)]
        name = f"{self._titles[node]}_{unit}"
        if not self._in_turns(node):
            ops = self._materialise(node)
            return self._placer.choice(name, layer, tuple(ops[lane] for lane in lanes))
        bounds = (min(node.lowest[n] for n in lanes), max(node.highest[n] for n in lanes))
        if self._is_sum(node):
            forms = self._linear(node)
            return place_turns(self._placer, [forms[n] for n in lanes], name, layer, bounds, units)
        operands = tuple(self._in_units(arg, layer)[unit] for arg in node.args)
        return self._lane(node, name, layer, bounds, operands)

    def _place_sums(self, nodes: list[Node]) -> None:
        """Place the sums of some nodes of a layer together."""
        layer = self.graph.layer_of[nodes[0]]
        forms = [form for node in nodes for form in self._linear(node)]
        names = [f"{self._titles[node]}_{lane}" for node in nodes for lane in range(node.size)]
        bounds = [b for node in nodes for b in zip(node.lowest, node.highest, strict=True)]
        ops = place_sums(
            self._placer,
            forms,
            names,
            layer,
            bounds,
            strategy=self._strategy(layer),
            phases=self._phases,
            spare=self._spare,
        )
        start = 0
        for node in nodes:
            self.lanes[node] = tuple(ops[start : start + node.size])
            start += node.size

    def _group(self, node: Node) -> list[Node]:
        """Return a sum and the others of its layer that multiply the same vectors.

        Sums that wait for a product of their own layer's state with something else stay alone:
        not all that they need stands at the time of the others.
        """
        key = self._multiplied(node)
        if not key:
            return [node]
        return [
            other
            for other in self._sums
            if other is node
            or (
                other not in self.lanes
                and self.graph.layer_of[other] == self.graph.layer_of[node]
                and self._multiplied(other) == key
            )
        ]

    def _multiplied(self, node: Node) -> frozenset[Node]:
        """Return the vectors of a sum's matrix products: those of the state, where there are."""
        leaves = self._leaves(node)
        recurrent = {leaf for leaf in leaves if leaf in self._recurrent}
        chosen = recurrent or {leaf for leaf in leaves if not isinstance(leaf, Constant)}
        if not all(isinstance(leaf, MatVec) for leaf in chosen):
            return frozenset()
        layer = self.graph.layer_of[node]
        if any(self.graph.layer_of[leaf] != layer for leaf in chosen):
            return frozenset()
        return frozenset(leaf.args[0] for leaf in chosen)

    def _leaves(self, node: Node) -> list[Node]:
        """Return the matrix products and the vectors that a sum adds."""
        if isinstance(node, MatVec) or not self._is_sum(node):
            return [node]
        return [
            leaf
            for arg in node.args
            for leaf in (self._leaves(arg) if self._is_absorbed(arg) else [arg])
        ]

    @staticmethod
    def _is_sum(node: Node) -> bool:
        return isinstance(node, _LINEAR) or _is_wire_of_sum(node)

    def _is_absorbed(self, node: Node) -> bool:
        """Whether a sum is only part of another one."""
        users = self._users.get(node, [])
        return self._is_sum(node) and len(users) == 1

    def _lane(
        self,
        node: Node,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        operands: tuple[Op, ...],
    ) -> Op:
        rom = node.rom if isinstance(node, RomRead) else None
        if _changes_nothing(node, operands):
            return operands[0]
        block = rom is not None and (layer, self._titles[node]) in self._blocks
        delays = self._placer.delays
        delay = delays.block_ram if block else _delay(node, operands, bounds, delays)
        return self._placer.add(
            name,
            layer,
            bounds,
            operands,
            None if rom else node.arithmetic,
            delay,
            kind=_KINDS[type(node)],
            last_only=isinstance(node, LastStep),
            rom=rom,
            title=node.title if isinstance(node, RomRead) else "",
            block=block,
        )

    def tables_with_time(self) -> list[tuple[str, str]]:
        """Return the large tables of loops whose address could wait in a register."""
        ends = {op for node in self._ends for op in self.lanes[node]}
        latest = postponed(self.ops, ends, self._placer.budget, self._placer.delays.alu)
        found = []
        for node, lanes in self.lanes.items():
            if not isinstance(node, RomRead) or node not in self._recurrent:
                continue
            bits = len(node.rom.codes) * lanes[0].width
            waits = all(latest[op].cycle > op.operands[0].cycle for op in lanes)
            if bits >= BLOCK_FROM and waits:
                found.append((self.graph.layer_of[node], self._titles[node]))
        return found

    def _linear(self, node: Node) -> tuple[Linear, ...]:
        """Return the lanes of a node as sums; sums that only one node uses join that node's."""
        if isinstance(node, Constant):
            return tuple(Linear({}, code) for code in node.lowest)
        if isinstance(node, MatVec):
            return _matvec(node.matrix, self._joined(node.args[0], multiplied=True))
        if isinstance(node, ShiftLeft):
            return tuple(form.times(1 << node.bits) for form in self._joined(node.args[0]))
        if isinstance(node, Proved):
            return self._joined(node.args[0])
        sign = -1 if isinstance(node, Subtract) else 1
        left, right = (self._joined(arg) for arg in node.args)
        return tuple(a.plus(b, sign) for a, b in zip(left, right, strict=True))

    def _joined(self, node: Node, *, multiplied: bool = False) -> tuple[Linear, ...]:
        """Return the lanes of what a sum adds, or of what a matrix multiplies: all at once."""
        if isinstance(node, Constant) or self._is_absorbed(node):
            return self._linear(node)
        if self._in_turns(node) and not multiplied:
            units = self._in_units(node, self.graph.layer_of[node])
            return tuple(Linear({units[lane % len(units)]: 1}) for lane in range(node.size))
        return tuple(Linear({op: 1}) for op in self._materialise(node))


def _is_wire_of_sum(node: Node) -> bool:
    return isinstance(node, Proved) and isinstance(node.args[0], _LINEAR)


def _matvec(matrix: IntArray, x: tuple[Linear, ...]) -> tuple[Linear, ...]:
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


def _changes_nothing(node: Node, operands: tuple[Op, ...]) -> bool:
    """Whether a lane's range makes the operation an identity."""
    op = operands[0]
    if isinstance(node, Clamp | ZeroOutside):
        return op.lowest >= node.form.min_code and op.highest <= node.form.max_code
    if isinstance(node, Limited):
        return op.lowest >= -node.limit - 1 and op.highest <= node.limit
    if isinstance(node, Wrap):
        half = 1 << (node.form.width - 1)
        return op.lowest >= -half and op.highest < half
    return isinstance(node, Relu) and op.lowest >= 0


def _delay(node: Node, operands: tuple[Op, ...], bounds: tuple[int, int], delays: Delays) -> float:
    """Return how long one lane takes, ns."""
    width = operands[0].width
    if isinstance(node, Multiply):
        return delays.product(*(op.width for op in operands))
    if isinstance(node, RomRead):
        return delays.rom(len(node.rom.codes))
    if isinstance(node, Mirror):
        return delays.adder(range_width(*bounds))
    if isinstance(node, Limited) or (
        isinstance(node, Clamp) and node.form.overflow is Overflow.SAT
    ):
        return delays.saturation(width - range_width(*bounds))
    if isinstance(node, Clamp | ZeroOutside | Magnitude | RoundShift):
        return delays.adder(width) + delays.logic  # a comparator or negation, then a selection
    return delays.logic if isinstance(node, Relu) else 0.0


def _titles(nodes: list[Node]) -> dict[Node, str]:
    """Return a name for every node: its own, or what it is on the way to."""
    titles: dict[Node, str] = {}
    for node in reversed(nodes):
        title = titles.setdefault(node, node.name)
        for arg in node.args:
            suffix = f"_{arg.title}" if isinstance(arg, RomRead) else _SUFFIXES.get(type(arg), "")
            titles.setdefault(arg, arg.name or title + suffix)
    return titles
