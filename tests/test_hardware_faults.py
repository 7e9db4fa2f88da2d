"""The smallest faults in the hardware show as wrong bits: what the other tests stand on."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.lookup import RomRead
from rnnrtl.graph.nodes import Node
from rnnrtl.hardware.core import Core
from rnnrtl.layers import GRU, Dense
from rnnrtl.lut.table import Rom, address
from rnnrtl.schedule.schedule import Schedule
from rnnrtl.simulate import run_amaranth, run_verilog
from tests.networks import dense, inputs, network, recurrent

LAYER = recurrent("gru_after", 2, 2, scale=0.5, sequences=True)
HEAD = dense(2, 1)
# Every step's result is seen, on a finer grid than that of weights and tables: nothing hides.
PRECISION = {
    "*": "fixed<10,4>",
    "preactivation": "fixed<14,4>",
    "gate": "fixed<10,2>",
    "candidate": "fixed<10,2>",
    "hidden": "fixed<14,2>",
    "output": "fixed<18,4>",
}
DESIGN = generate(network(LAYER, HEAD), PRECISION)
LSB = 2.0**-6
CODES = np.concatenate(
    [DESIGN.input_codes(inputs(DESIGN.network, 12, 4, scale=scale)) for scale in (1, 4)]
)
WANTED = DESIGN.predict_codes(CODES)


def is_exact(schedule: Schedule) -> bool:
    """Whether the hardware of a schedule gives the bits of the faultless network."""
    core = Core(schedule, DESIGN.input_stream, DESIGN.output_stream, return_sequences=True)
    measured = run_amaranth(
        core,
        DESIGN.input_stream,
        DESIGN.output_stream,
        True,
        CODES,
        WANTED,
        stalls=False,
        reset_rounds=0,
    )
    return np.array_equal(measured.codes, WANTED)


def test_the_faultless_design_is_exact() -> None:
    assert is_exact(DESIGN.schedule)


@pytest.mark.parametrize("gate", LAYER.gates)
@pytest.mark.parametrize("part", ["kernel", "recurrent_kernel", "bias", "recurrent_bias"])
def test_a_weight_off_by_one_lsb_shows(gate: str, part: str) -> None:
    assert isinstance(LAYER, GRU)
    values = np.array(getattr(LAYER.gates[gate], part))
    values[(0,) * values.ndim] += LSB
    layer = replace(
        LAYER, gates={**LAYER.gates, gate: replace(LAYER.gates[gate], **{part: values})}
    )
    assert not is_exact(generate(network(layer, HEAD), PRECISION).schedule)


@pytest.mark.parametrize("part", ["kernel", "bias"])
def test_a_weight_of_the_head_off_by_one_lsb_shows(part: str) -> None:
    values = np.array(getattr(HEAD, part))
    values.flat[0] += LSB
    changed: dict[str, Any] = {part: values}
    head: Dense = replace(HEAD, **changed)
    assert not is_exact(generate(network(LAYER, head), PRECISION).schedule)


@pytest.mark.parametrize("lane", [0, 1])
def test_a_state_that_starts_off_zero_shows(lane: int) -> None:
    (state,) = DESIGN.schedule.states
    initial = tuple(int(k == lane) for k in range(2))
    wrong = replace(DESIGN.schedule, states=(replace(state, initial=initial),))
    assert not is_exact(wrong)


def reads() -> Counter[tuple[str, Rom, int]]:
    """Count how often each entry of each table is read."""
    found: Counter[tuple[str, Rom, int]] = Counter()
    magnitudes: dict[Node, Any] = {}

    def observe(node: Node, values: IntArray) -> None:
        magnitudes[node] = values
        if isinstance(node, RomRead):
            for entry in address(magnitudes[node.args[0]], node.rom).ravel().tolist():
                found[node.title, node.rom, entry] += 1

    evaluate(DESIGN.graph, CODES, observe=observe)
    return found


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_a_wrong_table_entry_in_the_verilog_shows(function: str) -> None:
    entries = [key for key, _ in reads().most_common() if key[0].startswith(function)]
    title, _, entry = entries[0]
    pattern = rf"(\b{title}_table\[{entry}\] = \d+'h)([0-9a-f]+);"

    def changed(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2], 16) ^ 8:x};"

    text, count = re.subn(pattern, changed, DESIGN.verilog)
    assert count == 1
    measured = run_verilog(
        replace(DESIGN.hardware, verilog=text),
        CODES,
        WANTED,
        simulator="icarus",
        stalls=False,
        reset_rounds=0,
    )
    assert not np.array_equal(measured.codes, WANTED)


def test_a_wrong_table_entry_shows() -> None:
    title, rom, entry = reads().most_common(1)[0][0]
    codes = tuple(code ^ (k == entry) for k, code in enumerate(rom.codes))
    ops: dict[Any, Any] = {}
    for op in DESIGN.schedule.ops:
        operands = tuple(ops.get(x, x) for x in op.operands)
        wrong = replace(rom, codes=codes) if op.rom == rom and op.title == title else op.rom
        ops[op] = replace(op, operands=operands, rom=wrong)

    def mapped(lanes: Any) -> Any:
        return tuple(ops.get(op, op) for op in lanes)

    schedule = DESIGN.schedule
    states = tuple(
        replace(s, state=mapped(s.state), following=mapped(s.following)) for s in schedule.states
    )
    wrong_schedule = replace(
        schedule,
        ops=tuple(ops.values()),
        input=mapped(schedule.input),
        output=mapped(schedule.output),
        states=states,
    )
    assert not is_exact(wrong_schedule)
