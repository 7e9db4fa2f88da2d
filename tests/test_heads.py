"""Interleaved, what is computed once a sequence is a stage of its own, on shared hardware."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnrtl.design import Design
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.memories import Queue
from rnnrtl.layers import Layer
from rnnrtl.network import Network
from rnnrtl.schedule.series import Series
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName
from tests.networks import CELLS, bidirectional, dense, inputs, network, recurrent
from tests.test_hardware import designed, simulated
from tests.test_stateful import wanted

STEPS = 6
UNITS = 2
HEAD = (dense(UNITS, 5, "relu", name="hidden"), dense(5, 1, "tanh"))


@pytest.fixture(autouse=True)
def few_products_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first matrix of `HEAD` share hardware, as one of 100 weights would."""
    for module in ("rnnrtl.design", "rnnrtl.schedule.sums"):
        monkeypatch.setattr(f"{module}.FOLD_FROM", 8)


def net_of(*layers: Layer, steps: int | None = STEPS) -> Network:
    return network(*layers, *HEAD, steps=steps)


def interleaved(net: Network, strategy: str = "dsp", **options: Any) -> Design:
    return designed(net, "fixed<10,4>", mode="interleaved", strategy=strategy, **options)


def parts(design: Design) -> Any:
    assert isinstance(design.schedule, Series)
    return design.schedule.parts


@pytest.mark.parametrize(
    ("cell", "strategy"), list(zip(CELLS, ["dsp", "shift_add"] * 2, strict=True))
)
def test_bits_and_cycles(cell: str, strategy: str) -> None:
    design = interleaved(net_of(recurrent(cell, 2, UNITS)), strategy)
    loop, head = parts(design)
    result = simulated(design, "amaranth", batch=2 * loop.slots, steps=STEPS)
    assert result.initiation_interval == design.schedule.initiation_interval == STEPS
    assert result.latency_cycles == loop.latency_cycles + head.latency_cycles
    assert design.schedule.tail_cycles == loop.tail_cycles + head.tail_cycles
    assert (design.schedule.slots, head.slots) == (loop.slots, 1)
    assert (design.schedule.beat_interval, design.schedule.last_interval) == (1, 1)
    assert design.schedule.cycles_per_step == loop.cycles_per_step == head.beat_interval


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_in_verilog(simulator: SimulatorName) -> None:
    design = interleaved(net_of(recurrent("lstm", 2, UNITS)), "shift_add")
    result = simulated(design, simulator, batch=9, steps=STEPS)
    assert result.initiation_interval == STEPS
    lint(design.verilog, design.name)


@pytest.mark.parametrize(
    ("steps", "known"), [(1, True), (2, True), (1, False), (2, False), (9, False)]
)
def test_sequences_shorter_than_a_burst(steps: int, known: bool) -> None:
    """Of known length they follow each other without a gap, else as fast as the head takes them."""
    net = net_of(recurrent("gru_before", 2, UNITS), steps=steps if known else None)
    design = interleaved(net)
    slots = design.schedule.slots
    result = simulated(design, "amaranth", batch=2 * slots, steps=steps)
    assert result.initiation_interval == design.schedule.interval_of(steps)
    assert result.initiation_interval == (steps if known else max(steps, slots))


def test_takes_less_than_at_every_edge() -> None:
    wide = (dense(8, 16, "relu", name="hidden"), dense(16, 1))
    net = network(recurrent("gru_after", 2, 8), *wide, steps=STEPS)
    for strategy in ("dsp", "shift_add"):
        apart, whole = (interleaved(net, strategy, reuse_factor=r) for r in (1, (1, 1)))
        assert not isinstance(whole.schedule, Series)
        assert apart.schedule.area < 0.95 * whole.schedule.area
        assert "stage_1" in apart.verilog
        assert "memory_1" not in apart.verilog  # the loop's own queue of results


def test_what_stays_in_one_core() -> None:
    small = network(recurrent("lstm", 2, UNITS), dense(UNITS, 3), steps=STEPS)
    each = network(recurrent("lstm", 2, UNITS, sequences=True), *HEAD, steps=STEPS)
    net = net_of(recurrent("lstm", 2, UNITS))
    ones = [interleaved(small), interleaved(each), interleaved(net, reuse_factor=4)]
    for design in (*ones, designed(net, "fixed<10,4>")):
        (stage,) = design.stages
        assert stage.graph is design.graph


def test_two_vectors_of_the_last_step() -> None:
    """Of the last output of two directions one is computed once a sequence, from the last input."""
    both = bidirectional("lstm", "gru_after", 2, (2, 1), last_output=True)
    design = interleaved(network(both, dense(3, 3), steps=STEPS))
    first, second = design.stages
    assert isinstance(second.memory, Queue)
    assert second.memory.lanes == first.graph.output.size == 2 + 2  # h, and x
    assert not second.graph.loops
    simulated(design, "amaranth", batch=8, steps=STEPS)


def test_masked_steps() -> None:
    net = net_of(recurrent("gru_after", 2, UNITS)).replace(mask_value=-1.5)
    design = interleaved(net)
    x = inputs(net, 8, STEPS)
    x[np.random.default_rng(3).random((8, STEPS)) < 0.4] = -1.5
    parts(design)
    assert design.simulate(x).bit_exact


def test_states_that_live_on() -> None:
    layer = replace(recurrent("gru_after", 2, UNITS), initial={"h": np.linspace(-0.5, 0.5, UNITS)})
    net = net_of(layer).replace(stateful=True)
    design = interleaved(net)
    x = inputs(net, 3 * parts(design)[0].slots, STEPS)
    clear = np.zeros(x.shape[:2], dtype=bool)
    clear[: design.schedule.slots, 0] = True
    clear[-1, 2] = True
    result = design.simulate(x, clear=clear)
    assert result.bit_exact
    np.testing.assert_array_equal(result.outputs, wanted(design, x, clear))


def test_evaluates_to_the_same_bits() -> None:
    """Stage by stage, each in the reference that knows nothing of stages."""
    net = net_of(recurrent("lstm", 2, UNITS))
    design = interleaved(net)
    codes = design.input_codes(inputs(net, 4, STEPS))
    words = codes
    for stage in design.stages:
        given = words if stage.memory is None else stage.memory.played(words)
        words = evaluate(stage.graph, given)
    np.testing.assert_array_equal(words[:, -1], evaluate(design.graph, codes))


def test_the_report_tells_of_the_stages() -> None:
    report = interleaved(net_of(recurrent("lstm", 2, UNITS))).report()
    assert "| lstm | - |" in report
    assert "| hidden, head | - |" in report
