"""Layers in turns: a few units compute all lanes of a layer's vectors, one after the other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnnrtl.graph.masks import unmasked
from rnnrtl.graph.nodes import Constant, MatVec, Node
from rnnrtl.schedule.array import Array
from rnnrtl.schedule.folding import turn_constants
from rnnrtl.schedule.linear import is_sum
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.passes import Head, Lanes
from rnnrtl.schedule.reuse import Reuse
from rnnrtl.schedule.sums import narrowed
from rnnrtl.schedule.trees import Term, tree

if TYPE_CHECKING:
    from rnnrtl.schedule.expand import Expansion


class InTurns:
    """The layers of an expansion whose units, or rows, take turns.

    Parameters
    ----------
    owner : the expansion
    reuse : recurrent layer -> how
    heads : the phase in which each of the dense layers after the last recurrent layer begins on
        its array; None where they have hardware of their own
    """

    def __init__(
        self, owner: "Expansion", reuse: Mapping[str, Reuse], heads: Sequence[int] | None
    ) -> None:
        self._owner = owner
        self._units: dict[Node, tuple[Op, ...]] = {}
        self._from_outside: dict[tuple[Node, str], tuple[Op, ...]] = {}
        self._arrays: dict[str, Array] = {}
        self._lies: dict[str, Lanes] = {}
        self.heads: list[Head] = []
        # What a state is after a masked step waits for no turn: nothing of the loop reads it.
        self._kept = {
            following
            for loop in owner.graph.loops
            for state, following in loop.states
            if unmasked(state, following)[1]
        }
        for loop in owner.graph.loops:
            if loop.layer in reuse and loop.layer in owner.starts:
                last = loop is owner.graph.loops[-1]
                array = Array(owner, loop, reuse[loop.layer], heads if heads and last else ())
                self._arrays[loop.layer] = array
                self._lies[loop.layer] = array.lies
                self.heads += array.heads
        for head in self.heads:
            self._lies[owner.graph.layer_of[head.total]] = head.lies

    def __contains__(self, node: Node) -> bool:
        """Whether the lanes of a node take turns on fewer units."""
        layer = self._owner.graph.layer_of[node]
        if layer not in self._lies or not node.args or node in self._kept:
            return False
        return layer not in self._arrays or node in self._owner.recurrent

    def lanes(self, node: Node) -> tuple[Op, ...]:
        """Return the lanes of a node whose units work in turns, each held from its phase on."""
        owner = self._owner
        layer = owner.graph.layer_of[node]
        lies, units = self._lies[layer], self.units(node)
        return tuple(
            owner.placer.phase(
                f"{owner.titles[node]}_{lane}_held",
                layer,
                bounds,
                units[lies.unit(lane)],
                lies.phase(lane),
                last_only=layer not in self._arrays,
            )
            for lane, bounds in enumerate(zip(node.lowest, node.highest, strict=True))
        )

    def units(self, node: Node) -> tuple[Op, ...]:
        """Return the units that give the lanes of a node, each in its phase."""
        if node not in self._units:
            lies = self._lies[self._owner.graph.layer_of[node]]
            count = min(lies.units, node.size)
            self._units[node] = tuple(self._unit(node, unit) for unit in range(count))
        return self._units[node]

    def starts_needed(self) -> tuple[int, ...]:
        """Return for each head the phase in which its vector stands; the layers are expanded."""
        owner = self._owner
        found = []
        for head in self.heads:
            begins = head.lanes[0].cycle - head.passed.first
            stands = max(op.cycle for op in owner.lanes[head.vector]) + 1
            found.append(stands - begins)
        return tuple(found)

    def _unit(self, node: Node, unit: int) -> Op:
        owner = self._owner
        layer = owner.graph.layer_of[node]
        lies = self._lies[layer]
        name = f"{owner.titles[node]}_{unit}"
        lanes = range(unit, node.size, lies.units)
        bounds = (min(node.lowest[n] for n in lanes), max(node.highest[n] for n in lanes))
        if is_sum(node):
            return narrowed(owner.placer, self._sum(node, unit), name, layer, bounds)
        args = [self._in_units(arg, layer)[unit] for arg in node.args]
        latest = max(op.cycle for op in args)
        for n, (arg, op) in enumerate(zip(node.args, args, strict=True)):
            # What would wait for longer than a few turns waits in a register for each lane.
            if (
                arg in self
                and owner.graph.layer_of[arg] == layer
                and latest - op.cycle > len(lanes)
            ):
                args[n] = self._chosen(arg, unit, layer, owner.materialise(arg))
        return owner.lane(node, name, layer, bounds, tuple(args))

    def _in_units(self, node: Node, layer: str) -> tuple[Op, ...]:
        """Return the lanes of a node in the phases of a layer in turns."""
        if node in self and self._owner.graph.layer_of[node] == layer:
            return self.units(node)
        if (node, layer) not in self._from_outside:
            ops = self._owner.materialise(node)
            count = min(self._lies[layer].units, node.size)
            self._from_outside[node, layer] = tuple(
                self._chosen(node, unit, layer, ops) for unit in range(count)
            )
        return self._from_outside[node, layer]

    def _chosen(self, node: Node, unit: int, layer: str, ops: tuple[Op, ...]) -> Op:
        """Return one lane of a node after the other, each in the phase of its layer."""
        lies = self._lies[layer]
        reads: list[Op | None] = []
        for lane in range(unit, node.size, lies.units):
            reads += [None] * (lies.phase(lane) - len(reads))
            reads.append(ops[lane])
        owner = self._owner
        return owner.placer.choice(f"{owner.titles[node]}_{unit}", layer, reads)

    def _sum(self, node: Node, unit: int) -> Op:
        """Return a unit of a sum: rows on an array, and what else is added to them."""
        owner = self._owner
        layer = owner.graph.layer_of[node]
        lies, name = self._lies[layer], f"{owner.titles[node]}_{unit}"
        if any(head.total is node for head in self.heads):
            return self._arrays[owner.graph.loops[-1].layer].of_head(unit)
        # Not rows of a matrix, but values with phases of their own.
        forms = owner.linear(node)
        leaves = dict.fromkeys(owner.sums.leaves(node))
        added = []
        seen = set()  # two vectors may be one in some lanes, as x and relu(x): their weights add up
        for leaf in leaves:
            if isinstance(leaf, MatVec | Constant):
                continue
            op = self._in_units(leaf, layer)[unit]
            term = op if leaf in self else owner.materialise(leaf)[unit]
            weight = 0 if term in seen else forms[unit].terms.get(term, 0)
            seen.add(term)
            bits = [n for n in range(weight.bit_length()) if abs(weight) >> n & 1]
            added += [Term(op, bit, weight < 0) for bit in bits]
        if not any(isinstance(leaf, MatVec) for leaf in leaves):
            constants = [0] * (lies.phase(node.size - 1) + 1)
            for n in range(unit, node.size, lies.units):
                constants[lies.phase(n)] = forms[n].constant
            added += turn_constants(owner.placer, constants, name, layer)
            return tree(owner.placer, added, name, layer)
        in_parts = lies.stride > 1
        total = self._arrays[layer].rows(node, unit, [] if in_parts else added)
        # What has one phase a turn is added when the row is complete.
        if not (in_parts and added):
            return total
        return tree(owner.placer, [Term(total, 0, negative=False), *added], name, layer)

    def fed(self, node: Node) -> tuple[Op, ...] | None:
        """Return a vector as the array of its layer reads it, where that is a register."""
        return next((head.lanes for head in self.heads if head.vector is node), None)
