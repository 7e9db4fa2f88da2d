"""Embeddings: a look-up of a vector for each whole number."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.design import Design
from rnnrtl.errors import InputError, ModelError, PrecisionError, RnnrtlError, UnsupportedError
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.layers import Embedding
from rnnrtl.network import Network
from rnnrtl.simulate.lint import lint
from rnnrtl.simulation import SimulatorName
from tests.designs import designed
from tests.networks import dense, network, recurrent, reference
from tests.test_convolution import convolution

STEPS = 3
FORMATS = {"*": "fixed<9,4>", "input": "fixed<6,6>"}


def embedding(vocabulary: int = 20, units: int = 2) -> Embedding:
    return Embedding("words", np.random.default_rng(4).normal(size=(units, vocabulary)))


def net_of(vocabulary: int = 20, *, masked: bool = False) -> Network:
    behind = recurrent("gru_before", 2, 1), dense(1, 1)
    net = network(embedding(vocabulary), *behind, steps=STEPS)
    return net.replace(mask_value=0.0) if masked else net


def numbers(net: Network, batch: int = 3, steps: int = STEPS) -> NDArray[np.float64]:
    (first, *_) = net.layers
    assert isinstance(first, Embedding)
    x = np.random.default_rng(6).integers(0, first.vocabulary, (batch, steps, 1))
    x[0, -1], x[-1, 0] = 0, first.vocabulary - 1
    return x.astype(np.float64)


def check(design: Design, simulator: SimulatorName = "amaranth") -> None:
    x = numbers(design.network)
    codes = design.input_codes(x)
    if design.options.mode != "unrolled":
        # All codes of the format are computed alike, also those that are no number of a vector.
        low, high = min(design.graph.input.lowest), max(design.graph.input.highest)
        every = np.arange(low, high + 1).reshape(-1, 1, 1)
        np.testing.assert_array_equal(design.predict_codes(every), evaluate(design.graph, every))
        np.testing.assert_array_equal(design.predict_codes(codes), evaluate(design.graph, codes))
    found = design.simulate(x, simulator)
    assert found.bit_exact
    assert found.latency_cycles == design.schedule.latency_cycles
    assert found.initiation_interval == design.schedule.initiation_interval


@pytest.mark.parametrize("vocabulary", [1, 2, 20])
def test_floats_are_those_of_the_equations(vocabulary: int) -> None:
    net = net_of(vocabulary)
    x = numbers(net)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-14)
    design = rnnrtl.generate(net, {"*": "fixed<20,6>", "input": "fixed<6,6>"})
    np.testing.assert_allclose(design.predict(x), reference(net, x), rtol=0, atol=1e-3)
    few = [designed(net, mode, FORMATS) for mode in ("static", "unrolled")]
    np.testing.assert_array_equal(few[0].predict(x), few[1].predict(x))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("static", {}),
        ("static", {"reuse_factor": 2}),
        ("interleaved", {"strategy": "dsp"}),
        ("unrolled", {}),
    ],
)
def test_modes(mode: str, options: dict[str, Any]) -> None:
    check(designed(net_of(), mode, FORMATS, **options))


def test_numbers_with_a_binary_point() -> None:
    check(designed(net_of(5), "static", "fixed<7,4>"))


@pytest.mark.parametrize("mode", ["static", "interleaved"])
def test_masked(mode: str) -> None:
    """Keras' mask_zero: 0 is no number, but says that a step leaves the states as they are."""
    net = net_of(masked=True)
    check(designed(net, mode, FORMATS))
    x = numbers(net)
    x[1] = [[3], [0], [5]]
    shorter = np.array([[[3.0], [5.0]]])
    np.testing.assert_array_equal(net.predict(x)[1:2], net.predict(shorter))


def test_a_convolution_behind() -> None:
    net = network(embedding(6), convolution(2, 2, 2, padding="valid"), recurrent("simple", 2, 1))
    check(designed(net.replace(steps=STEPS), "static", FORMATS))


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_large_ones_are_in_block_ram(simulator: SimulatorName) -> None:
    """Each lane is a memory of its own, which takes its address from a register."""
    net = network(embedding(1000, 1), recurrent("simple", 1, 1), steps=STEPS)
    design = designed(net, "static", {"*": "fixed<9,4>", "input": "fixed<11,11>"})
    assert [op.cycle for op in design.schedule.ops if op.block] == [1]
    assert 'rom_style = "block"' in design.verilog
    check(design, simulator)
    lint(design.verilog, design.name)


def test_what_is_no_number_of_a_vector() -> None:
    net = net_of()
    design = designed(net, "static", FORMATS)
    x = numbers(net)
    for value in (-1, 20, 0.5, 1e9):
        x[1, 1] = value
        words = rf"x holds {value:g}, but layer 'words' takes whole numbers from 0 to 19"
        for run in (net.predict, design.predict, design.simulate, design.saturation):
            with pytest.raises(InputError, match=words.replace("+", r"\+")):
                run(x)


