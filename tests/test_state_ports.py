"""States that go in and out of the hardware beside the data: `generate(..., state_ports=True)`."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.design import Design
from rnnrtl.errors import InputError, UnsupportedError
from rnnrtl.generation import generate
from rnnrtl.hardware.core import ports
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.layers import Bidirectional, Layer, MaxPooling, flatten
from rnnrtl.network import Network
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName, in_amaranth
from rnnrtl.states import StateValues
from rnnrtl.vectors import (
    Offers,
    Vectors,
    offers_of,
    random_clear,
    random_codes,
    random_offers,
    vectors_of,
)
from tests.networks import CELLS, dense, inputs, network, recurrent

STEPS = 4
PRECISION = {"*": "fixed<9,4>", "*.hidden": "fixed<8,2>"}


def net_of(*cells: str, sequences: bool = False, outputs: int = 1, **options: Any) -> Network:
    """Return recurrent layers of two units, one behind the other, and a dense layer."""
    last = len(cells) - 1
    layers: list[Layer] = [
        recurrent(cell, 2, 2, sequences=sequences or n < last, name=f"{cell}_{n}", seed=n)
        for n, cell in enumerate(cells)
    ]
    return network(*layers, dense(2, outputs, "tanh"), steps=STEPS).replace(**options)


def designed(net: Network, **options: Any) -> Design:
    return generate(net, PRECISION, state_ports=True, **options)


def vectors_at_random(design: Design, sequences: int = 5) -> Vectors:
    codes = random_codes(design, sequences)
    vectors = vectors_of(design, codes, random_clear(design, codes), random_offers(design, codes))
    assert vectors.states is not None
    assert vectors.states.offers[:, 0].any()
    assert vectors.states.offers[:, 1:].any()
    assert not vectors.states.offers[:, 0].all()
    return vectors


def same(found: StateValues, wanted: StateValues) -> None:
    assert found.keys() == wanted.keys()
    for layer, states in wanted.items():
        assert found[layer].keys() == states.keys()
        for name, values in states.items():
            np.testing.assert_array_equal(found[layer][name], values)


@pytest.mark.parametrize(
    ("cells", "simulator", "options"),
    [
        (("lstm", "gru_after"), "amaranth", {"sequences": True}),
        (("gru_before", "simple"), "amaranth", {"stateful": True}),
        (("lstm", "simple"), "icarus", {"stateful": True}),
        (("gru_after", "lstm"), "verilator", {"sequences": True}),
    ],
)
def test_saved_and_restored(
    cells: tuple[str, ...], simulator: SimulatorName, options: dict[str, bool]
) -> None:
    """Half a sequence, and the rest in hardware that was started anew: as the whole one."""
    design = designed(net_of(*cells, **options))
    x = inputs(design.network, 3, STEPS)
    half = STEPS // 2
    first = design.simulate(x[:, :half], stalls=False)
    second = design.simulate(x[:, half:], simulator, state=first.state)
    assert first.bit_exact
    assert second.bit_exact
    whole = design.predict(x)
    np.testing.assert_array_equal(second.outputs, whole[:, half:] if whole.ndim == 3 else whole)
    stream = design.stream(3)
    stream.predict(x)
    assert second.state is not None
    same(second.state, stream.state)
    assert second.latency_cycles == design.schedule.latency_of(half)
    assert second.initiation_interval == design.schedule.interval_of(half)
    if simulator == "verilator":
        lint(design.verilog, design.name)


@pytest.mark.parametrize(
    ("cells", "options", "choices"),
    [
        # A beat that brings a state comes at the very edge at which the step before it ends.
        (("gru_after",), {"sequences": True}, {"clock_mhz": 40}),
        (("simple",), {"stateful": True, "mask_value": 0.0}, {}),
        (("lstm",), {"mask_value": 0.0}, {"reuse_factor": 3}),
        # Without ports this head would be a stage of its own.
        (("lstm", "gru_after"), {"outputs": 16}, {"mode": "interleaved"}),
        (("gru_before",), {"stateful": True}, {"mode": "interleaved", "reuse_factor": 2}),
        # All products on one multiplier.
        (("gru_after",), {"stateful": True}, {"reuse_factor": 4}),
    ],
)
def test_any_step_begins_from_what_it_brings(
    cells: tuple[str, ...], options: dict[str, Any], choices: dict[str, Any]
) -> None:
    design = designed(net_of(*cells, **options), **choices)
    vectors = vectors_at_random(design)
    if design.network.mask_value is not None:
        vectors = masked(design, vectors)
    found = in_amaranth(design, vectors, reset_rounds=3)
    assert vectors.states is not None
    np.testing.assert_array_equal(found.codes, vectors.expected)
    np.testing.assert_array_equal(found.states, vectors.states.ended)
    assert found.latency_cycles == design.schedule.latency_cycles
    assert found.initiation_interval == design.schedule.initiation_interval


def masked(design: Design, vectors: Vectors) -> Vectors:
    """Return vectors in which some steps that bring states are masked, the last ones too."""
    assert vectors.states is not None
    codes, offers = vectors.codes.copy(), vectors.states.offers.copy()
    codes[::2, [0, -1]] = 0
    offers[2, [0, -1]] = True
    return vectors_of(design, codes, vectors.clear, Offers(offers, vectors.states.offered))


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_brought_is_as_good_as_a_constant(cell: str) -> None:
    """A state that the hardware is offered does what it does as a layer's own initial one."""
    net = net_of(cell, sequences=True)
    design = designed(net)
    codes = design.input_codes(inputs(net, 3, STEPS))
    brought = random_offers(design, codes)
    assert brought is not None
    stream = design.stream(state=design.states.values(design.states.parted(brought.states[:, 0])))
    vectors = vectors_of(design, codes, None, offers_of(design, codes, stream.state, None))
    (layer,) = net.recurrent
    for n in range(3):
        initial = {name: values[n] for name, values in stream.state[layer.name].items()}
        constant = net.replace(layers=(replace(layer, initial=initial), *net.layers[1:]))
        wanted = generate(constant, PRECISION).predict_codes(codes[n : n + 1])
        np.testing.assert_array_equal(vectors.expected[n : n + 1], wanted)


