"""Masked steps: they change no state, in floats, in the reference, in training and in hardware."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnrtl.design import Design
from rnnrtl.errors import InputError, ModelError, PrecisionError, UnsupportedError
from rnnrtl.frontends import load, save
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.network import Network
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName
from tests.networks import CELLS, dense, inputs, network, recurrent, reference

STEPS, MASK = 4, -1.5


def net_of(cell: str, sequences: bool = False, *, initial: bool = False) -> Network:
    layer = recurrent(cell, 2, 3, sequences=sequences)
    if initial:
        layer = replace(layer, initial={"h": np.array([0.5, -0.25, 0.0])})
    return network(layer, dense(3, 2, "tanh"), steps=STEPS).replace(mask_value=MASK)


def stacked(sequences: bool = False) -> Network:
    return network(
        dense(2, 2, "tanh", name="first"),
        recurrent("gru_before", 2, 2, sequences=True, name="lower"),
        dense(2, 3, name="between"),
        recurrent("lstm", 3, 2, sequences=sequences, name="upper"),
        steps=STEPS,
    ).replace(mask_value=MASK)


def masked_inputs(net: Network, batch: int = 8, steps: int = STEPS) -> NDArray[np.float64]:
    """Return sequences of which some begin, end or are full of masked steps."""
    x = inputs(net, batch, steps)
    masked = np.random.default_rng(5).random((batch, steps)) < 0.4
    masked[0], masked[1] = False, True
    masked[2, 0] = masked[3, -1] = True
    x[masked] = MASK
    x[0, 0, 0] = MASK  # one lane is not all
    return x


def wanted(net: Network, x: NDArray[np.float64]) -> Any:
    """Return what the equations give for the steps that are left, each result held until the next.

    Before the first of them, layers give their initial state.
    """
    plain = net.replace(mask_value=None)
    found = []
    for sequence in x:
        left: list[int] = []
        for t, step in enumerate(sequence):
            left += [] if (step == MASK).all() else [t]
            if left:
                output = reference(plain, sequence[None, left])[0]
                found.append(output[-1] if net.return_sequences else output)
            else:
                found.append(of_initial_state(net))
    results = np.array(found).reshape(*x.shape[:2], -1)
    return results if net.return_sequences else results[:, -1]


def of_initial_state(net: Network) -> Any:
    last = max(n for n, layer in enumerate(net.layers) if layer in net.recurrent)
    recurrent_layer, heads = net.layers[last], net.layers[last + 1 :]
    state = recurrent_layer.initial["h"]  # type: ignore[union-attr]
    return reference(network(*heads), state[None])[0] if heads else state


def designed(net: Network, precision: Any = "fixed<9,4>", **options: Any) -> Design:
    if options.get("mode") == "unrolled":
        options["steps_per_beat"] = STEPS
    return generate(net, precision, **options)


def check(design: Design, simulator: SimulatorName = "amaranth") -> None:
    x = masked_inputs(design.network)
    codes = design.input_codes(x)
    np.testing.assert_array_equal(design.predict_codes(codes), evaluate(design.graph, codes))
    found = design.simulate(x, simulator)
    assert found.bit_exact
    assert found.latency_cycles == design.schedule.latency_cycles
    assert found.initiation_interval == design.schedule.initiation_interval


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("cell", CELLS)
def test_equations(cell: str, sequences: bool) -> None:
    net = net_of(cell, sequences, initial=True)
    x = masked_inputs(net)
    np.testing.assert_allclose(net.predict(x), wanted(net, x), rtol=0, atol=1e-12)
    design = designed(net, "fixed<20,6>")
    np.testing.assert_allclose(design.predict(x), wanted(net, x), rtol=0, atol=2e-3)
    # The bits are those of the steps that are left.
    few = designed(net, "fixed<9,4>")
    plain = designed(net.replace(mask_value=None), "fixed<9,4>")
    for sequence in x:
        left = [t for t, step in enumerate(sequence) if not (step == MASK).all()]
        if left:
            whole = few.predict(sequence[None])
            alone = plain.predict(sequence[None, left])
            np.testing.assert_array_equal(whole[:, left] if sequences else whole, alone)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
def test_the_mask_goes_on_through_layers(sequences: bool) -> None:
    net = stacked(sequences)
    x = masked_inputs(net)
    x[1, 2] = 0.25  # of a sequence without any step, layers in between would see no state
    if not sequences:
        np.testing.assert_allclose(net.predict(x), wanted(net, x), rtol=0, atol=1e-12)
        return
    first = np.argmax(~(x == MASK).all(axis=-1), axis=1)
    for found, expected, start in zip(net.predict(x), wanted(net, x), first, strict=True):
        np.testing.assert_allclose(found[start:], expected[start:], rtol=0, atol=1e-12)
        assert not found[:start].any()


@pytest.mark.parametrize(
    ("cell", "mode", "reuse", "sequences", "stateful"),
    [
        ("lstm", "static", 1, False, False),
        ("lstm", "static", 3, True, False),
        ("lstm", "interleaved", 1, True, False),
        ("gru_after", "static", 3, False, True),
        ("gru_after", "interleaved", 2, False, True),
        ("gru_after", "unrolled", 1, True, False),
        ("gru_before", "static", 1, True, True),
    ],
)
def test_hardware(cell: str, mode: str, reuse: int, sequences: bool, stateful: bool) -> None:
    net = net_of(cell, sequences, initial=True).replace(stateful=stateful)
    design = designed(net, mode=mode, reuse_factor=reuse)
    check(design)
    plain = designed(net.replace(mask_value=None), mode=mode, reuse_factor=reuse).schedule
    # The state keeps its value: nothing is selected in the loop.
    assert design.schedule.cycles_per_step == plain.cycles_per_step
    assert design.schedule.slots == plain.slots
    if stateful:
        x = masked_inputs(net, 9)
        assert design.simulate(x, clear=np.arange(9) % 3 == 0, stalls=False).bit_exact


def test_layers_behind_each_other() -> None:
    check(designed(stacked(), reuse_factor=2))


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_verilog(simulator: SimulatorName) -> None:
    mode = {"icarus": "interleaved", "verilator": "static"}[simulator]
    design = designed(net_of("gru_after"), mode=mode)
    check(design, simulator)
    lint(design.verilog, design.name)


def test_the_top_tagger_takes_no_cycle_more() -> None:
    net = network(recurrent("gru_after", 6, 20, scale=0.3), dense(20, 1), steps=20)
    plain, masked = (designed(n, "fixed<16,6>") for n in (net, net.replace(mask_value=MASK)))
    assert masked.schedule.cycles_per_step == plain.schedule.cycles_per_step
    assert masked.schedule.latency_cycles == plain.schedule.latency_cycles


def test_a_stream_goes_on_through_masked_steps() -> None:
    net = net_of("lstm").replace(stateful=True)
    x = masked_inputs(net, 4, 6)
    for made in (net, designed(net)):
        stream = made.stream(4)
        stream.predict(x[:, :2])
        np.testing.assert_array_equal(stream.predict(x[:, 2:]), made.predict(x))


def test_training_masks_too() -> None:
    torch = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    net = net_of("gru_after", True)
    model = QuantizedNetwork(net, "fixed<9,4>")
    x = masked_inputs(net)
    found = model(torch.from_numpy(x))
    np.testing.assert_array_equal(found.detach().numpy(), generate(model).predict(x))
    found.sum().backward()


def test_saved(tmp_path: Path) -> None:
    net = net_of("lstm").replace(stateful=True)
    save(net, tmp_path / "net.npz")
    again = load(tmp_path / "net.npz")
    assert (again.mask_value, again.stateful) == (MASK, True)


def test_refused() -> None:
    net = net_of("lstm")
    for value, form in ((-1.3, "fixed<9,4>"), (100.0, "fixed<9,4>")):
        with pytest.raises(PrecisionError, match=f"mask_value {value:g} is no value of {form}"):
            designed(net.replace(mask_value=value), form)
    with pytest.raises(ModelError, match="mask_value must be a number, not True"):
        net.replace(mask_value=True)
    with pytest.raises(ModelError, match="mask_value is nan"):
        net.replace(mask_value=float("nan"))
    with pytest.raises(ModelError, match="mask_value is for recurrent layers"):
        network(dense(2)).replace(mask_value=0.0)
    with pytest.raises(UnsupportedError, match="normalise and a mask"):
        load(net, normalise=(0.0, 2.0))
    with pytest.raises(InputError, match="must be finite"):
        net.predict(np.full((1, 2, 2), np.nan))
