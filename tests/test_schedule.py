"""Schedules: operands first, delays within the clock, figures that follow from them."""

import itertools
from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.generation import generate
from rnnrtl.layers import Dense
from rnnrtl.schedule.delays import DELAYS
from rnnrtl.schedule.operations import Op, range_width
from rnnrtl.schedule.schedule import Schedule
from tests.arrivals import arrival
from tests.networks import CELLS, dense, network, recurrent

NETWORKS = {
    **{cell: network(recurrent(cell, 3, 4), dense(4, 2, "sigmoid"), steps=5) for cell in CELLS},
    "stacked": network(
        recurrent("lstm", 3, 3, sequences=True, name="a"),
        recurrent("gru_before", 3, 2, name="b"),
        steps=5,
    ),
    "dense only": network(dense(3, 2, "tanh"), steps=5),
}
CLOCKS = {
    "xcup": (10, 50, 100, 150, 200, 250, 300),
    "xcu": (10, 100, 200, 250),
    "xc7": (10, 50, 100, 150, 200),
    "ecp5": (5, 25, 50, 80, 90),
    "ice40": (1, 5, 10, 30, 40),
}
CASES = [(target, clock) for target, clocks in CLOCKS.items() for clock in clocks]


def schedule_of(name: str, target: str, clock: float, **options: Any) -> Schedule:
    design = generate(NETWORKS[name], "fixed<12,5>", target=target, clock_mhz=clock, **options)
    return design.schedule


def least_delay(op: Op, target: str) -> float:
    """Return what an operation takes at the least, from the family's numbers alone."""
    family = DELAYS[target]
    if op.block:
        return family.block_ram
    if op.rom is not None:
        address_bits = (len(op.rom.codes) - 1).bit_length()
        return family.logic * max(1, 1 + (address_bits - family.rom_inputs + 1) // 2)
    match op.kind:
        case "product":
            return family.multiplier
        case "adder" | "mirror":
            return family.logic + family.carry
        case "saturation" | "magnitude" | "rounding":
            return 2 * family.logic
        case "relu":
            return family.logic
    return 0.0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("target", "clock"), CASES)
def test_every_operation_has_its_operands_and_its_time(
    name: str, target: str, clock: float
) -> None:
    schedule = schedule_of(name, target, clock)
    budget = 1000 / clock - DELAYS[target].register
    seen: set[Op] = set()
    for op in schedule.ops:
        assert all(operand in seen or operand.kind == "constant" for operand in op.operands)
        seen.add(op)
        if op.kind in ("input", "state"):
            assert op.ready == 0.0
            continue
        assert op.ready >= arrival(op) + least_delay(op, target) - 1e-9
        assert op.ready <= budget + 1e-9
        assert op.lowest <= op.highest
        assert op.width == range_width(op.lowest, op.highest)
    assert len({(op.layer, op.name) for op in schedule.ops}) == len(schedule.ops)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("target", "clock"), CASES)
def test_every_state_is_read_while_it_stands(name: str, target: str, clock: float) -> None:
    """A state is read from when the last step has written it; its own step may hold it longer."""
    schedule = schedule_of(name, target, clock)
    for state in schedule.states:
        readers = [op for op in schedule.ops if set(op.operands) & set(state.state)]
        first = min(op.cycle for op in readers)
        written = max(op.cycle for op in state.following) + 1
        assert written == state.written
        assert written - schedule.beat_interval <= first
        assert written - 1 <= schedule.result_cycle
    assert schedule.beat_interval >= 1


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", CLOCKS)
def test_a_faster_clock_takes_no_fewer_cycles(name: str, target: str) -> None:
    schedules = [schedule_of(name, target, clock) for clock in CLOCKS[target]]
    for slow, fast in itertools.pairwise(schedules):
        assert slow.cycles_per_step <= fast.cycles_per_step
        assert slow.latency_cycles <= fast.latency_cycles
        assert slow.initiation_interval <= fast.initiation_interval
    if schedules[0].states:
        assert schedules[0].cycles_per_step < schedules[-1].cycles_per_step
    assert len({schedule.multipliers for schedule in schedules}) == 1


def test_figures() -> None:
    schedule = schedule_of("lstm", "xcup", 200)
    per_step = schedule.cycles_per_step
    assert schedule.steps == 5
    assert schedule.latency_cycles == 4 * per_step + schedule.tail_cycles
    assert schedule.latency_of(5) == schedule.latency_cycles
    assert schedule.latency_of(6) == schedule.latency_cycles + per_step
    assert schedule.initiation_interval == 5 * per_step
    assert schedule.latency_us == pytest.approx(schedule.latency_cycles * 0.005)


def test_multipliers_are_the_products_that_are_no_shifts() -> None:
    # Powers of two, their neighbours and sums of these; 43 and 85 are neither.
    kernel = [[0.5, -4.0, 0.0], [0.75, 43 / 128, -85 / 128]]
    net = network(Dense("head", np.array(kernel), np.array([0.25, 1.0])))
    assert generate(net, "fixed<12,5>", strategy="dsp").schedule.multipliers == 2
    assert generate(net, "fixed<12,5>", strategy="shift_add").schedule.multipliers == 0


def test_a_loop_of_few_cycles() -> None:
    for cell in CELLS:
        for precision in ("fixed<16,6>", "fixed<12,4>"):
            schedule = generate(network(recurrent(cell, 6, 20)), precision).schedule
            assert schedule.cycles_per_step <= 8


@pytest.mark.parametrize(
    ("name", "target", "clock"),
    [("lstm", "xcup", 400), ("gru_after", "ice40", 70), ("dense only", "ecp5", 1e6)],
)
def test_a_clock_that_is_too_fast(name: str, target: str, clock: float) -> None:
    words = rf"clock_mhz={clock:g} is too fast for .*: \w+ \w+\.\w+ alone takes .* at most \d+ MHz"
    with pytest.raises(UnsupportedError, match=words.replace("+06", r"\+06")) as caught:
        schedule_of(name, target, clock)
    # The advice holds for the operation that it names.
    most = int(str(caught.value).split("at most ")[1].split()[0])
    assert 0 < most < clock


@pytest.mark.parametrize("clock", [150, 200])
@pytest.mark.parametrize("strategy", ["dsp", "shift_add"])
@pytest.mark.parametrize("name", ["lstm", "gru_after"])
def test_what_no_ecp5_reaches_is_refused_beforehand(name: str, strategy: str, clock: float) -> None:
    words = rf"clock_mhz={clock} is too fast for ECP5-6: \w+ \w+\.\w+ alone takes .* at most (\d+)"
    with pytest.raises(UnsupportedError, match=words) as caught:
        schedule_of(name, "ecp5", clock, strategy=strategy)
    assert int(str(caught.value).split("at most ")[1].split()[0]) < clock


def test_unknown_target() -> None:
    words = "unknown target 'virtex', known: xcup, xcu, xc7, ecp5, ice40"
    with pytest.raises(UnsupportedError, match=words):
        schedule_of("lstm", "virtex", 100)


def test_steps_that_are_not_known() -> None:
    schedule = generate(NETWORKS["lstm"].replace(steps=None), "fixed<12,5>").schedule
    for figure in ("latency_cycles", "initiation_interval", "latency_us"):
        with pytest.raises(ModelError, match=r"steps is not known.*latency_of\(20\)"):
            getattr(schedule, figure)
    assert schedule.latency_of(7) == schedule_of("lstm", "xcup", 200).latency_of(7)
    given_later = generate(NETWORKS["lstm"].replace(steps=None), "fixed<12,5>", steps=5)
    assert given_later.schedule.latency_cycles == schedule.latency_of(5)
