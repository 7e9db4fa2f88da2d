"""Clocks that nextpnr does not reach on ECP5: met with more cycles, or refused beforehand."""

import re
from dataclasses import replace

import pytest

from benchmarks.measure import design_of
from benchmarks.rows import Row
from rnnrtl.errors import UnsupportedError
from rnnrtl.generation import generate
from rnnrtl.schedule.delays import DELAYS, Crowding
from rnnrtl.schedule.schedule import Schedule
from tests.networks import GATED, network, recurrent
from tests.test_hardware import check

ROOMY = replace(DELAYS["ecp5"], crowding=None)


def routed(units: int, cell: str, clock: float, strategy: str = "shift_add") -> Schedule:
    """Return the schedule of a network that the benchmark routes."""
    form = {4: "fixed<10,4>", 8: "fixed<12,4>"}[units]
    row = Row(f"units{units}", cell, form, "static", strategy, clock, "ecp5")
    return design_of(row).schedule


def without_crowding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnrtl.design.delays_of", lambda target: {"ecp5": ROOMY}[target])


def test_everything_takes_longer_by_each_doubling_of_the_area() -> None:
    delays = replace(DELAYS["xcup"], crowding=Crowding(0.25, 1000, 10))
    assert delays.crowded(10) == delays.crowded(1000) == delays
    once = delays.crowded(2000)
    for longer, typical in (
        (once.register, delays.register),
        (once.adder(12), delays.adder(12)),
        (once.product(30, 30), delays.product(30, 30)),
        (once.rom(5000), delays.rom(5000)),
        (once.choice(5), delays.choice(5)),
        (once.block_ram, delays.block_ram),
        (once.alu or 0.0, delays.alu or 0.0),
    ):
        assert longer == pytest.approx(1.25 * typical)
    assert delays.crowded(4000).register == pytest.approx(1.5 * delays.register)
    assert DELAYS["ecp5"].crowded(60_000).net(8) == pytest.approx(1.2 * DELAYS["ecp5"].net(8))
    assert DELAYS["ecp5"].crowded(60_000).alu is None


@pytest.mark.parametrize("target", sorted(set(DELAYS) - {"ecp5"}))
def test_only_what_was_measured_is_crowded(target: str) -> None:
    assert DELAYS[target].crowded(1e9) is DELAYS[target]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_large_design_gets_more_cycles(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = routed(8, cell, 50)
    without_crowding(monkeypatch)
    roomy = routed(8, cell, 50)
    assert roomy.area > 25_000
    assert roomy.cycles_per_step < crowded.cycles_per_step <= 1.2 * roomy.cycles_per_step


def test_a_small_design_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = routed(4, "gru", 100)
    without_crowding(monkeypatch)
    roomy = routed(4, "gru", 100)
    assert [(op.name, op.cycle, op.ready) for op in crowded.ops] == [
        (op.name, op.cycle, op.ready) for op in roomy.ops
    ]


def test_a_large_design_is_refused_a_clock_that_a_small_one_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GRU(8), asked for 100 MHz without this, was routed at 82 MHz."""
    words = r"clock_mhz=100 is too fast for ECP5-6: product .* alone takes .*; at most (\d+) MHz"
    with pytest.raises(UnsupportedError, match=words) as caught:
        routed(8, "gru", 100)
    most = int(re.findall(r"at most (\d+)", str(caught.value))[0])
    assert 80 < most < 100
    assert routed(8, "gru", most - 5).clock_mhz == most - 5
    without_crowding(monkeypatch)
    assert routed(8, "gru", 100).clock_mhz == 100


def test_sums_that_share_hardware_begin_in_time() -> None:
    """LSTM(8), asked for 80 MHz, was routed at 77.9: its 32 accumulators began late."""
    words = r"clock_mhz=80 is too fast for ECP5-6: accumulator .* alone takes .*; at most (\d+) MHz"
    with pytest.raises(UnsupportedError, match=words) as caught:
        routed(8, "lstm", 80)
    assert 50 < int(re.findall(r"at most (\d+)", str(caught.value))[0]) < 78
    assert any(op.carry for op in routed(8, "lstm", 50).ops)
    assert not any(op.carry for op in routed(8, "gru", 80).ops)


@pytest.mark.parametrize("cell", GATED)
def test_what_block_ram_gave_waits_in_a_register(cell: str) -> None:
    """Its output takes as long in a later cycle, which is planned as from a register."""
    net = network(recurrent(cell, 2, 2), steps=3)
    design = generate(net, "fixed<12,4>", strategy="shift_add", target="ecp5", clock_mhz=100)
    later = {
        table.name
        for op in design.schedule.ops
        for table in op.operands
        if table.rom is not None and table.block and table.cycle < op.cycle
    }
    assert later
    assert all(re.search(rf"\breg .*\b{name}_q\b", design.verilog) for name in later)
    check(design)
