"""Designs of small networks, and what every test of one asks of it: bits and figures."""

import warnings
from typing import Any

import numpy as np

from rnnrtl.design import Design
from rnnrtl.errors import PrecisionWarning
from rnnrtl.generation import generate
from rnnrtl.layers import Reshape
from rnnrtl.network import Network
from rnnrtl.simulate import Measurement
from rnnrtl.simulation import Simulation, SimulatorName, in_amaranth
from rnnrtl.vectors import vectors_of
from tests.networks import dense, network, recurrent
from tests.test_hardware import extreme_inputs

STRATEGIES = ("dsp", "shift_add")
STEPS = 3


def net_of(cell: str, sequences: bool, steps: int = STEPS) -> Network:
    return network(recurrent(cell, 2, 2, sequences=sequences), dense(2, 2, "tanh"), steps=steps)


def stacked(lower: str, upper: str, sequences: bool = False) -> Network:
    return network(
        recurrent(lower, 2, 2, sequences=True, name="lower"),
        recurrent(upper, 2, 2, sequences=sequences, name="upper"),
        dense(2, 1, "sigmoid"),
        steps=STEPS,
    )


def designed(net: Network, mode: str, precision: Any = "fixed<9,4>", **options: Any) -> Design:
    if mode == "unrolled":
        options["steps_per_beat"] = net.steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return generate(net, precision, mode=mode, **options)


def check(design: Design, simulator: SimulatorName = "amaranth", *, disturbed: bool = True) -> None:
    """Check every bit, under stalls and resets too, and the measured figures.

    Not `disturbed` takes 40 % of the time, for what differs from other tests in arithmetic alone.
    """
    steps = design.network.steps
    assert steps is not None
    schedule = design.schedule
    # No multiple of the slots, so that some burst is not full.
    batch = next(n for n in (5, 4) if schedule.slots == 1 or n % schedule.slots)
    x = extreme_inputs(design, batch, steps)
    result: Measurement | Simulation
    if disturbed:
        result = design.simulate(x, simulator)
        np.testing.assert_array_equal(result.outputs, design.predict(x))
        assert result.bit_exact
    else:
        vectors = vectors_of(design, design.input_codes(x))
        result = in_amaranth(design, vectors, stalls=False, reset_rounds=0)
        np.testing.assert_array_equal(result.codes, vectors.expected)
    assert result.latency_cycles == schedule.latency_cycles
    assert result.initiation_interval == schedule.initiation_interval
    edges = schedule.edges_per_cycle
    assert schedule.cycles_per_step == schedule.step_cycles * edges
    match design.options.mode:
        case "static":
            assert schedule.slots == 1
            # Dense layers may take the array of a recurrent layer after a sequence's last step.
            assert schedule.step_cycles == schedule.beat_interval
            extra = (schedule.last_interval - schedule.step_cycles) * edges
            assert extra == 0 or (extra > 0 and schedule.fed)
            if not any(isinstance(layer, Reshape) for layer in design.network.layers):
                assert schedule.initiation_interval == steps * schedule.cycles_per_step + extra
        case "interleaved":
            assert schedule.slots * schedule.beat_interval == schedule.step_cycles > 1
            assert schedule.initiation_interval == steps * schedule.beat_interval * edges
            assert schedule.beat_interval == 1 or design.options.reuse_factor != 1
        case "unrolled":
            assert schedule.slots == schedule.initiation_interval == 1
            assert schedule.latency_cycles == schedule.tail_cycles
