"""States that live on between bursts: streams of the reference, and the hardware's side signal."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnrtl import simulation
from rnnrtl.design import Design
from rnnrtl.errors import InputError, ModelError, UnsupportedError, VerificationError
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.hardware.states import HeldState
from rnnrtl.network import Network
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName
from rnnrtl.vectors import vectors_of
from tests.networks import CELLS, dense, inputs, network, recurrent, reference
from tests.test_hardware import extreme_inputs

STEPS = 3


def net_of(cell: str, sequences: bool = False, **options: Any) -> Network:
    layer = recurrent(cell, 2, 3, sequences=sequences)
    layer = replace(layer, initial={"h": np.array([0.5, -0.25, 0.0])})
    return network(layer, dense(3, 2, "tanh"), steps=STEPS).replace(stateful=True, **options)


def stacked() -> Network:
    return network(
        recurrent("gru_after", 2, 2, sequences=True, name="lower"),
        recurrent("lstm", 2, 3, name="upper"),
        dense(3, 1),
        steps=STEPS,
    ).replace(stateful=True)


def designed(net: Network, precision: Any = "fixed<9,4>", **options: Any) -> Design:
    return generate(net, precision, **options)


def wanted(design: Design, x: NDArray[np.float64], clear: NDArray[np.bool_]) -> Any:
    """Return what bursts give, from the node-by-node reference on sequences that are whole."""
    slots = design.schedule.slots
    codes = design.input_codes(x)
    found = []
    for burst, row in enumerate(codes):
        outputs = []
        for step in range(len(row)):
            so_far = [code for n in range(burst % slots, burst, slots) for code in codes[n]]
            begins = [flag for n in range(burst % slots, burst, slots) for flag in clear[n]]
            so_far += list(row[: step + 1])
            begins += list(clear[burst][: step + 1])
            start = max((n for n, begin in enumerate(begins) if begin), default=0)
            (output,) = evaluate(design.graph, np.array([so_far[start:]]))
            outputs.append(output[-1] if design.graph.return_sequences else output)
        found.append(outputs if design.graph.return_sequences else outputs[-1])
    return np.array(found) * design.graph.output_format.lsb


def check(design: Design, simulator: SimulatorName = "amaranth", batch: int = 7) -> None:
    x = extreme_inputs(design, batch, STEPS)
    clear = np.random.default_rng(3).random(x.shape[:2]) < 0.3
    clear[0] = [True, False, False]
    assert not clear[design.schedule.slots :, 0].all()
    assert clear[:, 1:].any()
    found = design.simulate(x, simulator, clear=clear)
    assert found.bit_exact
    assert found.latency_cycles == design.schedule.latency_cycles
    assert found.initiation_interval == design.schedule.initiation_interval
    np.testing.assert_array_equal(found.outputs, wanted(design, x, clear))


@pytest.mark.parametrize(
    ("cell", "mode", "reuse", "sequences"),
    [
        ("lstm", "static", 1, False),
        ("lstm", "interleaved", 2, True),
        ("gru_after", "static", 3, False),
        ("gru_after", "static", 20, True),
        ("gru_before", "static", 3, True),
        ("gru_before", "interleaved", 2, False),
    ],
)
def test_hardware_goes_on(cell: str, mode: str, reuse: int, sequences: bool) -> None:
    check(designed(net_of(cell, sequences), mode=mode, reuse_factor=reuse))


def test_layers_behind_each_other() -> None:
    check(designed(stacked(), mode="interleaved"))


@pytest.mark.parametrize(("clock", "cycles"), [(40, 1), (150, 2)])
def test_the_shortest_loops(clock: float, cycles: int) -> None:
    """Where a beat begins anew at the very edge at which the one before it ends."""
    design = designed(net_of("gru_after"), clock_mhz=clock)
    assert design.schedule.cycles_per_step == cycles
    check(design)


@pytest.mark.parametrize(
    ("simulator", "mode", "reuse"),
    [("icarus", "static", 1), ("verilator", "static", 1), ("verilator", "interleaved", 2)],
)
def test_verilog_goes_on(simulator: SimulatorName, mode: str, reuse: int) -> None:
    design = designed(net_of("lstm"), mode=mode, reuse_factor=reuse)
    check(design, simulator)
    lint(design.verilog, design.name)


def test_only_stateful_designs_have_the_port() -> None:
    net = net_of("gru_after")
    stateful, plain = designed(net), designed(net, stateful=False)
    assert "s_axis_tuser" in stateful.verilog
    assert "s_axis_tuser" not in plain.verilog
    assert designed(net.replace(stateful=False), stateful=True).verilog == stateful.verilog
    # By default every sequence begins anew, as in `predict`.
    x = inputs(net, 4, STEPS)
    found = stateful.simulate(x, stalls=False)
    np.testing.assert_array_equal(found.outputs, plain.predict(x))
    np.testing.assert_array_equal(found.outputs, stateful.predict(x))
    assert found.latency_cycles == plain.schedule.latency_cycles


@pytest.mark.parametrize("simulator", ["amaranth", "icarus"])
def test_a_state_that_survives_reset_is_found(
    simulator: SimulatorName, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = HeldState.__init__

    def without_reset(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        for lane in self.lanes:
            lane._reset_less = True

    monkeypatch.setattr(HeldState, "__init__", without_reset)
    design = designed(net_of("gru_after", True))
    with pytest.raises(VerificationError, match="other bits"):
        design.simulate(inputs(design.network, 4, STEPS), simulator)


def test_a_side_signal_that_is_not_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    x = extreme_inputs(designed(net_of("lstm")), 4, STEPS)
    made = vectors_of

    def other(design: Design, *args: Any) -> Any:
        vectors = made(design, *args)
        assert vectors.clear is not None
        return vectors._replace(clear=np.arange(4)[:, None] + np.arange(STEPS) == 0)

    monkeypatch.setattr(simulation, "vectors_of", other)
    assert not designed(net_of("lstm")).simulate(x, stalls=False).bit_exact


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
def test_streams(cell: str, sequences: bool) -> None:
    net = net_of(cell, sequences)
    x = inputs(net, 3, 7)
    whole = reference(net, x)
    design = designed(net, "fixed<16,6>")
    fixed = design.predict(x)
    for made, plain, tolerance in ((net.stream, whole, 1e-12), (design.stream, fixed, 0)):
        stream = made(3)
        parts = [stream.predict(x[:, a:b]) for a, b in ((0, 2), (2, 3), (3, 7))]
        found = np.concatenate(parts, axis=1) if sequences else parts[-1]
        np.testing.assert_allclose(found, plain, rtol=0, atol=tolerance)
        # Saved, it goes on from where it was; cleared in one sequence, that one begins anew.
        stream = made(3)
        stream.predict(x[:, :4])
        again = made(state=stream.state)
        assert again.batch == 3
        last = again.predict(x[:, 4:])
        np.testing.assert_allclose(
            last, plain[:, 4:] if sequences else plain, rtol=0, atol=tolerance
        )
        stream.clear([False, True, False])
        mixed = stream.predict(x[:, 4:])
        np.testing.assert_array_equal(mixed[[0, 2]], last[[0, 2]])
        np.testing.assert_array_equal(mixed[1], made(3).predict(x[:, 4:])[1])
        flags = np.zeros((3, 7), dtype=bool)
        flags[1, 4] = True
        marked = made(3).predict(x, flags)
        np.testing.assert_array_equal(marked[:, 4:] if sequences else marked, mixed)


def test_state_is_on_the_grid_and_a_copy() -> None:
    net = stacked()
    stream = designed(net, "fixed<12,4>").stream(2)
    stream.predict(inputs(net, 2, 4))
    state = stream.state
    assert {layer: sorted(kept) for layer, kept in state.items()} == {
        "lower": ["h"],
        "upper": ["c", "h"],
    }
    assert state["upper"]["c"].shape == (2, 3)
    scaled = state["upper"]["c"] * 2**8
    np.testing.assert_array_equal(scaled, np.floor(scaled))
    state["upper"]["c"][:] = 0
    assert stream.state["upper"]["c"].any()


def test_written_project(tmp_path: Path) -> None:
    design = designed(net_of("gru_after"))
    folder = design.write(tmp_path / "build")
    assert json.loads((folder / "manifest.json").read_text())["stateful"] is True
    assert "`s_axis_tuser` marks" in (folder / "report.md").read_text()
    clear = np.load(folder / "clear.npy")
    assert clear[::2, 0].all()
    assert not clear[1::2, 0].all()
    codes = np.load(folder / "inputs.npy")
    x = codes * design.graph.input_format.lsb
    expected = np.load(folder / "expected.npy") * design.graph.output_format.lsb
    np.testing.assert_array_equal(expected, wanted(design, x, clear))


BAD_STATES: dict[str, tuple[Any, str]] = {
    "layer": ({"other": {}}, "state has nothing, expected lstm.h, lstm.c"),
    "name": ({"lstm": {"h": [[0, 0, 0]]}}, "state has lstm.h, expected lstm.h, lstm.c"),
    "shape": ({"lstm": {"h": [[0, 0, 0]], "c": [[0, 0]]}}, r"lstm.c has shape \(1, 2\)"),
    "grid": ({"lstm": {"h": [[0, 0, 0]], "c": [[0, 0.01, 0]]}}, "lstm.c is 0.01, which this"),
    "range": ({"lstm": {"h": [[0, 2, 0]], "c": [[0, 0, 0]]}}, "lstm.h is 2, which this"),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_states_that_cannot_be(case: str) -> None:
    state, message = BAD_STATES[case]
    with pytest.raises(InputError, match=message):
        designed(net_of("lstm")).stream(state=state)


def test_refused() -> None:
    net = net_of("lstm")
    design = designed(net)
    x = inputs(net, 2, STEPS)
    with pytest.raises(UnsupportedError, match="mode 'unrolled' has no state"):
        designed(net, mode="unrolled", steps_per_beat=STEPS)
    with pytest.raises(ModelError, match="stateful is for recurrent layers"):
        network(dense(2)).replace(stateful=True)
    with pytest.raises(ModelError, match="stateful must be True or False, not 1"):
        net.replace(stateful=1)
    with pytest.raises(InputError, match="clear is for a stateful design"):
        designed(net, stateful=False).simulate(x, clear=True)
    with pytest.raises(InputError, match=r"clear must be True, False .*\(2,\), not int64"):
        design.simulate(x, clear=[1, 0])
    with pytest.raises(InputError, match=r"clear must be True, False .*shape \(3,\)"):
        design.simulate(x, clear=[True] * 3)
    with pytest.raises(InputError, match="batch must be a whole number"):
        design.stream(0)
    with pytest.raises(InputError, match="x has 2 sequences, but the stream has 1"):
        design.stream().predict(x)
    with pytest.raises(InputError, match="x has shape"):
        net.stream(2).predict(x[0])
    with pytest.raises(InputError, match=r"lstm.h is nan"):
        net.stream(state={"lstm": {"h": [[np.nan] * 3], "c": [[0.0] * 3]}})
