"""From vectors to scalar operations: every lane of every node of a graph, placed in time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rnnrtl.graph.evaluate import Plan, Recurrence
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lookup import ColumnRead, RomRead
from rnnrtl.graph.masks import unmasked
from rnnrtl.graph.nodes import (
    Constant,
    Input,
    Joined,
    LastStep,
    MatVec,
    Node,
    Part,
    Proved,
    ShiftLeft,
    State,
    Subtract,
)
from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.kinds import KINDS, changes_nothing, delay_of, titles_of
from rnnrtl.schedule.linear import Linear, Sums, is_sum, product_of
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.postpone import postponed
from rnnrtl.schedule.reuse import Reuse
from rnnrtl.schedule.sums import place_sums
from rnnrtl.schedule.turns import InTurns

BLOCK_FROM = 2048
"""Bits from which on a table is better in block RAM, where there is time for that."""


@dataclass(frozen=True)
class Choices:
    """What may be chosen when a graph is expanded.

    Members
    -------
    strategy : layer name -> how its products by constants are made, "dsp" or "shift_add"
    phases : cycles that sums which wait for no state may take
    spare : adders in series beyond the fewest that the sums of states may take
    blocks : the tables to put into block RAM, (layer, name) as `tables_with_time` gives them
    reuse : recurrent layers whose units are computed in turns -> how
    heads : the phase in which each of the dense layers after the last recurrent layer begins on
        the array of that layer; None where they have hardware of their own
    weight_storage : where weights that multipliers take in turn are: "auto", "logic" or "block"
    sharing : how many products may share a multiplier in turns; 0 where each has its own
    """

    strategy: Callable[[str], str]
    phases: int = 1
    spare: int = 0
    blocks: frozenset[tuple[str, str]] = frozenset()
    reuse: Mapping[str, Reuse] = field(default_factory=lambda: MappingProxyType({}))
    heads: tuple[int, ...] | None = None
    weight_storage: str = "auto"
    sharing: int = 0


class Expansion:
    """The operations of a graph, every one in its cycle.

    Parameters
    ----------
    graph, plan : what to expand
    delays, period : the clock it must keep
    starts : layer name -> the cycle in which its state is first read
    choices : how

    Members
    -------
    lanes : node -> its operations, for the nodes that are signals of their own
    ops : all operations, operands first
    turns : the layers whose units take turns
    offered : state -> the lanes that the input offers in its place, where it does
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        delays: Delays,
        period: float,
        starts: Mapping[str, int],
        choices: Choices,
    ) -> None:
        self.graph = graph
        self.starts = starts
        # Before a multiplier that products share stands the choice of one of them.
        wait = delays.choice(choices.sharing) if choices.sharing else 0.0
        self.placer = Placer(delays, period, choices.weight_storage, wait)
        self.titles = titles_of(graph.nodes())
        self.recurrent = plan.recurrent
        self.sums = Sums(graph, self.recurrent)
        self.lanes: dict[Node, tuple[Op, ...]] = {}
        self._choices = choices
        self._forms: dict[Node, tuple[Linear, ...]] = {}
        self.turns = InTurns(self, choices.reuse, choices.heads)
        self._ends: list[Node] = []
        self.offered: dict[State, tuple[Op, ...]] = {}
        for item in plan.items:
            if isinstance(item, Recurrence) and item.loop.layer in starts:
                for state, following in item.loop.states:
                    ends = [node for node in unmasked(state, following) if node]
                    self._ends += ends
                    for node in (*ends, state):
                        self.materialise(node)

    @property
    def ops(self) -> list[Op]:
        return self.placer.ops

    def finish(self) -> None:
        """Expand what comes after the recurrent layers."""
        # Operands first: from the output alone the calls would nest as deep as a network that is
        # unrolled over many steps, which is deeper than Python goes.
        for node in self.graph.nodes():
            if not (isinstance(node, Constant) or is_sum(node) or node in self.turns):
                self.materialise(node)
        for head in self.turns.heads:
            self.materialise(head.vector)
        for node in (*self.graph.ended, self.graph.output):
            self.materialise(node)
        if self.graph.ended:
            self.offered = {
                s: self._offered(s) for loop in self.graph.loops for s, _ in loop.states
            }
        self._drop_what_nothing_reads()

    def _drop_what_nothing_reads(self) -> None:
        """Forget operations on the way to nothing, as what weights of zero would multiply."""
        heads = [head.vector for head in self.turns.heads]
        ends = [self.graph.output, *self.graph.ended, *self._ends, *heads]
        needed = {op for node in ends for op in self.lanes[node]}
        for op in reversed(self.placer.ops):
            if op in needed:
                needed.update(op.operands)
        self.placer.ops = [
            op for op in self.placer.ops if op in needed or op.kind in ("input", "state")
        ]

    def postpone(self) -> None:
        """Move every operation to the latest cycle that delays no result.

        What waits then waits where it is narrow: in a long pipeline the inputs of a sum take
        fewer registers than the sum.
        """
        moved = postponed(
            self.placer.ops,
            set(self.lanes[self.graph.output]),
            self.placer.budget,
            self.placer.delays.alu,
        )
        self.placer.ops = list(moved.values())
        self.lanes = {
            node: tuple(moved.get(op, op) for op in ops) for node, ops in self.lanes.items()
        }

    def materialise(self, node: Node) -> tuple[Op, ...]:
        """Return the operations of a node, placed when first asked for."""
        if node not in self.lanes:
            self.lanes[node] = self._place(node)
        return self.lanes[node]

    def _offered(self, state: State) -> tuple[Op, ...]:
        layer = self.graph.layer_of[state]
        return tuple(
            self.placer.source(f"{state.name}_offered_{lane}", layer, bounds, 0, kind="input")
            for lane, bounds in enumerate(zip(state.lowest, state.highest, strict=True))
        )

    def _place(self, node: Node) -> tuple[Op, ...]:
        name, layer = self.titles[node], self.graph.layer_of[node]
        if node in self.turns:
            return self.turns.lanes(node)
        if isinstance(node, Input | State):
            kind = "state" if isinstance(node, State) else "input"
            cycle = self.starts[layer] if kind == "state" else 0
            return tuple(
                self.placer.source(f"{name}_{lane}", layer, bounds, cycle, kind=kind)
                for lane, bounds in enumerate(zip(node.lowest, node.highest, strict=True))
            )
        if is_sum(node) or isinstance(node, Constant):
            self._place_sums(self.sums.group(node, self.lanes))
            return self.lanes[node]
        operands = [self.materialise(arg) for arg in node.args]
        if isinstance(node, Part):
            return operands[0][node.start : node.start + node.size]
        if isinstance(node, Joined):
            return tuple(op for lanes in operands for op in lanes)
        return tuple(
            self.lane(node, f"{name}_{lane}", layer, bounds, tuple(ops))
            for lane, (bounds, *ops) in enumerate(
                zip(zip(node.lowest, node.highest, strict=True), *operands, strict=True)
            )
        )

    def _place_sums(self, nodes: list[Node]) -> None:
        """Place the sums of some nodes of a layer together."""
        layer = self.graph.layer_of[nodes[0]]
        forms = [form for node in nodes for form in self.linear(node)]
        names = [f"{self.titles[node]}_{lane}" for node in nodes for lane in range(node.size)]
        bounds = [b for node in nodes for b in zip(node.lowest, node.highest, strict=True)]
        ops = place_sums(
            self.placer,
            forms,
            names,
            layer,
            bounds,
            strategy=self._choices.strategy(layer),
            phases=self._choices.phases,
            spare=self._choices.spare,
            recurrent=any(node in self.recurrent for node in nodes),
        )
        start = 0
        for node in nodes:
            self.lanes[node] = tuple(ops[start : start + node.size])
            start += node.size

    def lane(
        self,
        node: Node,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        operands: tuple[Op, ...],
    ) -> Op:
        """Place one lane of a node."""
        rom = node.rom if isinstance(node, RomRead) else None
        if changes_nothing(node, operands):
            return operands[0]
        block = rom is not None and (
            (layer, self.titles[node]) in self._choices.blocks
            or (isinstance(node, ColumnRead) and len(rom.codes) * rom.width >= BLOCK_FROM)
        )
        delays = self.placer.delays
        delay = delays.block_ram if block else delay_of(node, operands, bounds, delays)
        return self.placer.add(
            name,
            layer,
            bounds,
            operands,
            None if rom else node.arithmetic,
            delay,
            kind=KINDS[type(node)],
            last_only=isinstance(node, LastStep),
            rom=rom,
            title=node.title if isinstance(node, RomRead) else "",
            block=block,
        )

    def tables_with_time(self) -> list[tuple[str, str]]:
        """Return the large tables of loops whose address could wait in a register."""
        ends = {op for node in self._ends for op in self.lanes[node]}
        latest = postponed(self.ops, ends, self.placer.budget, self.placer.delays.alu)
        found = []
        for node, lanes in self.lanes.items():
            if not isinstance(node, RomRead) or node not in self.recurrent:
                continue
            bits = len(node.rom.codes) * lanes[0].width
            waits = all(latest[op].cycle > op.operands[0].cycle for op in lanes)
            if bits >= BLOCK_FROM and waits:
                found.append((self.graph.layer_of[node], self.titles[node]))
        return found

    # -- exact sums ------------------------------------------------------------------------------

    def linear(self, node: Node) -> tuple[Linear, ...]:
        """Return the lanes of a node as sums; sums that only one node uses join that node's."""
        if node not in self._forms:
            self._forms[node] = self._linear(node)
        return self._forms[node]

    def _linear(self, node: Node) -> tuple[Linear, ...]:
        if isinstance(node, Constant):
            return tuple(Linear({}, code) for code in node.lowest)
        if isinstance(node, MatVec):
            return product_of(node.matrix, self.joined(node.args[0]))
        if isinstance(node, ShiftLeft):
            return tuple(form.times(1 << node.bits) for form in self._added(node, 0))
        if isinstance(node, Proved):
            return self._added(node, 0)
        sign = -1 if isinstance(node, Subtract) else 1
        left, right = (self._added(node, n) for n in range(2))
        return tuple(a.plus(b, sign) for a, b in zip(left, right, strict=True))

    def _added(self, total: Node, number: int) -> tuple[Linear, ...]:
        """Return the lanes of what a sum adds; in turns, the unit of each."""
        node = total.args[number]
        if node in self.turns and total in self.turns and not self.sums.is_absorbed(node):
            units = self.turns.units(node)
            return tuple(Linear({units[lane % len(units)]: 1}) for lane in range(node.size))
        return self.joined(node)

    def joined(self, node: Node) -> tuple[Linear, ...]:
        """Return the lanes of what a sum adds or a matrix multiplies: all at once."""
        if isinstance(node, Constant) or self.sums.is_absorbed(node):
            return self.linear(node)
        ops = self.turns.fed(node) or self.materialise(node)
        return tuple(
            Linear({}, op.lowest) if op.kind == "constant" else Linear({op: 1}) for op in ops
        )


__all__ = ["BLOCK_FROM", "Choices", "Expansion"]
