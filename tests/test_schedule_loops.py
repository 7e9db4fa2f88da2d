"""Loops as short as they are meant to be, sums in DSP blocks, and operations that wait."""

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from rnnrtl.demo.jets import NETWORKS as TAGGERS
from rnnrtl.demo.jets import tagger
from rnnrtl.fixedpoint import Precision
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import plan
from rnnrtl.graph.unroll import trace_unrolled
from rnnrtl.schedule import expand
from rnnrtl.schedule.delays import DELAYS
from rnnrtl.schedule.operations import Op, range_width
from rnnrtl.schedule.postpone import postponed
from rnnrtl.schedule.schedule import Schedule
from tests.arrivals import arrival
from tests.networks import CELLS, GATED, dense, network, recurrent

CLOCKS = [("xcup", 60), ("xcup", 120), ("xcup", 200), ("xcup", 250), ("xc7", 100), ("ecp5", 50)]


def check_times(ops: tuple[Op, ...] | list[Op], target: str, clock: float) -> None:
    """Check that every operation has the time it takes, by its own stated delay."""
    delays = DELAYS[target]
    budget = 1000 / clock - delays.register + 1e-9
    placed: set[Op] = set()
    for op in ops:
        assert all(operand in placed or operand.kind == "constant" for operand in op.operands)
        placed.add(op)
        assert op.ready <= budget
        if op.kind == "DSP adder":
            left, right = op.operands
            assert _hosts(op, left, right, target) or _hosts(op, right, left, target)
        elif op.operands:
            assert op.ready >= arrival(op) + op.delay - 1e-9, op.name


def _hosts(op: Op, product: Op, other: Op, target: str) -> bool:
    """Whether a sum is made by the adder behind the multiplier of `product`."""
    delays = DELAYS[target]
    return (
        product.kind == "product"
        and product.cycle == op.cycle
        and product.delay <= delays.multiplier
        and delays.alu is not None
        and op.ready >= product.ready - 1e-9
        and op.ready >= arrival(replace(op, operands=(other,))) + delays.alu - 1e-9
    )


def schedule_of(
    cell: str, target: str, clock: float, mode: str = "static", precision: str = "fixed<12,4>"
) -> Schedule:
    net = network(recurrent(cell, 3, 3), dense(3, 2, "sigmoid"), steps=3)
    beat = 3 if mode == "unrolled" else 1
    return generate(
        net, precision, strategy="dsp", target=target, clock_mhz=clock, mode=mode,
        steps_per_beat=beat,
    ).schedule  # fmt: skip


@pytest.mark.parametrize("precision", ["fixed<10,4>", "fixed<16,6>"])
@pytest.mark.parametrize("mode", ["static", "unrolled"])
@pytest.mark.parametrize(("target", "clock"), CLOCKS)
@pytest.mark.parametrize("cell", GATED)
def test_every_operation_has_its_time(
    cell: str, target: str, clock: float, mode: str, precision: str
) -> None:
    schedule = schedule_of(cell, target, clock, mode, precision)
    check_times(schedule.ops, target, clock)
    if DELAYS[target].alu is None:
        assert not [op for op in schedule.ops if op.kind == "DSP adder"]


@pytest.mark.parametrize("cell", CELLS)
def test_sums_in_dsp_blocks_occur(cell: str) -> None:
    """Else the tests of their times would not try any."""
    kinds = Counter(op.kind for op in schedule_of(cell, "xcup", 200).ops)
    assert kinds["DSP adder"]
    assert kinds["adder"]


@pytest.mark.parametrize("strategy", ["dsp", "shift_add"])
@pytest.mark.parametrize(("target", "clock"), CLOCKS)
@pytest.mark.parametrize("cell", GATED)
def test_what_is_postponed_waits_and_delays_nothing(
    cell: str, target: str, clock: float, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[Op], set[Op], dict[Op, Op]]] = []

    def spy(ops: list[Op], ends: set[Op], budget: float, alu: float | None) -> dict[Op, Op]:
        calls.append((ops, ends, moved := postponed(ops, ends, budget, alu)))
        return moved

    monkeypatch.setattr(expand, "postponed", spy)
    net = network(
        recurrent(cell, 3, 2, sequences=True, name="lower"),
        recurrent("lstm", 2, 2, name="upper"),
        dense(2, 1, "sigmoid"),
        steps=3,
    )
    options: dict[str, Any] = {"mode": "unrolled", "steps_per_beat": 3, "strategy": strategy}
    design = generate(net, "fixed<9,4>", target=target, clock_mhz=clock, **options)
    schedule = design.schedule
    ops, ends, moved = calls[-1]  # before it, one for the size where that matters
    check_times(ops, target, clock)
    check_times(list(moved.values()), target, clock)
    assert list(schedule.ops) == list(moved.values())
    later = 0
    for op, new in moved.items():
        assert new.operands == tuple(moved.get(operand, operand) for operand in op.operands)
        assert (new.cycle, new.ready) >= (op.cycle, op.ready)
        later += new.cycle > op.cycle
        if op in ends or op.kind == "input":
            assert (new.cycle, new.ready) == (op.cycle, op.ready)
    assert later
    assert schedule.result_cycle == max(op.cycle for op in ends)