def test_formats() -> None:
    net = net_of()
    assert rnnrtl.tensors(net)["words"] == ("kernel",)
    assert designed(net, "static", FORMATS).graph.layer_of
    for form in ("fixed<5,5>", "fixed<16,5>", "fixed<8,9>"):
        with pytest.raises(PrecisionError, match=r'from 0 to 19, .* as {"input": "fixed<6,6>"}'):
            rnnrtl.generate(net, {"*": "fixed<9,4>", "input": form})
    with pytest.warns(rnnrtl.PrecisionWarning, match=r"weights of words\.kernel saturate"):
        rnnrtl.generate(net, {**FORMATS, "words.kernel": "fixed<9,0>"})


def test_refused() -> None:
    with pytest.raises(UnsupportedError, match="'words' is an Embedding behind 'head'"):
        network(dense(1, 1), embedding())
    with pytest.raises(ModelError, match=r"e.kernel has shape \(3,\), expected \(units, voc"):
        Embedding("e", np.ones(3))
    with pytest.raises(UnsupportedError, match="'words' is an Embedding behind 'normalise'"):
        rnnrtl.load(net_of(), normalise=(0.0, 2.0))


def test_files_and_pickles_keep_it(tmp_path: Path) -> None:
    net = net_of(masked=True)
    rnnrtl.save(net, tmp_path / "net.npz")
    x = numbers(net)
    for kept in (rnnrtl.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(kept.predict(x), net.predict(x))
    for arrays, words in (
        ({"embeddings": np.ones(3)}, "'e/embeddings' has shape"),
        ({"embeddings": np.ones((3, 2)), "bias": np.ones(2)}, "unknown key 'e/bias' in an embed"),
    ):
        with pytest.raises(RnnrtlError, match=words):
            rnnrtl.load({"e": arrays})


def test_precision_is_found_for_it() -> None:
    net = net_of()
    found = rnnrtl.find_precision(net, numbers(net, 20), max_error=0.1)
    assert found.format("", "input").max_code * found.format("", "input").lsb >= 19
    rnnrtl.generate(net, found)


def test_training_has_the_bits_of_the_hardware() -> None:
    torch = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    model = QuantizedNetwork(net_of(), FORMATS)
    x = numbers(model.network, 5)
    y = model(torch.from_numpy(x))
    np.testing.assert_array_equal(y.detach().numpy(), rnnrtl.generate(model).predict(x))
    y.sum().backward()
    assert float(model.weights["words/kernel"].grad.abs().max()) > 0


@pytest.mark.parametrize("first", [True, False], ids=["batch first", "steps first"])
def test_torch_modules(first: bool) -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_models import Custom

    torch.manual_seed(1)
    words = torch.nn.Embedding(7, 3, padding_idx=0)
    rnn = torch.nn.LSTM(3, 2, batch_first=first)
    module = Custom(lambda m, x: m.rnn(m.words(x))[1][0][-1], words=words, rnn=rnn)
    found = rnnrtl.load(module)
    x = np.random.default_rng(3).integers(0, 7, (4, 6))
    with torch.no_grad():
        wanted = module.double()(torch.from_numpy(x if first else x.T.copy())).numpy()
    np.testing.assert_allclose(found.predict(x[..., None]), wanted, rtol=0, atol=1e-12)
    words.max_norm = 1.0
    with pytest.raises(UnsupportedError, match=r"'words' \(Embedding\): max_norm=1.0 is not supp"):
        rnnrtl.load(module)


def test_keras_files(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from tests.keras_models import RNN, archive, entry, sequential, weights

    table = np.random.default_rng(0).normal(size=(5, 3))

    def loaded(shape: list[Any], stored: Any, **options: Any) -> Network:
        words = {"name": "words", "input_dim": 5, "output_dim": 3, "mask_zero": True, **options}
        config = sequential(entry("Embedding", words), RNN)
        config["config"]["layers"][0]["config"].update(batch_shape=shape, dtype="int32")
        return rnnrtl.load(archive(tmp_path, config, embedding=[stored], lstm=weights("lstm")))

    found = loaded([None, 6], table)
    (first, *_) = found.layers
    assert isinstance(first, Embedding)
    np.testing.assert_array_equal(first.kernel, table.T)
    assert (found.steps, found.features, found.mask_value) == (6, 1, 0.0)
    with pytest.raises(ModelError, match=r"\(Embedding\) takes one number a step: the model's inp"):
        loaded([None, 6, 1], table)
    with pytest.raises(ModelError, match=r"its embeddings has shape \(5, 2\), but"):
        loaded([None, 6], table[:, :2])
    with pytest.raises(ModelError, match="input_dim must be a positive integer, not -1"):
        loaded([None, 6], table, input_dim=-1)
    with pytest.raises(ModelError, match="mask_zero must be true or false, not 'yes'"):
        loaded([None, 6], table, mask_zero="yes")
