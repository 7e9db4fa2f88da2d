"""Every fault of a core is found, and named, by every bench."""

import numpy as np
import pytest

from rnnrtl.errors import VerificationError
from rnnrtl.simulate import Measurement, run_amaranth, run_verilog
from tests.running_sum import (
    INPUT,
    OUTPUT,
    UNDRIVEN,
    UNKNOWN,
    Fault,
    RunningSum,
    hardware,
    vectors,
)

#: What the error says. A wrong bit is none: the caller compares.
MESSAGES = {
    Fault.BEAT_LOST_WHEN_FULL: r"stalls: (no beat for|sequence \d+ gives other bits)",
    Fault.DATA_CHANGES_WHILE_WAITING: "stalls: m_axis_tdata, tlast or tuser changed while",
    Fault.VALID_FALLS_WHILE_WAITING: "stalls: m_axis_tvalid fell before",
    Fault.STATE_SURVIVES_RESET: r"reset: sequence \d+ gives other bits after a reset",
    Fault.OUTPUT_SURVIVES_RESET: "s_axis_tready is X|reset: tlast is 0 in output beat 1",
    Fault.STATE_SURVIVES_SEQUENCE: "gives other bits",
    Fault.INTERVAL_VARIES: "the initiation interval varies from 15 to 16 cycles",
    Fault.HANGS: "no beat for 300 cycles",
    Fault.NO_LAST: "no beat for 300 cycles|tlast is 0 in output beat 1 of 1",
    Fault.NO_SIGN_EXTENSION: r"lane \d.* is 0x.*, (which is )?not a 20-bit code sign-extended",
    Fault.EXTRA_BEAT: "an output beat came that belongs to no sequence|tlast is 0",
    Fault.UNKNOWN: "m_axis_tdata is .*X.* in cycle",
}
TESTED_APART = {Fault.WRONG_BIT, Fault.UNKNOWN}


def simulate(simulator: str, fault: Fault | None, more: str = "") -> Measurement:
    component = RunningSum(fault=fault)
    codes, expected = vectors(12, 5)
    if simulator == "amaranth":
        return run_amaranth(
            component, INPUT, OUTPUT, False, codes, expected, reset_rounds=12, watchdog_cycles=300
        )
    return run_verilog(
        hardware(component, more=more),
        codes,
        expected,
        simulator="icarus" if simulator == "icarus" else "verilator",
        reset_rounds=12,
        watchdog_cycles=300,
    )


@pytest.mark.parametrize("fault", sorted(set(Fault) - TESTED_APART, key=str))
@pytest.mark.parametrize("simulator", ["amaranth", "icarus"])
def test_a_fault_is_an_error(simulator: str, fault: Fault) -> None:
    with pytest.raises(VerificationError, match=MESSAGES[fault]) as caught:
        simulate(simulator, fault)
    assert str(caught.value).startswith(simulator)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [Fault.BEAT_LOST_WHEN_FULL, Fault.DATA_CHANGES_WHILE_WAITING, Fault.STATE_SURVIVES_RESET],
)
def test_verilator_finds_what_depends_on_the_bus(fault: Fault) -> None:
    with pytest.raises(VerificationError, match=MESSAGES[fault]):
        simulate("verilator", fault)


@pytest.mark.parametrize("simulator", ["amaranth", "icarus", "verilator"])
def test_wrong_bits_are_given_back(simulator: str) -> None:
    measured = simulate(simulator, Fault.WRONG_BIT)
    _, expected = vectors(12, 5)
    expected[:, 0] ^= 1
    np.testing.assert_array_equal(measured.codes, expected)
    assert (measured.latency_cycles, measured.initiation_interval) == (13, 15)


@pytest.mark.parametrize(
    ("more", "message"), [(UNKNOWN, MESSAGES[Fault.UNKNOWN]), (UNDRIVEN, "is .*Z.* in cycle")]
)
def test_unknown_and_undriven_outputs_are_errors(more: str, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        simulate("icarus", Fault.UNKNOWN, more)


def test_every_fault_has_its_message() -> None:
    assert set(MESSAGES) | {Fault.WRONG_BIT} == set(Fault)
