"""LSTMs whose hidden state is projected onto fewer numbers (PyTorch's proj_size)."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.graph.trace import trace
from rnnrtl.layers import LSTM
from rnnrtl.network import Network
from rnnrtl.options import MODES
from rnnrtl.simulation import SimulatorName
from rnnrtl.tuning.formats import fitting
from rnnrtl.tuning.survey import survey
from tests.designs import STEPS, STRATEGIES, check, designed
from tests.networks import dense, gates, inputs, network, reference
from tests.test_precision import codes_of


def projected(
    features: int = 2, units: int = 3, outputs: int = 2, *, sequences: bool = False, name: str = "l"
) -> LSTM:
    rng = np.random.default_rng(units)
    weights = {
        gate: type(g)(g.kernel, rng.normal(size=(units, outputs)), g.bias, g.recurrent_bias)
        for gate, g in gates("ifgo", features, units, rng).items()
    }
    initial = {"h": rng.uniform(-1, 1, outputs), "c": rng.uniform(-1, 1, units)}
    projection = rng.normal(size=(outputs, units))
    return LSTM(name, weights, sequences, initial=initial, projection=projection)


def net_of(*, sequences: bool = False) -> Network:
    return network(projected(sequences=sequences), dense(2, 2, "tanh"), steps=STEPS)


def test_floats_are_those_of_the_equations() -> None:
    net = network(projected(sequences=True), projected(units=4, outputs=5, name="m"), dense(5))
    x = inputs(net, 5, 7)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-14)
    assert net.layers[0].parameters == 4 * (3 * 2 + 3 * 2 + 3) + 2 * 3
    y = rnnrtl.generate(net, "fixed<24,6>").predict(x)
    np.testing.assert_allclose(y, reference(net, x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_strategy(mode: str, strategy: str) -> None:
    check(designed(net_of(sequences=strategy == "dsp"), mode, strategy=strategy))


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_verilog(simulator: SimulatorName) -> None:
    check(designed(net_of(), "interleaved"), simulator)


def test_formats_of_its_own() -> None:
    net = net_of()
    assert {"projection", "cell_output"} <= set(rnnrtl.tensors(net)["l"])
    base = {"*": "fixed<20,6>"}
    before = codes_of(net, base)
    for tensor in ("projection", "cell_output"):
        assert codes_of(net, {**base, f"l.{tensor}": "fixed<5,3>"}) != before
    # What is not said of the product of gate and tanh, the rule for the state says.
    precision = rnnrtl.Precision.parse({"*": "fixed<20,6>", "hidden": "fixed<8,4>"})
    assert precision.format("l", "cell_output") == precision.format("l", "hidden")
    with pytest.warns(rnnrtl.PrecisionWarning, match=r"weights of l\.projection saturate"):
        trace(net, rnnrtl.Precision.parse({"*": "fixed<20,6>", "projection": "fixed<8,0>"}))


def test_a_search_begins_with_states_beyond_one() -> None:
    net = net_of()
    net = net.replace(layers=(_scaled(net.layers[0], 8.0), *net.layers[1:]))
    seen = survey(net, inputs(net, 64, 6))
    assert seen["l", "hidden"].highest > 4
    assert fitting(("l", "hidden"), seen, 12, 0.25).int_bits > 3
    assert fitting(("l", "cell_output"), seen, 12, 0.25).int_bits == 1


def _scaled(layer: object, factor: float) -> LSTM:
    assert isinstance(layer, LSTM)
    assert layer.projection is not None
    return LSTM(layer.name, layer.gates, projection=factor * layer.projection)


def test_saturation_tells_of_its_vectors() -> None:
    net = net_of()
    net = net.replace(layers=(_scaled(net.layers[0], 8.0), *net.layers[1:]))
    design = designed(net, "static", "fixed<9,2>")
    found = {row.vector: row.fraction for row in design.saturation(inputs(net, 50, 6))}
    assert found["h_next"] > 0


def test_files_and_pickles_keep_it(tmp_path: Path) -> None:
    net = net_of()
    rnnrtl.save(net, tmp_path / "net.npz")
    x = inputs(net)
    for kept in (rnnrtl.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(kept.predict(x), net.predict(x))


def test_training_has_the_bits_of_the_hardware() -> None:
    torch = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    net = net_of()
    model = QuantizedNetwork(net, "fixed<9,4>")
    x = inputs(net, 5)
    y = model(torch.from_numpy(x))
    np.testing.assert_array_equal(y.detach().numpy(), rnnrtl.generate(model).predict(x))
    y.sum().backward()
    assert float(model.weights["l/projection"].grad.abs().max()) > 0


def test_no_multipliers_are_shared() -> None:
    net = net_of()
    for factor in (2, 1000, (2, 1)):
        with pytest.raises(UnsupportedError, match="not supported for l, an LSTM with a proj"):
            rnnrtl.generate(net, reuse_factor=factor)
    with pytest.raises(UnsupportedError, match="'auto' is not supported for l"):
        rnnrtl.generate(net, reuse_factor="auto", max_dsp=10)


def test_shapes_that_do_not_fit_are_refused() -> None:
    layer = projected()
    with pytest.raises(ModelError, match=r"projection of l has shape \(2, 4\), expected \(2, 3\)"):
        LSTM("l", layer.gates, projection=np.zeros((2, 4)))
    with pytest.raises(ModelError, match=r"projection of l has shape \(3,\)"):
        LSTM("l", layer.gates, projection=np.zeros(3))
    with pytest.raises(ModelError, match=r"recurrent_kernel of gate i has shape \(3, 2\)"):
        LSTM("l", layer.gates)
    arrays = {"kernel": np.zeros((2, 9)), "recurrent_kernel": np.zeros((3, 9))}
    with pytest.raises(ModelError, match="projection' is for an LSTM, but this is a GRU"):
        rnnrtl.load({"g": {**arrays, "projection": np.eye(3), "reset_after": True}})
