"""Pooling over time: the mean and the largest of all steps."""

import math
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import InputError, ModelError, UnsupportedError
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.nodes import State
from rnnrtl.layers import AveragePooling, MaxPooling
from rnnrtl.network import Network
from rnnrtl.options import MODES
from rnnrtl.simulation import SimulatorName
from tests.designs import STEPS, STRATEGIES, check, designed
from tests.networks import dense, inputs, network, recurrent, reference
from tests.test_cli import CLI

KINDS = ("average", "max")


def pooling(kind: str, features: int = 2, steps: int = STEPS) -> AveragePooling | MaxPooling:
    if kind == "max":
        return MaxPooling("pool", features)
    return AveragePooling("pool", features, steps)


def net_of(kind: str, cell: str = "gru_after", steps: int = STEPS) -> Network:
    layer = recurrent(cell, 2, 2, sequences=True)
    return network(layer, pooling(kind, steps=steps), dense(2, 2, "tanh"), steps=steps)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_floats_are_those_of_the_equations(kind: str, steps: int) -> None:
    net = net_of(kind, steps=steps)
    x = inputs(net, 5, steps)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-14)
    y = rnnrtl.generate(net, "fixed<16,5>").predict(x)
    np.testing.assert_allclose(y, reference(net, x), rtol=0, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_strategy(mode: str, kind: str) -> None:
    for strategy, cell in zip(STRATEGIES, ("lstm", "gru_before"), strict=True):
        check(designed(net_of(kind, cell), mode, strategy=strategy))


@pytest.mark.parametrize("mode", MODES)
def test_without_a_recurrent_layer(mode: str) -> None:
    """The loop is one cycle, and so is a step."""
    for kind in KINDS:
        design = designed(network(dense(2, 2), pooling(kind), steps=STEPS), mode, clock_mhz=100)
        check(design)
        assert mode != "static" or design.schedule.cycles_per_step == 1


@pytest.mark.parametrize(("kind", "simulator"), [("average", "verilator"), ("max", "icarus")])
def test_verilog(kind: str, simulator: SimulatorName) -> None:
    check(designed(net_of(kind), "static"), simulator)


@pytest.mark.parametrize("factor", [2, 24])
def test_turns_on_multipliers(factor: int) -> None:
    for kind, mode in (("average", "static"), ("max", "interleaved")):
        check(designed(net_of(kind), mode, reuse_factor=factor))


@pytest.mark.parametrize("steps", [1, 3, 8, 23, 1000])
def test_a_mean_is_exact_but_for_its_rounding(steps: int) -> None:
    net = network(AveragePooling("pool", 2, steps))
    design = rnnrtl.generate(net, {"*": "fixed<10,3>", "pool.output": "fixed<9,3>"})
    codes = np.random.default_rng(steps).integers(-512, 512, (20, steps, 2))
    codes[0], codes[1] = 511, -512
    found = design.predict_codes(codes) * 2.0**-6
    wanted = np.array([[math.fsum(lane) for lane in x.T] for x in codes]) / steps * 2.0**-7
    assert np.abs(found - np.clip(wanted, -4, 4 - 2.0**-6)).max() <= 2.0**-6 * (1 / 2 + 1 / 8)
    (loop,) = design.graph.loops
    sums = loop.states[0][0]
    assert sums.lowest == (-512 * steps,) * 2
    assert sums.highest == (511 * steps,) * 2
    np.testing.assert_array_equal(evaluate(design.graph, codes), design.predict_codes(codes))


def test_a_maximum_is_exact_and_as_narrow_as_what_it_is_of() -> None:
    net = network(recurrent("lstm", 2, 2, sequences=True), MaxPooling("pool", 2))
    design = rnnrtl.generate(net, "fixed<16,6>")
    every = rnnrtl.generate(network(*net.layers[:1]), "fixed<16,6>")
    x = inputs(net, 9, 6)
    np.testing.assert_array_equal(design.predict(x), every.predict(x).max(axis=1))
    (state,) = (s for s in design.graph.nodes() if isinstance(s, State) and s.name == "largest")
    assert max(state.highest) <= 1 << 10


@pytest.mark.parametrize("overflow", ["SAT", "WRAP", "SAT_ZERO", "SAT_SYM"])
def test_overflow_modes(overflow: str) -> None:
    for kind in KINDS:
        precision = {"*": "fixed<8,3>", "hidden": f"fixed<6,1,TRN,{overflow}>"}
        if kind == "average":
            precision["pool.output"] = f"fixed<7,0,TRN,{overflow}>"
        check(designed(net_of(kind), "static", precision))


def test_formats() -> None:
    assert rnnrtl.tensors(net_of("average"))["pool"] == ("output",)
    assert rnnrtl.tensors(net_of("max"))["pool"] == ()
    with pytest.raises(rnnrtl.PrecisionError, match="that is read: pool has none"):
        rnnrtl.generate(net_of("max"), {"*": "fixed<9,4>", "pool.output": "fixed<9,4>"})
    found = rnnrtl.generate(net_of("average"), {"*": "fixed<9,4>", "pool.output": "fixed<6,0>"})
    vectors = {(row.layer, row.vector) for row in found.saturation(inputs(found.network, 3, STEPS))}
    assert ("pool", "h_next") in vectors


def test_another_number_of_steps_is_refused() -> None:
    net = net_of("average")
    x = inputs(net, 2, STEPS + 1)
    design = rnnrtl.generate(net, "fixed<9,4>")
    for run in (net.predict, design.predict, design.simulate, design.saturation):
        with pytest.raises(
            InputError,
            match=r"but each sequence must have 3: layer .pool. takes",
        ):
            run(x)
    with pytest.raises(ModelError, match="'pool' divides by 3 steps, but steps is 4"):
        net.replace(steps=4)
    assert net_of("max").predict(x).shape == (2, 2)
    # The steps are those of the layer where nothing else says them.
    assert network(AveragePooling("p", 2, 5)).steps == 5


def test_what_cannot_be_pooled() -> None:
    with pytest.raises(ModelError, match="'pool' needs a sequence"):
        network(recurrent("lstm", 2, 2), MaxPooling("pool", 2))
    with pytest.raises(ModelError, match="steps of p must be a positive integer, not 0"):
        AveragePooling("p", 2, 0)
    with pytest.raises(UnsupportedError, match="'pool' is a MaxPooling, which begins anew"):
        net_of("max").replace(stateful=True)


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_pickles_keep_it(kind: str, tmp_path: Path) -> None:
    net = net_of(kind)
    path = tmp_path / "net.npz"
    rnnrtl.save(net, path)
    x = inputs(net, steps=STEPS)
    for kept in (rnnrtl.load(path), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(kept.predict(x), net.predict(x))
    written = subprocess.run(
        [*CLI, "generate", path, "--precision", "fixed<8,3>", "--output", tmp_path / "out"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "out" / "network.v").exists()


def test_arrays_that_make_no_pooling_layer() -> None:
    for arrays, words in (
        ({"pooling": "median"}, "'p/pooling' is 'median', but only average, max"),
        ({"pooling": "average", "features": 2}, "layer 'p' has no 'p/steps'"),
        ({"pooling": "max", "features": 2, "steps": 3}, "unknown key 'p/steps' in max pooling"),
        ({"pooling": "max", "features": 2.5}, "'p/features' must be one integer"),
    ):
        with pytest.raises(rnnrtl.RnnrtlError, match=words):
            rnnrtl.load({"p": arrays})


def test_training_has_the_bits_of_the_hardware() -> None:
    torch = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    for kind in KINDS:
        model = QuantizedNetwork(net_of(kind), "fixed<9,4>")
        x = inputs(model.network, 5, STEPS)
        y = model(torch.from_numpy(x))
        np.testing.assert_array_equal(y.detach().numpy(), rnnrtl.generate(model).predict(x))
        y.sum().backward()
        assert float(model.weights["gru_after/z/kernel"].grad.abs().max()) > 0


@pytest.mark.parametrize("form", ["mean", "max", "amax"])
def test_torch_modules(form: str) -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_models import Custom, assert_same, sequences

    forms = {
        "mean": lambda m, x: m.head(m.rnn(x)[0].mean(1)),
        "max": lambda m, x: m.head(m.rnn(x)[0].max(1).values),
        "amax": lambda m, x: m.head(m.rnn(x)[0].amax(dim=1)),
    }
    torch.manual_seed(1)
    rnn, head = torch.nn.LSTM(3, 4, batch_first=True), torch.nn.Linear(4, 2)
    module = Custom(forms[form], rnn=rnn, head=head)
    network = rnnrtl.load(module, steps=7)
    assert [layer.name for layer in network.layers] == ["rnn", "pooling", "head"]
    assert_same(network, module, sequences(3, 7, 3))
    if form == "mean":
        with pytest.raises(ModelError, match="takes the mean over time: say how many steps"):
            rnnrtl.load(module)


def test_torch_modules_that_do_something_else_are_refused() -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_models import Custom

    rnn = torch.nn.LSTM(3, 4, batch_first=True)
    module = Custom(lambda m, x: m.rnn(x)[0].amin(1), rnn=rnn)
    with pytest.raises(ModelError, match="does something else than its layers in order"):
        rnnrtl.load(module, steps=7)
