"""Hardware used in several cycles: exact sums, units used once at a time, and block RAM."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnrtl.design import Design
from rnnrtl.network import Network
from rnnrtl.schedule.delays import DELAYS
from rnnrtl.schedule.folding import fold_cost
from rnnrtl.schedule.linear import Linear
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.place import Placer
from rnnrtl.schedule.sums import FOLD_FROM, place_sums
from rnnrtl.schedule.trees import IN_SERIES, MULTIPLIER, _exponent, _odd, _sums, cost
from rnnrtl.simulation import SimulatorName
from tests.arrivals import arrival
from tests.designs import check, designed
from tests.networks import GATED, dense, network, recurrent

STRATEGIES = ("dsp", "shift_add")
FORMS = {"dsp": "fixed<16,6>", "shift_add": "fixed<9,4>"}
"""Taking turns on multipliers pays where weights are wide."""


class Interpreter:
    """Runs operations on Python ints, by the rules of `Op` alone."""

    def __init__(self, inputs: dict[Op, int]) -> None:
        self._inputs = inputs
        self._values: dict[tuple[Op, int], int] = {}

    def value(self, op: Op, cycle: int) -> int:
        """Return what an operation gives when read in a cycle, which must lie in its range."""
        phase = 0 if op.phases == 1 else cycle - op.cycle
        assert 0 <= phase < op.phases, f"{op} is read in cycle {cycle}"
        if (op, phase) not in self._values:
            value = self._computed(op, phase)
            assert op.lowest <= value <= op.highest, f"{op} gives {value}"
            self._values[op, phase] = value
        return self._values[op, phase]

    def _computed(self, op: Op, phase: int) -> int:
        if op in self._inputs:
            return self._inputs[op]
        if op.kind == "constant":
            return op.lowest
        if op.values:
            return op.values[phase]
        if op.kind == "choice":
            number = op.select[phase]
            assert number is not None, f"{op} is read in phase {phase}"
            return self.value(op.operands[number], op.cycle + phase)
        assert op.compute is not None
        operands = [self._operand(op, operand, phase) for operand in op.operands]
        if op.carry is not None and phase:
            operands[-1] = op.carry(self.value(op, op.cycle + phase - 1))
        result: int = op.compute(*operands)
        return result

    def _operand(self, op: Op, operand: Op, phase: int) -> int:
        if operand.phases == 1:
            return self.value(operand, operand.cycle)
        # In step with an operation of as many phases; else what is due in the reader's cycle.
        return self.value(operand, operand.cycle + phase if op.phases > 1 else op.cycle)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[list[list[int]], list[int], list[tuple[int, int]]]:
    """Return a matrix that is worth sharing, the constants, and the ranges of the vector."""
    columns = draw(st.integers(2, 9))
    rows = -(-FOLD_FROM // columns) + draw(st.integers(0, 3))
    weights = st.integers(1, 20_000).flatmap(lambda w: st.sampled_from([w, -w]))
    matrix = [draw(st.lists(weights, min_size=columns, max_size=columns)) for _ in range(rows)]
    constants = draw(st.lists(st.sampled_from([0, 1, -5, 64, 1000]), min_size=rows, max_size=rows))
    ends = st.sampled_from([(-1, 0), (0, 1), (-8, 7), (0, 200), (-100, 3), (-512, 511)])
    return matrix, constants, draw(st.lists(ends, min_size=columns, max_size=columns))


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=25, deadline=None)
@given(case=matrices(), phases=st.integers(2, 7), data=st.data())
def test_sums_in_several_cycles_are_exact(
    strategy: str,
    case: tuple[list[list[int]], list[int], list[tuple[int, int]]],
    phases: int,
    data: st.DataObject,
) -> None:
    matrix, constants, ranges = case
    placer = Placer(DELAYS["xcup"], 5.0)
    xs = [placer.source(f"x_{n}", "", ends, 0, kind="input") for n, ends in enumerate(ranges)]
    totals = [
        Linear(dict(zip(xs, row, strict=True)), constant)
        for row, constant in zip(matrix, constants, strict=True)
    ]
    wide = [(-(10**9), 10**9)] * len(matrix)
    names = [f"y_{n}" for n in range(len(matrix))]
    ops = place_sums(placer, totals, names, "a", wide, strategy=strategy, phases=phases)
    digits = max(x.width for x in xs)
    pays = fold_cost([t.terms for t in totals], phases) < cost([t.terms for t in totals])
    shared = pays if strategy == "dsp" else digits > 1
    assert any(op.phases > 1 for op in placer.ops) == shared
    assert all(op.phases <= phases for op in placer.ops)
    for op in placer.ops:
        if op.kind != "DSP adder":
            assert op.ready >= arrival(op) + op.delay - 1e-9
        assert op.ready <= placer.budget + 1e-9
    for codes in ([e[0] for e in ranges], [e[1] for e in ranges], None):
        vector = codes or [data.draw(st.integers(*ends)) for ends in ranges]
        run = Interpreter(dict(zip(xs, vector, strict=True)))
        assert [run.value(op, op.cycle) for op in ops] == [
            sum(w * x for w, x in zip(row, vector, strict=True)) + constant
            for row, constant in zip(matrix, constants, strict=True)
        ]


@given(st.sets(st.integers(0, 2000).map(lambda n: 2 * n + 1), max_size=40))
def test_multiples_one_adder_away_are_sums_of_two_others(factors: set[int]) -> None:
    found = _sums(factors)
    assert set(found) <= factors - {1}
    depth = {1: 0}
    for factor, parts in found.items():
        assert sum(parts) == factor
        assert all(part and part % (1 << _exponent(part)) == 0 for part in parts)
        depth[factor] = 1 + max(depth[_odd(part)] for part in parts)
        assert depth[factor] <= IN_SERIES


def wide(cell: str, *, sequences: bool = False) -> Network:
    """Return a network whose input products and head are worth sharing."""
    return network(
        recurrent(cell, 9, 12, sequences=sequences, scale=0.3), dense(12, 9, "tanh"), steps=3
    )


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shared_hardware_gives_the_same_bits(strategy: str, cell: str, sequences: bool) -> None:
    form = FORMS[strategy]
    design = designed(wide(cell, sequences=sequences), "static", form, strategy=strategy)
    shared = [op for op in design.schedule.ops if op.phases > 1]
    assert {op.layer for op in shared} == {cell, "head"}
    check(design, disturbed=False)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shared_hardware_in_every_simulator(strategy: str, simulator: SimulatorName) -> None:
    form = FORMS[strategy]
    check(designed(wide("gru_after"), "static", form, strategy=strategy), simulator)


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sharing_costs_no_throughput_and_spares_hardware(strategy: str, cell: str) -> None:
    def hardware(design: Design) -> int:
        kinds = Counter(op.kind for op in design.schedule.ops)
        return kinds["adder"] + kinds["DSP adder"] + MULTIPLIER * kinds["product"]

    def bits(design: Design) -> int:
        return sum(op.width for op in design.schedule.ops if op.kind.endswith("adder"))

    form = FORMS[strategy]
    shared, plain = (
        designed(wide(cell), "static", form, strategy=strategy, reuse_factor=reuse)
        for reuse in (1, (1, 1))
    )
    assert not any(op.phases > 1 for op in plain.schedule.ops)
    assert shared.schedule.initiation_interval == plain.schedule.initiation_interval
    assert shared.schedule.latency_cycles >= plain.schedule.latency_cycles
    assert all(op.phases <= shared.schedule.beat_interval for op in shared.schedule.ops)
    if strategy == "dsp":
        assert hardware(shared) < hardware(plain)
    else:
        assert bits(shared) < bits(plain)


@pytest.mark.parametrize("mode", ["interleaved", "unrolled"])
def test_where_a_beat_may_come_at_every_edge_nothing_is_shared(mode: str) -> None:
    """But in a head that takes one result a sequence."""
    schedule = designed(wide("lstm"), mode).schedule
    shared = {op.layer for op in schedule.ops if op.phases > 1}
    assert shared == ({"head"} if mode == "interleaved" else set())


def tables_in_blocks(cell: str, mode: str = "static") -> Design:
    # 13 bits: tables large enough for block RAM. At this clock some have a cycle to spare.
    net = network(recurrent(cell, 2, 2), dense(2, 1), steps=3)
    options: dict[str, Any] = {"clock_mhz": 250.0, "strategy": "dsp"}
    return designed(net, mode, "fixed<13,4>", **options)


@pytest.mark.parametrize("simulator", ["amaranth", "icarus", "verilator"])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", ["lstm", "gru_after"])
def test_tables_with_time_are_in_block_ram(cell: str, mode: str, simulator: SimulatorName) -> None:
    design = tables_in_blocks(cell, mode)
    blocks = [op for op in design.schedule.ops if op.block]
    assert blocks
    assert all(op.rom is not None and op.operands[0].cycle < op.cycle for op in blocks)
    check(design, simulator)


def test_yosys_finds_the_block_ram() -> None:
    design = tables_in_blocks("lstm")
    blocks = [op for op in design.schedule.ops if op.block]
    assert design.estimate("ecp5").bram >= len(blocks) / 2
