"""Layers that make a vector of a sequence, or a sequence of a vector, and their memories."""

import random
from pathlib import Path

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import InputError, ModelError, UnsupportedError
from rnnrtl.frontends.npz import to_arrays
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.memories import Gathering, Scattering
from rnnrtl.hardware.reshaping import GatheringMemory, ScatteringMemory
from rnnrtl.layers import Reshape, flatten, permute, repeat_vector, reshape
from rnnrtl.network import Network
from rnnrtl.schedule.series import Series
from rnnrtl.simulation import SimulatorName
from tests import memory_bench
from tests.designs import check, designed
from tests.memory_bench import packed
from tests.networks import bidirectional, dense, inputs, network, recurrent, reference

STEPS = 3


def autoencoder() -> Network:
    return network(
        recurrent("lstm", 2, 3, name="encoder"),
        repeat_vector("repeat", 4, 3),
        recurrent("gru_after", 3, 2, sequences=True, name="decoder"),
        dense(2, 2),
        steps=STEPS,
    )


NETWORKS = {
    "repeated": autoencoder(),
    "flat": network(
        recurrent("gru_before", 2, 2, sequences=True), flatten("flat", STEPS, 2), dense(6, 2)
    ),
    "flat last": network(recurrent("lstm", 2, 2, sequences=True), flatten("flat", STEPS, 2)),
    "permuted": network(permute("permute", STEPS, 2), recurrent("simple", 3, 2)),
    "made a sequence": network(
        recurrent("lstm", 2, 3),
        dense(3, 6, name="wide"),
        reshape("reshape", (6,), (2, 3)),
        recurrent("gru_after", 3, 2, sequences=True),
        steps=STEPS,
    ),
    "other steps": network(
        recurrent("gru_after", 2, 4, sequences=True),
        reshape("reshape", (STEPS, 4), (2, 6)),
        recurrent("lstm", 6, 2),
    ),
    "both ways": network(
        bidirectional("lstm", "gru_after", 2, (2, 2), sequences=True),
        flatten("flat", STEPS, 4),
        dense(12, 3),
        repeat_vector("repeat", 2, 3),
        bidirectional("simple", "lstm", 3, (1, 2), name="again", sequences=True),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_floats_are_those_of_the_equations(name: str) -> None:
    net = NETWORKS[name]
    x = inputs(net, 4, STEPS)
    expected = reference(net, x)
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=1e-14)
    design = rnnrtl.generate(net, "fixed<20,6>")
    np.testing.assert_allclose(design.predict(x), expected, rtol=0, atol=1e-3)
    codes = design.input_codes(x)
    np.testing.assert_array_equal(evaluate(design.graph, codes), design.predict_codes(codes))
    assert design.predict(x[:0]).shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("mode", ["static", "unrolled"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_mode(name: str, mode: str) -> None:
    check(designed(NETWORKS[name], mode))


@pytest.mark.parametrize(
    ("name", "simulator"), [("repeated", "icarus"), ("flat", "verilator"), ("permuted", "icarus")]
)
def test_verilog(name: str, simulator: SimulatorName) -> None:
    check(designed(NETWORKS[name], "static", strategy="shift_add"), simulator)


def test_turns_on_multipliers() -> None:
    for name in ("repeated", "flat"):
        check(designed(NETWORKS[name], "static", reuse_factor=4))


def test_what_has_one_beat_a_sequence_takes_as_long_as_a_step() -> None:
    """The dense layer behind all steps has as many cycles, and a share of the multipliers."""
    layers = (recurrent("lstm", 2, 2, sequences=True), flatten("flat", STEPS, 2), dense(6, 40))
    idle, busy = (
        designed(
            network(*layers), "static", "fixed<14,4>", reuse_factor=factor, strategy="dsp"
        ).schedule
        for factor in ((1, 1), 1)
    )
    assert isinstance(idle, Series)
    assert isinstance(busy, Series)
    assert idle.parts[1].beat_interval == 1
    assert busy.parts[1].beat_interval == busy.parts[0].beat_interval > 1
    assert busy.parts[1].multipliers < idle.parts[1].multipliers
    assert busy.initiation_interval == idle.initiation_interval


def test_steps() -> None:
    net = NETWORKS["flat"]
    assert net.steps == STEPS  # as its layer says
    assert net.output_steps is None
    assert NETWORKS["repeated"].output_steps == 4
    x = inputs(net, 2, STEPS + 1)
    for run in (net.predict, rnnrtl.generate(net, "fixed<9,4>").predict):
        with pytest.raises(InputError, match=r"x has 4 .*each sequence must have 3: layer 'flat'"):
            run(x)
    with pytest.raises(ModelError, match="layer 'flat' takes 3 steps, but steps is 4"):
        network(*net.layers, steps=4)
    # An encoder takes any number of steps.
    x = inputs(autoencoder(), 2, 7)
    design = rnnrtl.generate(autoencoder().replace(steps=None), "fixed<9,4>")
    assert design.predict(x).shape == (2, 4, 2)
    assert design.simulate(x).bit_exact


def test_refused() -> None:
    net = autoencoder()
    with pytest.raises(UnsupportedError, match="in turn, but layer 'repeat' makes a sequence"):
        rnnrtl.generate(net, "fixed<9,4>", mode="interleaved")
    with pytest.raises(UnsupportedError, match="'flat' takes a whole sequence, which takes a core"):
        rnnrtl.generate(NETWORKS["flat"], "fixed<9,4>", reuse_factor=24)
    with pytest.raises(UnsupportedError, match=r"stateful is for .* 'repeat' is a Reshape"):
        net.replace(stateful=True)
    with pytest.raises(UnsupportedError, match=r"'repeat' \(Reshape\) and a mask exclude"):
        net.replace(mask_value=0.0)
    with pytest.raises(UnsupportedError, match="from step to step, but layer 'repeat' makes"):
        net.stream()
    lstm = recurrent("lstm", 2, 3, sequences=True)
    with pytest.raises(ModelError, match="'repeat' takes one vector a sequence, but the layers"):
        network(lstm, repeat_vector("repeat", 4, 3))
    with pytest.raises(ModelError, match="'flat' needs a sequence, but a layer before it"):
        network(recurrent("lstm", 2, 3), flatten("flat", 4, 3))
    with pytest.raises(ModelError, match=r"makes \(2, 4\) of \(6,\), which are not as many"):
        reshape("r", (6,), (2, 4))
    for order, message in (
        ([[0, 3]], "numbers from 0 to 2, for it takes 3"),
        ([0.5], r"whole numbers of shape \(lanes,\) or .*, not float64"),
        (np.zeros((1, 1, 1), int), r"not int64 of shape \(1, 1, 1\)"),
    ):
        with pytest.raises(ModelError, match=message):
            Reshape("r", None, 3, np.array(order))


WIDTH = 4


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_sequence_becomes_a_word(steps: int) -> None:
    rng = np.random.default_rng(steps)
    words = rng.integers(0, 1 << WIDTH, (4, steps, 2))
    memory = Gathering(2, steps)
    offered = [(packed(w, WIDTH), t == steps - 1) for s in words.tolist() for t, w in enumerate(s)]
    expected = [(packed(w, WIDTH), True) for (w,) in memory.played(words).tolist()]
    found, taken, given = memory_bench.run(GatheringMemory(memory, WIDTH), offered, 4)
    assert found == expected
    assert set(np.diff(taken)) <= {1}, "a beat at every edge"
    assert given == [cycle + memory.cycles for cycle in taken[steps - 1 :: steps]]
    found, *_ = memory_bench.run(GatheringMemory(memory, WIDTH), offered, 4, random.Random(steps))
    assert found == expected


@pytest.mark.parametrize(
    "order", [((0, 1), (0, 1), (0, 1)), ((0, 1), (2, 3)), ((3, 0), (1, 1), (2, 0)), ((2,),)]
)
def test_a_word_becomes_a_sequence(order: tuple[tuple[int, ...], ...]) -> None:
    words = np.random.default_rng(1).integers(0, 1 << WIDTH, (4, 4))
    memory = Scattering(4, order)
    offered = [(packed(w, WIDTH), True) for w in words.tolist()]
    steps = len(order)
    expected = [
        (packed(w, WIDTH), t == steps - 1)
        for s in memory.played(words).tolist()
        for t, w in enumerate(s)
    ]
    found, taken, given = memory_bench.run(ScatteringMemory(memory, WIDTH), offered, 4 * steps)
    assert found == expected
    assert set(np.diff(given)) <= {1}, "a beat at every edge"
    assert given[0] == taken[0] + memory.cycles
    found, *_ = memory_bench.run(
        ScatteringMemory(memory, WIDTH), offered, 4 * steps, random.Random(1)
    )
    assert found == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_and_loaded(tmp_path: Path, name: str) -> None:
    net = NETWORKS[name]
    rnnrtl.save(net, tmp_path / "net.npz")
    loaded = rnnrtl.load(tmp_path / "net.npz")
    x = inputs(net, 2, STEPS)
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))
    assert (loaded.steps, loaded.output_steps) == (net.steps, net.output_steps)


def test_arrays_refused() -> None:
    arrays = dict(to_arrays(NETWORKS["repeated"]))
    with pytest.raises(ModelError, match="unknown key 'repeat/kernel': a reshaping layer has"):
        rnnrtl.load({**arrays, "repeat/kernel": np.ones(3)})
    with pytest.raises(ModelError, match="'repeat' must be numbers from 0 to 2"):
        rnnrtl.load({**arrays, "repeat/order": np.full((2, 3), 3)})
    with pytest.raises(ModelError, match="whole numbers"):
        rnnrtl.load({**arrays, "repeat/order": np.full((2, 3), 0.5)})
    del arrays["repeat/features"]
    with pytest.raises(ModelError, match="layer 'repeat' has no 'repeat/features'"):
        rnnrtl.load(arrays)


@pytest.mark.parametrize("name", ["repeated", "flat"])
def test_trained(name: str) -> None:
    torch = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    model = QuantizedNetwork(NETWORKS[name], "fixed<10,4>")
    x = inputs(NETWORKS[name], 3, STEPS)
    y = model(torch.from_numpy(x))
    design = rnnrtl.generate(model.network)
    np.testing.assert_array_equal(y.detach().numpy(), design.predict(x))
    y.sum().backward()
    assert "| 1 x 1 x 3 x" in design.report() or "| 1 x 3 x 2 x" in design.report()