def test_order_and_packing() -> None:
    """The layers in order, of each h before c, each code in the bytes of the widest."""
    design = designed(net_of("lstm", "gru_after", stateful=True))
    assert list(design.states.nodes) == [("lstm_0", "h"), ("lstm_0", "c"), ("gru_after_1", "h")]
    form = design.state_stream
    assert form == StreamFormat(6, 9)
    made = ports(design.input_stream, design.output_stream, stateful=True, state=form)
    assert (made["s_axis_tuser"].shape, made["m_axis_tuser"].shape) == (98, 96)
    assert "lstm_0.h, lstm_0.c, gru_after_1.h: 6 codes of 16 bits" in design.report()
    assert "bit 96 of it marks" in design.report()
    assert "bit 97 of `s_axis_tuser` marks" in design.report()


@pytest.mark.parametrize("part", ["offers", "offered", "ended"])
def test_what_is_wrong_is_found(part: str) -> None:
    design = designed(net_of("gru_after"))
    vectors = vectors_at_random(design)
    assert vectors.states is not None
    given = getattr(vectors.states, part)
    wrong = replace(vectors.states, **{part: ~given if part == "offers" else given ^ 1})
    found = in_amaranth(design, vectors._replace(states=wrong), stalls=False, reset_rounds=0)
    assert found.states is not None
    assert not np.array_equal(found.states, wrong.ended)
    assert np.array_equal(found.codes, vectors.expected) is (part == "ended")


def test_written_project(tmp_path: Path) -> None:
    design = designed(net_of("simple", stateful=True), name="kept")
    folder = design.write(tmp_path / "build")
    state = json.loads((folder / "manifest.json").read_text())["state"]
    assert state == {"lanes": 2, "width": 8, "lane_bits": 8}
    offers, ended = np.load(folder / "offers.npy"), np.load(folder / "ended.npy")
    assert offers[:, 0].any()
    assert not offers.all()
    command = [sys.executable, "sim/run.py", "icarus"]
    np.save(folder / "ended.npy", ended ^ (np.arange(2) == 1))
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    assert done.returncode == 1
    (failure,) = json.loads((folder / "results/icarus/results.json").read_text())["failures"][:1]
    assert "lane 1 of the states" in failure["message"]


def test_other_designs_have_no_ports() -> None:
    plain = generate(net_of("gru_after"), PRECISION)
    assert "tuser" not in plain.verilog
    assert plain.state_stream is None
    assert plain.simulate(inputs(plain.network, 1, 2), stalls=False).state is None


BAD_STATES: dict[str, tuple[Any, str]] = {
    "layer": ({"other": {}}, "state has nothing, expected lstm_0.h, lstm_0.c"),
    "shape": ({"h": [[0, 0]], "c": [[0, 0]]}, r"lstm_0.h has shape \(1, 2\), expected \(2, 2\)"),
    "grid": ({"h": [[0, 0.01]] * 2, "c": [[0, 0]] * 2}, "lstm_0.h is 0.01, which this"),
    "range": (
        {"h": [[0, 2]] * 2, "c": [[0, 0]] * 2},
        "lstm_0.h is 2, which .* multiples of 0.015625 from -2 to 1.98",
    ),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_states_that_cannot_be(case: str) -> None:
    state, message = BAD_STATES[case]
    design = designed(net_of("lstm"))
    with pytest.raises(InputError, match=message):
        design.simulate(
            inputs(design.network, 2, STEPS),
            state=state if case == "layer" else {"lstm_0": state},
        )


def test_refused() -> None:
    net = net_of("lstm")
    layer = recurrent("lstm", 2, 2)
    x = inputs(net, 2, STEPS)
    with pytest.raises(InputError, match=r"state is for a design .* state_ports=True"):
        generate(net, PRECISION).simulate(x, state={})
    with pytest.raises(UnsupportedError, match=r"mode 'unrolled' has no state .* read"):
        designed(net, mode="unrolled", steps_per_beat=STEPS)
    with pytest.raises(UnsupportedError, match=r"state_ports with a mask .* mode 'interleaved'"):
        designed(net.replace(mask_value=0.0), mode="interleaved")
    with pytest.raises(UnsupportedError, match="state_ports is for recurrent layers"):
        designed(network(dense(2)))
    with pytest.raises(UnsupportedError, match="state_ports must be True or False, not 1"):
        generate(net, PRECISION, state_ports=1)  # type: ignore[arg-type]
    both = Bidirectional("both", replace(layer, name="f"), replace(layer, name="b"))
    sequences = replace(layer, return_sequences=True)
    for layers in (
        [both],
        [replace(layer, go_backwards=True)],
        [sequences, MaxPooling("largest", 2)],
        [sequences, flatten("flat", STEPS, 2)],
    ):
        with pytest.raises(UnsupportedError, match=r"and state_ports exclude each other"):
            designed(network(*layers, steps=STEPS))