def registers(ops: tuple[Op, ...] | list[Op]) -> int:
    """Return the bits of the registers that hold values until their last use."""
    last: dict[Op, int] = {}
    for op in ops:
        for operand in op.operands:
            last[operand] = max(last.get(operand, 0), op.cycle)
    return sum(op.width * (cycle - op.cycle) for op, cycle in last.items() if op.kind != "constant")


def test_postponing_saves_registers() -> None:
    """Along a longer sequence, what is summed for a late step waits as its narrow inputs."""
    net = network(recurrent("gru_after", 3, 6), steps=10)
    late = generate(net, "fixed<9,4>", mode="unrolled", steps_per_beat=10).schedule.ops
    graph = trace_unrolled(net, Precision.parse("fixed<9,4>"), 10)
    choices = expand.Choices(lambda layer: "shift_add")
    soon = expand.Expansion(graph, plan(graph), DELAYS["xcup"], 5.0, {}, choices)
    soon.finish()
    assert registers(late) < 0.9 * registers(soon.ops)


def test_the_width_of_a_range() -> None:
    for low in range(-20, 21):
        for high in range(low, 21):
            width = range_width(low, high)
            ends = (-(1 << width - 1), 1 << width - 1) if low < 0 else (0, 1 << width)
            assert ends[0] <= low <= high < ends[1]
            if width > 1:  # and one bit fewer would not do
                shorter = [end // 2 for end in ends]
                assert low < shorter[0] or high >= shorter[1]


# -- trained networks ------------------------------------------------------------------------------


@cache
def top_schedule(name: str, precision: str, strategy: str, clock: float = 200.0) -> Schedule:
    return generate(
        tagger(name), precision, strategy=strategy, clock_mhz=clock, target="xcup", steps=20
    ).schedule


def constant_products(schedule: Schedule) -> list[Op]:
    """Return the products by weights, not those of a vector with a vector."""
    products = [op for op in schedule.ops if op.kind == "product"]
    return [op for op in products if any(o.kind == "constant" for o in op.operands)]


@pytest.mark.parametrize("strategy", ["dsp", "shift_add"])
@pytest.mark.parametrize("name", TAGGERS)
def test_the_loop_of_16_bits_takes_4_cycles_at_200_mhz(name: str, strategy: str) -> None:
    schedule = top_schedule(name, "fixed<16,6>", strategy)
    assert schedule.cycles_per_step == 4
    assert schedule.latency_cycles <= 90
    assert schedule.initiation_interval == 80
    check_times(schedule.ops, "xcup", 200)


@pytest.mark.parametrize("strategy", ["dsp", "shift_add"])
@pytest.mark.parametrize("name", TAGGERS)
def test_the_loop_of_16_bits_takes_3_cycles_at_100_mhz(name: str, strategy: str) -> None:
    schedule = top_schedule(name, "fixed<16,6>", strategy, 100.0)
    assert schedule.cycles_per_step <= 3
    check_times(schedule.ops, "xcup", 100)


@pytest.mark.parametrize("name", TAGGERS)
def test_the_loop_of_10_bits_takes_3_cycles_at_200_mhz(name: str) -> None:
    schedule = top_schedule(name, "fixed<10,4>", "shift_add")
    assert schedule.cycles_per_step == 3
    check_times(schedule.ops, "xcup", 200)


@pytest.mark.parametrize("precision", ["fixed<16,6>", "fixed<10,4>"])
@pytest.mark.parametrize("name", TAGGERS)
def test_matrix_products_by_shifts_and_adds_take_no_multiplier(name: str, precision: str) -> None:
    schedule = top_schedule(name, precision, "shift_add")
    assert not constant_products(schedule)
    units = 20
    assert schedule.multipliers == 3 * units  # gates times states and candidates only
    if precision == "fixed<16,6>":
        assert constant_products(top_schedule(name, precision, "dsp"))
