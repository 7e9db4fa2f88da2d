"""Convolution over time, causal and valid."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnrtl
from rnnrtl.design import Design
from rnnrtl.errors import InputError, ModelError, RnnrtlError, UnsupportedError
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.layers import (
    PADDINGS,
    AveragePooling,
    Convolution,
    Layer,
    MaxPooling,
    flatten,
    repeat_vector,
)
from rnnrtl.network import Network
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName
from tests.designs import designed
from tests.networks import FEATURES, bidirectional, dense, inputs, network, recurrent, reference

STEPS = 4


def convolution(
    features: int = 2,
    units: int = 2,
    taps: int = 3,
    activation: str = "relu",
    *,
    padding: str = "causal",
    name: str = "conv",
) -> Convolution:
    rng = np.random.default_rng(3)
    kernel = rng.normal(0, 0.6, (units, taps * features))
    return Convolution(name, kernel, rng.normal(size=units), activation, taps=taps, padding=padding)


def net_of(padding: str, *behind: Layer) -> Network:
    behind = behind or (recurrent("gru_before", 2, 1), dense(1, 1))
    return network(convolution(1, padding=padding), *behind, steps=STEPS)


def several(first: str, second: str) -> Network:
    """Return two convolutions and dense layers, before an LSTM."""
    return network(
        dense(1, 2, "relu", name="before"),
        convolution(2, 1, 2, padding=first, name="conv_0"),
        dense(1, 2, name="between"),
        convolution(2, 2, 2, "linear", padding=second, name="conv_1"),
        recurrent("simple", 2, 1),
        steps=STEPS,
    )


def check(design: Design, simulator: SimulatorName = "amaranth") -> None:
    """Check every bit, under stalls, and the measured figures."""
    x = inputs(design.network, 3, STEPS)
    codes = design.input_codes(x)
    if design.options.mode != "unrolled":
        np.testing.assert_array_equal(design.predict_codes(codes), evaluate(design.graph, codes))
    found = design.simulate(x, simulator)
    assert found.bit_exact
    assert found.latency_cycles == design.schedule.latency_cycles
    assert found.initiation_interval == design.schedule.initiation_interval


@pytest.mark.parametrize("padding", PADDINGS)
def test_floats_are_those_of_the_equations(padding: str) -> None:
    nets = [net_of(padding), several(padding, "causal"), several(padding, "valid")]
    nets.append(net_of(padding, bidirectional(features=2, units=(1, 2))))
    for net in nets:
        x = inputs(net, 5, STEPS + 2)
        net = net.replace(steps=STEPS + 2)
        np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-13)
        design = rnnrtl.generate(net, "fixed<20,6>")
        np.testing.assert_allclose(design.predict(x), reference(net, x), rtol=0, atol=2e-3)
        few = [designed(net, mode) for mode in ("static", "unrolled")]
        codes = few[0].input_codes(x)
        np.testing.assert_array_equal(few[0].predict_codes(codes), few[1].predict_codes(codes))


@pytest.mark.parametrize(
    ("mode", "padding", "options"),
    [
        ("static", "causal", {"strategy": "shift_add"}),
        ("static", "valid", {"strategy": "dsp", "reuse_factor": 2}),
        ("static", "causal", {"reuse_factor": 6}),
        ("interleaved", "causal", {"strategy": "dsp"}),
        ("interleaved", "valid", {"reuse_factor": 2}),
        ("unrolled", "causal", {"strategy": "dsp"}),
        ("unrolled", "valid", {"strategy": "shift_add"}),
    ],
)
def test_modes(mode: str, padding: str, options: dict[str, Any]) -> None:
    check(designed(net_of(padding), mode, **options))


@pytest.mark.parametrize(("second", "mode"), [("causal", "static"), ("valid", "interleaved")])
def test_convolutions_behind_each_other(second: str, mode: str) -> None:
    check(designed(several("valid", second), mode))


def test_pooling_behind() -> None:
    check(designed(net_of("valid", AveragePooling("pool", 2, STEPS - 2)), "interleaved"))
    both = bidirectional("simple", "simple", 2, (1, 1), sequences=True)
    check(designed(net_of("valid", both, MaxPooling("pool", 2)), "static"))


@pytest.mark.parametrize("last_output", [False, True])
def test_both_directions_behind(last_output: bool) -> None:
    both = bidirectional("simple", "gru_after", 2, (1, 1), last_output=last_output)
    check(designed(net_of("valid", both), "static"))


def test_a_stack_that_reads_both_ways() -> None:
    first, second = (
        bidirectional("simple", "simple", 2, (1, 1), sequences=True, name=f"both_{n}")
        for n in range(2)
    )
    middle = recurrent("simple", 2, 2, sequences=True, name="middle")
    last = recurrent("simple", 2, 1)
    check(designed(net_of("valid", first, second, middle, last), "static"))
    check(designed(net_of("valid", first, middle, second, last), "static"))


@pytest.mark.parametrize(("mode", "reuse"), [("static", 2), ("interleaved", 1)])
def test_behind_recurrent_layers(mode: str, reuse: int) -> None:
    for padding in PADDINGS:
        conv = convolution(2, 2, 2, padding=padding)
        before, behind = recurrent("simple", 1, 2, sequences=True), recurrent("gru_after", 2, 2)
        net = network(before, conv, behind, steps=STEPS)
        check(designed(net, mode, reuse_factor=reuse))


def test_between_layers_that_read_both_ways() -> None:
    first, second = (
        bidirectional("simple", "simple", n, (1, 1), sequences=n < 2, name=f"both_{n}")
        for n in (1, 2)
    )
    net = network(first, convolution(2, 2, 2, padding="valid"), second, steps=STEPS)
    x = inputs(net, 3, STEPS)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-13)
    check(designed(net, "static"))


def test_every_step_of_a_causal_one() -> None:
    check(designed(net_of("causal", dense(2, 2)), "static"))
    check(designed(net_of("causal", recurrent("simple", 2, 1, sequences=True)), "interleaved"))


@pytest.mark.parametrize(("padding", "simulator"), [("causal", "icarus"), ("valid", "verilator")])
def test_verilog(padding: str, simulator: SimulatorName) -> None:
    design = designed(net_of(padding), "static")
    check(design, simulator)
    lint(design.verilog, design.name)


def test_a_convolution_takes_as_many_cycles_as_a_step() -> None:
    """No state waits for it, so with a reuse factor it has fewer multipliers than products."""
    conv = convolution(4, 8, 4)
    behind = (recurrent("gru_after", 8, 4), dense(4, 1))
    alone, both = (
        designed(network(*layers, steps=STEPS), "static", strategy="dsp", reuse_factor=4).schedule
        for layers in (behind, (conv, *behind))
    )
    assert both.cycles_per_step == alone.cycles_per_step
    assert both.multipliers - alone.multipliers <= 8 * 16 / 2


def test_overflow_modes() -> None:
    for overflow in ("WRAP", "SAT_ZERO"):
        formats = {"*": "fixed<8,3>", "conv.output": f"fixed<5,1,TRN,{overflow}>"}
        check(designed(net_of("valid", MaxPooling("pool", 2)), "static", formats))


def test_tensors_and_saturation() -> None:
    net = net_of("valid")
    assert rnnrtl.tensors(net)["conv"] == ("kernel", "bias", "output")
    found = designed(net, "static").saturation(inputs(net, 3, STEPS))
    assert "conv" in {row.layer for row in found}
    with pytest.warns(rnnrtl.PrecisionWarning, match=r"weights of conv\.kernel saturate"):
        rnnrtl.generate(net, {"*": "fixed<9,4>", "conv.kernel": "fixed<9,-3>"})


def test_sequences_that_fill_no_window() -> None:
    net = several("valid", "valid").replace(steps=None)
    assert net.lost == 2
    design = rnnrtl.generate(net, "fixed<9,4>")
    x = inputs(net, 2, 2)
    for run in (net.predict, design.predict, design.simulate, design.saturation):
        with pytest.raises(InputError, match=r"x has 2 time steps, .* 'valid' take 3 at least"):
            run(x)
    assert net.predict(inputs(net, 2, 3)).shape == (2, 1)
    with pytest.raises(ModelError, match=r"steps is 2, but convolutions .* take 3"):
        net.replace(steps=2)
    pool = network(convolution(padding="valid"), AveragePooling("pool", 2, 5))
    assert pool.steps == 7
    with pytest.raises(InputError, match=r"x has 5 time steps, .* must have 7: layer 'pool'"):
        pool.predict(inputs(pool, 1, 5))


def test_refused() -> None:
    conv = convolution(padding="valid")
    back = replace(recurrent("lstm", 2, 2, sequences=True), go_backwards=True)
    words = "'c' is not supported behind 'lstm', which goes"
    with pytest.raises(UnsupportedError, match=words):
        network(conv, back, convolution(name="c"), recurrent("simple", 2, 2))
    with pytest.raises(UnsupportedError, match=words):
        network(conv, back, MaxPooling("c", 2))
    with pytest.raises(UnsupportedError, match="the first 2 steps have no output, but every step"):
        network(conv, recurrent("lstm", 2, 2, sequences=True))
    with pytest.raises(UnsupportedError, match="padding 'same' is not supported, only causal, val"):
        convolution(padding="same")
    with pytest.raises(UnsupportedError, match="'conv' is a Convolution, which begins anew"):
        net_of("causal").replace(stateful=True)
    with pytest.raises(UnsupportedError, match=r"'conv' \(Convolution\) and a mask exclude"):
        net_of("causal").replace(mask_value=0.0)
    for taps in (0, 1, 4):
        with pytest.raises(ModelError, match=r"taps of c must be|\(units, taps \* features\)"):
            Convolution("c", np.ones((2, 6)), np.zeros(2), taps=taps)
    with pytest.raises(UnsupportedError, match="is for recurrent layers, and the network has none"):
        designed(network(convolution(), MaxPooling("pool", 2), steps=3), "static", reuse_factor=2)


@pytest.mark.parametrize("padding", PADDINGS)
def test_files_and_pickles_keep_it(padding: str, tmp_path: Path) -> None:
    net = net_of(padding)
    rnnrtl.save(net, tmp_path / "net.npz")
    x = inputs(net, steps=STEPS)
    for kept in (rnnrtl.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(kept.predict(x), net.predict(x))


def test_arrays_that_make_no_convolution() -> None:
    kernel = np.ones((3, 2, 2))
    for arrays, words in (
        ({"kernel": kernel, "padding": "same"}, "padding 'same' is not supported"),
        ({"kernel": kernel[0], "padding": "valid"}, "'c/kernel' has shape"),
        ({"padding": "valid"}, "layer 'c' has no 'c/kernel'"),
        ({"kernel": kernel, "padding": "valid", "strides": 2}, "unknown key 'c/strides'"),
        ({"kernel": kernel, "bias": np.ones(3), "padding": "valid"}, "'c/bias' has shape"),
        ({"kernel": kernel}, "'c/kernel' has shape"),
    ):
        with pytest.raises(RnnrtlError, match=words):
            rnnrtl.load({"c": arrays})


@pytest.mark.parametrize("padding", PADDINGS)
def test_normalised_inputs(padding: str) -> None:
    """The zeros before a causal one stand behind the normalisation."""
    net = net_of(padding)
    x = inputs(net, 3, STEPS)
    found = rnnrtl.load(net, normalise=(0.5, 2.0))
    wanted = net.predict((x - 0.5) / 2.0)
    np.testing.assert_allclose(found.predict(x), wanted, rtol=0, atol=1e-12)
    assert len(found.layers) == len(net.layers) + (padding == "causal")


def test_training_has_the_bits_of_the_hardware() -> None:
    torch = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    for padding in PADDINGS:
        model = QuantizedNetwork(net_of(padding), "fixed<9,4>")
        x = inputs(model.network, 5, STEPS)
        y = model(torch.from_numpy(x))
        np.testing.assert_array_equal(y.detach().numpy(), rnnrtl.generate(model).predict(x))
        y.sum().backward()
        assert float(model.weights["conv/kernel"].grad.abs().max()) > 0


def test_torch_modules() -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_models import Custom, assert_same, sequences, trained

    nn, pad = torch.nn, torch.nn.functional.pad

    def recurrent_of(m: Any, y: Any) -> Any:
        return m.head(m.rnn(y.transpose(1, 2))[0][:, -1])

    forwards = {
        "valid": lambda m, x: recurrent_of(m, torch.relu(m.conv(x.transpose(1, 2)))),
        "padded": lambda m, x: recurrent_of(m, torch.relu(m.conv(pad(x.transpose(1, 2), (4, 0))))),
        "cut": lambda m, x: recurrent_of(m, torch.relu(m.conv(x.transpose(1, 2))[..., :-4])),
        "steps last": lambda m, x: recurrent_of(m, torch.relu(m.conv(x))),
    }
    torch.manual_seed(1)
    for name, forward in forwards.items():
        options = {"dilation": 2, "groups": 2, "padding": 4 if name == "cut" else 0}
        conv = nn.Conv1d(4, 6, 3, **options)
        rnn, head = nn.LSTM(6, 3, batch_first=True), nn.Linear(3, 2)
        module = Custom(forward, conv=conv, rnn=rnn, head=head)
        found = rnnrtl.load(module, activations={"conv": "relu"})
        (layer, *_) = found.layers
        assert isinstance(layer, Convolution)
        assert (layer.taps, layer.activation) == (5, "relu")
        assert (layer.padding == "causal") == (name in ("padded", "cut"))
        x = sequences(3, 9, 4)
        if name == "steps last":
            with torch.no_grad():
                wanted = module.double().eval()(x.transpose(1, 2)).numpy()
            np.testing.assert_allclose(found.predict(x.numpy()), wanted, rtol=0, atol=1e-12)
        else:
            assert_same(found, module, x)
    # A pooled chain of two, with what is folded and what is a dense layer on each step.
    layers = [nn.Conv1d(2, 4, 2), trained(nn.BatchNorm1d(4)), nn.Tanh(), nn.Conv1d(4, 3, 1)]
    chain = nn.Sequential(*layers, nn.Conv1d(3, 2, 3, bias=False))
    module = Custom(lambda m, x: m.body(x.transpose(1, 2)).mean(2), body=chain)
    found = rnnrtl.load(module, steps=9)
    kinds = [type(layer).__name__ for layer in found.layers]
    assert kinds == ["Convolution", "Dense", "Convolution", "AveragePooling"]
    assert_same(found, module, sequences(3, 9, 2))


def test_torch_modules_that_are_refused() -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_models import Custom

    for options, words in (
        ({"stride": 2}, r"'conv' \(Conv1d\): stride=2 is not supported, only 1"),
        ({"padding": "same"}, "padding='same' is not supported, only 0 and, .* 2: an output would"),
        ({"padding": 1}, "padding=1 is not supported"),
        ({"padding": 2, "padding_mode": "circular"}, "padding_mode='circular' is not supported"),
    ):
        conv, rnn = torch.nn.Conv1d(2, 2, 3, **options), torch.nn.GRU(2, 2, batch_first=True)
        module = Custom(lambda m, x: m.rnn(m.conv(x.mT).mT)[0][:, -1], conv=conv, rnn=rnn)
        with pytest.raises(UnsupportedError, match=words):
            rnnrtl.load(module)
    conv = torch.nn.Conv1d(2, 2, 3)
    module = Custom(lambda m, x: m.rnn(m.conv(x.mT).mT)[0], conv=conv, rnn=rnn)
    with pytest.raises(ModelError, match="does something else than its layers in order"):
        rnnrtl.load(module)
    with pytest.raises(UnsupportedError, match=r"'conv.weight' has 3 axes, as those of Conv1d"):
        rnnrtl.load({f"conv.{key}": value for key, value in conv.state_dict().items()})


def test_before_and_behind_other_numbers_of_steps() -> None:
    cell = recurrent("simple", 2, 2, name="encoder")
    decoder = convolution(2, 1, 2, name="conv_2"), recurrent("simple", 1, 1, name="decoder")
    net = net_of("valid", cell, repeat_vector("repeat", 2, 2), *decoder)
    x = inputs(net, 3, STEPS)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-13)
    check(designed(net, "static"))
    with pytest.raises(UnsupportedError, match=r"'conv' has padding 'valid', .* is given on to"):
        net_of("valid", flatten("flat", STEPS - 2, 2), dense(4, 1))
    flat = net_of("causal", flatten("flat", STEPS, 2), dense(2 * STEPS, 1))
    np.testing.assert_allclose(flat.predict(x), reference(flat, x), rtol=0, atol=1e-13)
    with pytest.raises(
        ModelError, match=r"steps is 1, but convolutions with padding 'valid' take 2"
    ):
        network(cell, repeat_vector("repeat", 1, 2), convolution(2, 1, 2, padding="valid"))


CONV = {"name": "conv", "filters": 3, "kernel_size": [2], "padding": "causal"}


def keras_file(folder: Path, kernel: Any, **options: Any) -> Path:
    pytest.importorskip("h5py")
    from tests.keras_models import RNN, archive, entry, sequential, weights

    config = sequential(entry("Conv1D", {**CONV, **options}), RNN)
    return archive(folder, config, conv1d=[kernel, np.ones(3)], lstm=weights("lstm"))


def test_keras_files(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(size=(2, FEATURES, 3))
    found = rnnrtl.load(keras_file(tmp_path, kernel, dilation_rate=[2], activation="relu"))
    (layer, *_) = found.layers
    assert isinstance(layer, Convolution)
    taps = layer.kernel.reshape(3, 3, FEATURES)
    np.testing.assert_array_equal(taps[:, ::2], kernel.transpose(2, 0, 1))
    assert not taps[:, 1].any()
    assert (layer.padding, layer.activation, found.steps) == ("causal", "relu", 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": "same"}, "padding='same' is not supported, .*: an output would need steps"),
        ({"padding": 3}, "padding=3 is not supported"),
        ({"strides": [2]}, "strides=2 is not supported, only 1"),
        ({"data_format": "channels_first"}, "data_format='channels_first' is not supported"),
        ({"kernel_size": [2, 2]}, r"kernel_size must be a positive integer, not \[2, 2\]"),
        ({"kernel_size": 0}, "kernel_size must be a positive integer, not 0"),
        ({"kernel_size": [3]}, r"its kernel has shape \(2, 3, 3\), but .* asks for \(3, 3, 3\)"),
        ({"groups": 2}, "3 features are not 2 equal groups"),
        ({"dilation_rate": 1 << 40}, "2 taps 1099511627776 steps apart are too many"),
        ({"dilation_rate": 6, "padding": "valid"}, r"\(Conv1D\) takes 7 steps, but gets 6 only"),
        ({"filters": True}, "filters must be a positive integer, not True"),
        ({"rank": 2}, "the option rank=2 is not supported"),
    ],
)
def test_bad_keras_files(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    path = keras_file(tmp_path, np.ones((2, FEATURES, 3)), **options)
    with pytest.raises(RnnrtlError, match=words):
        rnnrtl.load(path)
