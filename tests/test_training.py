"""Training in fixed point: the forward has the bits of the hardware, and the formats are kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnrtl
from rnnrtl.demo import jets
from rnnrtl.errors import ModelError, PrecisionError
from rnnrtl.fixedpoint import Format
from rnnrtl.frontends.quantised import exact_format, grid_format
from rnnrtl.lut.functions import FUNCTIONS
from rnnrtl.lut.measure import apply
from rnnrtl.lut.search import build_table
from tests.networks import CELLS, dense, inputs, network, recurrent

FORMATS = {
    "*": "fixed<7,3>",
    "input": "fixed<6,3,TRN,SAT_SYM>",
    "hidden": "fixed<6,1,RND_CONV,SAT>",
    "gate": "fixed<6,1>",
    "preactivation": "fixed<8,4>",
    "kernel": "fixed<5,3>",
}


def _model(cell: str, **layer: Any) -> rnnrtl.Network:
    head = dense(3, 2, "sigmoid", name="head")
    return network(recurrent(cell, **layer), dense(3, 3, "relu", name="middle"), head)


def _rounded(net: rnnrtl.Network) -> rnnrtl.Network:
    """Return a network whose LSTM rounds the products of its cell state."""
    lstm, *others = net.layers
    assert isinstance(lstm, rnnrtl.LSTM)
    return net.replace(layers=(replace(lstm, rounded_products=True), *others))


@pytest.mark.parametrize("cell", CELLS)
def test_forward_has_the_bits_of_the_design(cell: str) -> None:
    torch = pytest.importorskip("torch")
    training = pytest.importorskip("rnnrtl.training")
    net = _model(cell)
    model = training.QuantizedNetwork(net, FORMATS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    before = model.network
    x = torch.from_numpy(inputs(net, 20, 5))
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        optimizer.step()
    # What was trained is generated as it stands: no precision is said.
    design = rnnrtl.generate(model)
    assert design.precision == rnnrtl.Precision.parse(FORMATS)
    found = model(x).detach().numpy()
    np.testing.assert_array_equal(design.predict(x.numpy()), found)
    assert not np.array_equal(rnnrtl.generate(before).predict(x.numpy()), found)
    assert rnnrtl.load(model).layers[0].name == cell


def test_every_activation_trains() -> None:
    torch = pytest.importorskip("torch")
    training = pytest.importorskip("rnnrtl.training")
    for function in ("elu", "softplus", "softmax", "softsign", "hard_sigmoid", "hard_tanh", "tanh"):
        net = network(dense(3, 4, function))
        model = training.QuantizedNetwork(net, {"*": "fixed<8,3>", "preactivation": "fixed<8,4>"})
        x = torch.from_numpy(inputs(net, 50, 1, scale=2))
        y = model(x)
        y[..., 0].sum().backward()
        assert model.weights["head/kernel"].grad.abs().sum() > 0
        np.testing.assert_array_equal(rnnrtl.generate(model).predict(x), y.detach().numpy())


def test_formats_are_kept_in_a_file(tmp_path: Path) -> None:
    net = _rounded(_model("lstm")).replace(precision=rnnrtl.Precision.parse(FORMATS))
    rnnrtl.save(net, tmp_path / "model.npz")
    again = rnnrtl.load(tmp_path / "model.npz")
    assert again.precision == net.precision
    lstm = again.layers[0]
    assert isinstance(lstm, rnnrtl.LSTM)
    assert lstm.rounded_products
    x = inputs(net, 20)
    expected = rnnrtl.generate(net, FORMATS).predict(x)
    np.testing.assert_array_equal(rnnrtl.generate(again).predict(x), expected)
    # Another precision may still be asked for, and a network of floats has the usual one.
    assert rnnrtl.generate(again, "fixed<8,3>").precision == rnnrtl.Precision.parse("fixed<8,3>")
    assert str(rnnrtl.generate(_model("lstm")).precision) == "fixed<16,6>"
    for text in ("", "[1]", '{"*": "fixed<8>"}', '{"gate": "fixed<8,1>"}', "[" * 100_000):
        with pytest.raises(ModelError, match="precision"):
            rnnrtl.load({"precision": text, "kernel": np.ones((3, 2))})


def test_products_of_the_cell_state_are_rounded_where_asked() -> None:
    net = _model("lstm")
    rounded = _rounded(net)
    x = inputs(net, 50, 6)
    a, b = (rnnrtl.generate(n, "fixed<6,3>", strategy="dsp") for n in (net, rounded))
    assert not np.array_equal(a.predict(x), b.predict(x))
    assert b.simulate(x[:3]).bit_exact
    # Where a format holds the products exactly, the two are one.
    fine = {"*": "fixed<6,3>", "cell": "fixed<30,6>", "cell_preactivation": "fixed<8,3>"}
    exact = [rnnrtl.generate(n, fine).predict(x[:, :2]) for n in (net, rounded)]
    np.testing.assert_array_equal(exact[0], exact[1])


def test_a_gate_may_have_formats_of_its_own() -> None:
    net = _model("gru_after")
    x = inputs(net, 50, 4)
    base = {"*": "fixed<8,3>"}
    plain = rnnrtl.generate(net, base).predict(x)
    for rule in ("gate.z", "gru_after.preactivation.n", "preactivation.r"):
        design = rnnrtl.generate(net, {**base, rule: "fixed<4,3>"})
        assert not np.array_equal(design.predict(x), plain)
        assert f"{rule.rpartition('.')[0].rpartition('.')[2]}.{rule[-1]}" in design.report()
    for rule in ("gate.x", "gate.n", "hidden.z", "other.gate.z"):
        with pytest.raises(PrecisionError, match="names nothing"):
            rnnrtl.generate(net, {**base, rule: "fixed<4,3>"})


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("output", ["fixed<8,1>", "fixed<6,1>", "fixed<4,1>", "fixed<8,2>"])
def test_narrow_tables_are_rounded_as_training_rounds(output: str, *, fast: bool) -> None:
    into, out = Format.parse("fixed<8,4>"), Format.parse(output)
    codes = np.arange(-128, 128)
    for function in ("sigmoid", "tanh"):
        exact = FUNCTIONS[function].real(np.asarray(codes * into.lsb)) / out.lsb
        expected = np.clip(np.floor(exact + 0.5), out.min_code, out.max_code)
        table = build_table(function, into, out, fast=fast)
        np.testing.assert_array_equal(apply(table, codes), expected)


def test_formats_of_quantised_numbers() -> None:
    assert str(exact_format([np.array([0.0, 0.375, -2.0])], "w")) == "fixed<5,2>"
    assert str(exact_format([np.array([96.0])], "w")) == "fixed<3,8>"
    with pytest.raises(rnnrtl.UnsupportedError, match="w takes"):
        exact_format([np.array([0.1])], "w")
    modes: Any = {"rounding": rnnrtl.Rounding.RND_CONV, "overflow": rnnrtl.Overflow.SAT}
    form = grid_format(np.array(2.0**-5), 8, "q", signed=True, **modes)
    assert (form.width, form.int_bits) == (8, 3)
    wider = grid_format(np.array(2.0**-8), 8, "q", signed=False, never_negative=True, **modes)
    assert (wider.width, wider.int_bits) == (9, 1)
    for scale, signed in ((np.array(0.3), True), (np.array([0.5, 0.25]), True), (0.5, False)):
        with pytest.raises(rnnrtl.UnsupportedError, match="q "):
            grid_format(np.asarray(scale), 8, "q", signed=signed, **modes)


@pytest.mark.parametrize("name", jets.QUANTISED)
def test_taggers_trained_in_few_bits(name: str) -> None:
    net = jets.tagger(name)
    assert net.precision is not None
    for layer, tensors in rnnrtl.tensors(net).items():
        for tensor in tensors:
            weight = tensor in ("kernel", "recurrent_kernel", "bias")
            assert net.precision.format(layer, tensor).width <= (6 if weight else 8)
    x, y = jets.test_jets()
    floats = jets.area_under_curve(y, jets.tagger(name.removesuffix("_w6a8")).predict(x))
    assert jets.area_under_curve(y, rnnrtl.generate(net).predict(x)) >= 0.998 * floats
