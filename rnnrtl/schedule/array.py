"""Arrays of multipliers: rows of a matrix, and parts of its columns, pass through them in turn.

An array has a multiplier for every pair of a row and a column that it takes at a time, and adds
along its rows. The units of a recurrent layer pass through it a few at a time, and so do, after a
sequence's last step, the rows of the dense layers that follow.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnrtl.graph.graph import Graph, Loop
from rnnrtl.graph.nodes import Joined, LastStep, MatVec, Node, Part
from rnnrtl.schedule.folding import Column, turn_constants, turn_terms
from rnnrtl.schedule.linear import Linear, Sums
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.packing import packed_terms
from rnnrtl.schedule.passes import Head, Lanes, Pass, Row
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.reuse import Reuse
from rnnrtl.schedule.trees import Term, summed

if TYPE_CHECKING:
    from rnnrtl.schedule.expand import Expansion


class Array:
    """The multipliers of a recurrent layer.

    Parameters
    ----------
    owner : the expansion
    loop : the layer's
    reuse : how its products share them
    heads : the phase in which each of the dense layers after it begins; none where it serves none

    Members
    -------
    lies : where the lanes of the layer's vectors are
    heads : the dense layers
    """

    def __init__(self, owner: "Expansion", loop: Loop, reuse: Reuse, heads: Sequence[int]) -> None:
        self._owner = owner
        self._layer = loop.layer
        self._reuse = reuse
        self._columns: dict[tuple[Node, ...], list[Column]] = {}
        self._totals: dict[tuple[Node, int], Op] = {}
        self._rows: dict[tuple[Node, int], Row] = {}
        self._packed: dict[tuple[Op, Node, int], list[Term]] = {}
        state = next(state for state, _ in loop.states if state.name == "h")
        self._units = -(-state.size // reuse.turns)
        self._width = -(-state.size // reuse.recurrent)
        sums = owner.sums
        gate = next(node for node in sums.whole if sums.multiplied(node) == {state})
        self._gates = sums.group(gate, ())
        self.lies = Lanes(self._units, reuse.phases - 1, reuse.phases)
        self.heads: list[Head] = []
        if heads:
            self._add_heads(heads)

    def of_head(self, row: int) -> Op:
        """Return what a row of the array gives in the phases of dense layers."""
        gate, unit = divmod(row, self._units)
        return self._totals[self._gates[gate], unit]

    def rows(self, node: Node, unit: int, added: list[Term]) -> Op:
        """Return what a unit of the array gives of a sum, and other terms."""
        placer, layer = self._owner.placer, self._layer
        name = f"{self._owner.titles[node]}_{unit}"
        row = self._row(node, unit)
        columns = self._columns_of(node, inside=True)
        early = self._columns_of(node, inside=False)
        terms = self._terms(node, unit, columns, name)
        ahead = self._terms(node, unit, early, f"{name}_ahead")
        ahead += turn_constants(placer, row.constants, f"{name}_ahead", layer)
        if len(ahead) > 1:
            ahead = [summed(placer, ahead, f"{name}_ahead", layer)]
        total = summed(placer, [*terms, *ahead, *added], name, layer)
        self._totals[node, unit] = total.op
        if any(row.adds):
            self._totals[node, unit] = _accumulated(placer, total, row.adds, name, layer)
        # In turns of one phase the step's rows are whole as they are: only dense layers' add up.
        return self._totals[node, unit] if self._reuse.phases > 1 else total.op

    def _row(self, node: Node, unit: int) -> Row:
        """Return what passes through a row of the array, in all phases."""
        if (node, unit) not in self._rows:
            self._rows[node, unit] = self._made_row(node, unit)
        return self._rows[node, unit]

    def _made_row(self, node: Node, unit: int) -> Row:
        owner, reuse = self._owner, self._reuse
        heads = self.heads if node in self._gates else []
        phases = max([reuse.cycles, *(head.passed.end for head in heads)])
        forms: list[Linear | None] = [None] * phases
        adds = [False] * phases
        own = owner.linear(node)
        for turn, n in enumerate(range(unit, node.size, self._units)):
            for phase in range(turn * reuse.phases, (turn + 1) * reuse.phases):
                forms[phase], adds[phase] = own[n], phase % reuse.phases > 0
        for head in heads:
            first = self._gates.index(node) * self._units + unit
            of_head = owner.linear(head.total)
            for turn, n in enumerate(range(first, head.total.size, head.lies.units)):
                start = head.passed.first + turn * head.passed.phases
                for phase in range(start, start + head.passed.phases):
                    forms[phase], adds[phase] = of_head[n], phase > start
        return Row(forms, adds)

    def _terms(self, node: Node, unit: int, columns: Sequence[Column], name: str) -> list[Term]:
        """Return the products of a row of the array."""
        placer, layer = self._owner.placer, self._layer
        rows = [(n, u) for n in self._together(node) for u in range(self._units)]
        forms = self._row(node, unit).forms
        partner = rows.index((node, unit)) ^ 1
        if not self._reuse.packed or partner == len(rows) or not columns:
            return turn_terms(placer, columns, forms, name, layer, len(rows))
        key = (columns[0].op, node, unit)
        if key not in self._packed:
            of, number = rows[partner]
            others = (forms, self._row(of, number).forms)
            ending = name.removeprefix(f"{self._owner.titles[node]}_{unit}")
            names = (name, f"{self._owner.titles[of]}_{number}{ending}")
            found = packed_terms(placer, columns, others, names, layer, len(rows))
            self._packed[key] = found[0]
            self._packed[columns[0].op, *rows[partner]] = found[1]
        return self._packed[key]

    def _together(self, node: Node) -> list[Node]:
        """Return the sums that multiply the same vectors as one of them."""
        return self._gates if node in self._gates else [node]

    def _columns_of(self, node: Node, *, inside: bool) -> list[Column]:
        """Return the columns of the array that multiplies the vectors of a sum's products."""
        owner, reuse = self._owner, self._reuse
        vectors = tuple(
            leaf.args[0]
            for leaf in owner.sums.leaves(node)
            if isinstance(leaf, MatVec) and (leaf in owner.recurrent) == inside
        )
        if not vectors or vectors in self._columns:
            return self._columns.get(vectors, [])
        operands = tuple(
            op for vector in vectors for form in owner.joined(vector) for op in form.terms
        )
        parts = reuse.recurrent if inside else reuse.kernel
        width = -(-len(operands) // parts)
        passes = [Pass(operands, 0, reuse.turns, reuse.phases, width)]
        if inside and node in self._gates:
            passes += [head.passed for head in self.heads]
        title = "_".join(owner.titles[vector] for vector in vectors)
        always = reuse.phases == 1 and not self.heads
        found = []
        for column in range(width):
            reads = [
                next((op for p in passes if (op := p.read(column, phase))), None)
                for phase in range(max(p.end for p in passes))
            ]
            if always:
                assert reads[0] is not None
                found.append(Column(reads[0], reads))
            else:
                name = f"{title}_column_{column}"
                choice = owner.placer.choice(name, self._layer, reads, together=width)
                found.append(Column(choice, reads))
        self._columns[vectors] = found
        return found

    def _add_heads(self, starts: Sequence[int]) -> None:
        """Give the dense layers their places on the array."""
        owner = self._owner
        rows = self._units * len(self._gates)
        for total, start in zip(candidates(owner.graph, owner.sums), starts, strict=True):
            (vector,) = owner.sums.multiplied(total)
            title, cycle = owner.titles[vector], owner.starts[self._layer] + start
            ends = zip(vector.lowest, vector.highest, strict=True)
            lanes = tuple(
                owner.placer.source(f"{title}_{n}_fed", self._layer, bounds, cycle, kind="input")
                for n, bounds in enumerate(ends)
            )
            parts = -(-len(lanes) // self._width)
            passed = Pass(lanes, start, -(-total.size // rows), parts, self._width)
            place = Lanes(rows, start + parts - 1, parts)
            self.heads.append(Head(total, vector, lanes, passed, place))


def candidates(graph: Graph, sums: Sums) -> list[Node]:
    """Return the sums of the dense layers that an array before them could compute, or none.

    Each must multiply one vector by one matrix, after a sequence's last step only.
    """
    last: set[Node] = set()
    for node in graph.nodes():
        if isinstance(node, LastStep) or any(arg in last for arg in node.args):
            last.add(node)
    across = {graph.layer_of[node] for node in graph.nodes() if isinstance(node, Part | Joined)}
    found = [
        node
        for node in sums.whole
        if node in last
        and any(isinstance(leaf, MatVec) for leaf in sums.leaves(node))
        # Rows in turn give lanes in turn: nothing may take several of them at once.
        and graph.layer_of[node] not in across
    ]
    vectors = [sums.multiplied(node) for node in found]
    alone = all(len(v) == 1 and not sums.is_absorbed(next(iter(v))) for v in vectors)
    layers = {graph.layer_of[node] for node in found}
    return found if alone and len(layers) == len(found) else []


def _accumulated(placer: Placer, total: Term, adds: Sequence[bool], name: str, layer: str) -> Op:
    """Return the sum of the phases of each row so far."""
    low = high = lowest = highest = 0
    for least, most, add in zip(*total.added_ranges(len(adds)).tolist(), adds, strict=True):
        low, high = (low + least, high + most) if add else (least, most)
        lowest, highest = min(low, lowest), max(high, highest)

    def compute(addend: Any, kept: Any) -> Any:
        return addend + kept

    return placer.add(
        f"{name}_sum",
        layer,
        (lowest, highest),
        (total.op, placer.constant(name, layer, 0)),
        compute,
        placer.delays.adder(total.op.width) + placer.delays.logic,
        kind="adder",
        carry=lambda v: v,
        adds=tuple(adds),
    )
