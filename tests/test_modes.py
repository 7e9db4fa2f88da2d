"""Every mode with every strategy, cell and kind of result: bits, cycles, and what is refused."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import InputError, ModelError, PrecisionWarning, UnsupportedError
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.trace import trace
from rnnrtl.graph.unroll import trace_unrolled
from rnnrtl.network import Network
from rnnrtl.options import MODES
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName
from tests.designs import STEPS, STRATEGIES, check, designed, net_of, stacked
from tests.networks import CELLS, GATED, dense, network, recurrent
from tests.test_hardware import PRECISIONS, extreme_inputs

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_strategy_and_cell(mode: str, strategy: str, cell: str, sequences: bool) -> None:
    design = designed(net_of(cell, sequences), mode, strategy=strategy)
    check(design)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize(
    ("lower", "upper"), [("lstm", "gru_after"), ("gru_before", "lstm"), ("gru_after", "gru_before")]
)
@pytest.mark.parametrize("mode", MODES)
def test_two_recurrent_layers(mode: str, lower: str, upper: str, sequences: bool) -> None:
    strategy = {"lower": "dsp", "*": "shift_add"}
    design = designed(stacked(lower, upper, sequences), mode, strategy=strategy)
    check(design)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["16 bits", "Vitis", "every tensor its own", "coarse"])
def test_formats(mode: str, precision: str) -> None:
    for cell, strategy in zip(("lstm", "gru_after"), STRATEGIES, strict=True):
        net = network(recurrent(cell, 2, 1), dense(1, 1), steps=2)
        check(
            designed(net, mode, PRECISIONS[precision], strategy=strategy, clock_mhz=150),
            disturbed=False,
        )


@pytest.mark.parametrize(("target", "clock"), [("xcup", 40), ("ecp5", 100), ("ice40", 25)])
@pytest.mark.parametrize("mode", MODES)
def test_clocks(mode: str, target: str, clock: float) -> None:
    """From a loop of one cycle to one of many."""
    design = designed(net_of("gru_after", False), mode, target=target, clock_mhz=clock)
    check(design)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("mode", MODES)
def test_numbers_of_steps(mode: str, steps: int) -> None:
    for cell, sequences in (("lstm", False), ("gru_after", True)):
        net = network(recurrent(cell, 2, 1, sequences=sequences), steps=steps)
        check(designed(net, mode, "fixed<7,3>"))


@pytest.mark.parametrize("mode", MODES)
def test_networks_without_a_state(mode: str) -> None:
    net = network(dense(3, 2, "relu", name="a"), dense(2, 1, "sigmoid", name="b"), steps=STEPS)
    design = designed(net, mode)
    assert design.schedule.slots == 1
    x = extreme_inputs(design, 3, STEPS)
    result = design.simulate(x)
    np.testing.assert_array_equal(result.outputs, design.predict(x))
    assert result.latency_cycles == design.schedule.latency_cycles
    assert result.initiation_interval == design.schedule.initiation_interval


VERILOG: dict[str, tuple[Network, str, str, Any]] = {
    "interleaved lstm": (net_of("lstm", False), "interleaved", "dsp", "fixed<16,6>"),
    "interleaved, all steps": (net_of("gru_after", True), "interleaved", "shift_add", "fixed<8,3>"),
    "unrolled gru": (net_of("gru_before", False), "unrolled", "shift_add", "fixed<10,4>"),
    "unrolled, all steps": (net_of("lstm", True), "unrolled", "dsp", "ap_fixed<12,5>"),
    "static stack": (stacked("lstm", "gru_after"), "static", "shift_add", "fixed<10,4>"),
    "interleaved stack": (stacked("gru_after", "lstm"), "interleaved", "auto", "fixed<12,4>"),
}


@pytest.mark.parametrize(
    ("case", "simulator"),
    [
        *((case, "icarus") for case in VERILOG),
        ("interleaved lstm", "verilator"),
        ("unrolled gru", "verilator"),
    ],
)
def test_in_verilog(case: str, simulator: SimulatorName) -> None:
    net, mode, strategy, precision = VERILOG[case]
    design = designed(net, mode, precision, strategy=strategy)
    check(design, simulator)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("mode", MODES)
def test_a_plain_rnn_in_verilog(mode: str, strategy: str, sequences: bool) -> None:
    check(designed(net_of("simple", sequences), mode, strategy=strategy), "icarus")


# -- sequences in flight keep apart ----------------------------------------------------------------


@pytest.mark.parametrize("cell", GATED)
def test_a_sequence_does_not_depend_on_its_neighbours(cell: str) -> None:
    design = designed(net_of(cell, True), "interleaved", "fixed<10,4>")
    slots = design.schedule.slots
    rng = np.random.default_rng(4)
    own = rng.normal(0, 1, (1, STEPS, 2))
    wanted = design.predict(own)[0]
    bursts = [np.repeat(own, slots, axis=0)]
    for place in range(slots):
        for neighbours in (rng.uniform(-9, 9, (slots, STEPS, 2)), np.full((slots, STEPS, 2), 7.9)):
            neighbours[place] = own[0]
            bursts.append(neighbours)
    outputs = design.simulate(np.concatenate(bursts), stalls=False).outputs
    outputs = outputs.reshape(len(bursts), slots, STEPS, 2)
    assert (outputs[0] == wanted).all()
    for place in range(slots):
        assert (outputs[1 + 2 * place : 3 + 2 * place, place] == wanted).all()


def test_a_sequence_starts_from_nothing() -> None:
    """Whatever the sequence before it in its slot has left."""
    design = designed(net_of("lstm", False), "interleaved", "fixed<10,4>")
    slots = design.schedule.slots
    x = np.zeros((3 * slots, STEPS, 2))
    x[slots : 2 * slots] = 7.5
    result = design.simulate(x, stalls=False)
    np.testing.assert_array_equal(result.outputs[:slots], result.outputs[2 * slots :])
    assert (result.outputs[slots : 2 * slots] != result.outputs[:slots]).any()


def test_batches_of_any_size() -> None:
    design = designed(net_of("gru_after", False), "interleaved")
    slots = design.schedule.slots
    for batch in (1, slots - 1, slots, slots + 1):
        x = extreme_inputs(design, batch, STEPS)
        result = design.simulate(x, stalls=False)
        assert result.outputs.shape == (batch, 2)
        np.testing.assert_array_equal(result.outputs, design.predict(x))


# -- unrolled graphs -------------------------------------------------------------------------------


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", GATED)
def test_an_unrolled_graph_computes_the_same(cell: str, precision: str, sequences: bool) -> None:
    net = network(
        recurrent(cell, 3, 4, sequences=True, name="lower"),
        recurrent("gru_after", 4, 3, sequences=sequences, name="upper"),
        dense(3, 2, "sigmoid"),
    )
    steps = 5
    design = designed(net, "static", PRECISIONS[precision])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        graph = trace_unrolled(net, design.precision, steps)
        codes = design.input_codes(extreme_inputs(design, 20, steps))
        wanted = evaluate(trace(net, design.precision), codes)
    found = evaluate(graph, codes.reshape(len(codes), 1, -1))
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_predict_is_the_same_in_every_mode() -> None:
    net = net_of("gru_after", True)
    x = np.random.default_rng(0).normal(size=(50, STEPS, 2))
    outputs = [designed(net, mode).predict(x) for mode in MODES]
    for other in outputs[1:]:
        np.testing.assert_array_equal(outputs[0], other)


# -- what is refused -------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "mode": ({"mode": "folded"}, UnsupportedError, "unknown mode 'folded', known: static, unroll"),
    "mode of another type": ({"mode": ["static"]}, UnsupportedError, r"unknown mode \['static'\]"),
    "unrolled, step by step": (
        {"mode": "unrolled"}, UnsupportedError, "steps_per_beat=3, not 1",
    ),
    "unrolled by parts": (
        {"mode": "unrolled", "steps_per_beat": 2}, UnsupportedError, "steps_per_beat=3, not 2",
    ),
    "steps that are no integer": (
        {"mode": "unrolled", "steps_per_beat": 3.0}, UnsupportedError, "not 3.0",
    ),
    "steps of text": (
        {"mode": "unrolled", "steps_per_beat": "3"}, UnsupportedError, "not '3'",
    ),
    "static by parts": (
        {"steps_per_beat": 3}, UnsupportedError, "steps_per_beat 3 .* mode 'static', only 1",
    ),
    "interleaved by parts": (
        {"mode": "interleaved", "steps_per_beat": 0}, UnsupportedError,
        "steps_per_beat 0 .* mode 'interleaved', only 1",
    ),
    "true": ({"steps_per_beat": True}, UnsupportedError, "steps_per_beat True"),
    "strategy": (
        {"strategy": "luts"}, UnsupportedError, "unknown strategy 'luts', known: auto, dsp, shift",
    ),
    "no strategy": ({"strategy": None}, UnsupportedError, "unknown strategy None"),
    "a layer's strategy": (
        {"strategy": {"lstm": "luts"}}, UnsupportedError, "unknown strategy 'luts'",
    ),
    "an unhashable strategy": (
        {"strategy": {"lstm": ["dsp"]}}, UnsupportedError, r"unknown strategy \['dsp'\]",
    ),
    "an unknown layer": (
        {"strategy": {"gru": "dsp"}}, UnsupportedError,
        "strategy for unknown layer 'gru', known: lstm, head",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    options, error, words = REFUSED[case]
    with pytest.raises(error, match=words) as caught:
        generate(net_of("lstm", False), "fixed<10,4>", **options)
    assert "\n" not in str(caught.value)


def test_unrolled_needs_the_number_of_steps() -> None:
    net = net_of("lstm", False).replace(steps=None)
    with pytest.raises(ModelError, match=r"give their number, steps=20"):
        generate(net, "fixed<10,4>", mode="unrolled", steps_per_beat=3)
    design = generate(net, "fixed<10,4>", mode="unrolled", steps_per_beat=3, steps=3)
    assert design.schedule.initiation_interval == 1


@pytest.mark.parametrize("steps", [1, 2, 4, 6])
def test_unrolled_takes_sequences_of_its_length_only(steps: int, tmp_path: Path) -> None:
    design = designed(net_of("gru_after", False), "unrolled")
    x = np.zeros((2, steps, 2))
    with pytest.raises(InputError, match=rf"x has {steps} time steps.* over 3$"):
        design.simulate(x)
    with pytest.raises(InputError, match=rf"x has {steps} time steps.* over 3$"):
        design.write(tmp_path / "build", x)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_are_taken_by_layer(strategy: str) -> None:
    net = net_of("gru_after", False)
    other = "shift_add" if strategy == "dsp" else "dsp"

    def kinds(layer: str, **options: Any) -> set[str]:
        ops = generate(net, "fixed<16,6>", **options).schedule.ops
        return {op.kind for op in ops if op.layer == layer and "_from_" in op.name}

    for asked in ({"head": strategy, "*": other}, {"head": strategy, "gru_after": other}):
        assert ("product" in kinds("head", strategy=asked)) is (strategy == "dsp")
        assert ("product" in kinds("gru_after", strategy=asked)) is (other == "dsp")


def test_auto_goes_by_the_width_of_the_weights() -> None:
    net = net_of("lstm", False)
    formats = {"*": "fixed<16,6>", "head.kernel": "fixed<8,3>", "lstm.kernel": "fixed<12,4>"}
    design = generate(net, formats)
    products = [op for op in design.schedule.ops if "_from_" in op.name]
    assert {op.layer for op in products} == {"lstm"}  # whose recurrent kernel has 16 bits
    design = generate(net, {**formats, "lstm.recurrent_kernel": "fixed<12,4>"})
    assert not [op for op in design.schedule.ops if "_from_" in op.name]


# -- text and folder -------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("mode", MODES)
def test_lint_finds_nothing(mode: str, strategy: str) -> None:
    net = net_of("gru_before", False) if mode == "unrolled" else stacked("lstm", "gru_after", True)
    design = designed(net, mode, strategy=strategy)
    assert lint(design.verilog, design.name) == []


SCRIPT = """
import hashlib
from rnnrtl.options import MODES
from tests.designs import designed, net_of
for mode in MODES:
    for cell in ("lstm", "gru_before"):
        text = designed(net_of(cell, False), mode, strategy="shift_add").verilog
        print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    printed = []
    for seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        printed.append(done.stdout.split())
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 2 * len(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_the_folder_verifies_itself(mode: str, tmp_path: Path) -> None:
    design = designed(net_of("gru_after", mode == "interleaved"), mode)
    folder = design.write(tmp_path / "build", extreme_inputs(design, 5, STEPS))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def status() -> int:
        done = subprocess.run(
            [sys.executable, "sim/run.py", "icarus"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode

    assert status() == 0
    expected = np.load(folder / "expected.npy")
    expected[-1] ^= 1
    np.save(folder / "expected.npy", expected)
    assert status() == 1
