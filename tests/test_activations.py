"""Activation functions: every code against the function, and inside cells."""

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import ModelError, PrecisionError, UnsupportedError
from rnnrtl.fixedpoint import Format
from rnnrtl.layers import ACTIVATIONS, GATE_ACTIVATIONS, Dense, Gated
from rnnrtl.network import Network
from rnnrtl.schedule.reuse import products_of
from rnnrtl.simulation import SimulatorName
from tests import float_reference
from tests.designs import check, designed
from tests.networks import CELLS, GATED, dense, inputs, network, recurrent, reference

FORMATS = (
    "fixed<10,4>", "fixed<12,3,RND_CONV,SAT_SYM>", "fixed<9,2,RND_ZERO,SAT>", "ap_fixed<8,3>",
    "fixed<8,8>", "fixed<7,1,TRN_ZERO,SAT_ZERO>", "fixed<16,6>",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_code(activation: str, text: str) -> None:
    """Within one LSB of the function, which saturates at the ends of the format."""
    form = Format.parse(text)
    one = Dense("one", np.ones((1, 1)), np.zeros(1), activation)
    design = designed(
        Network((one,), 1), "static", {"*": form, "one.kernel": "fixed<2,2>", "one.bias": form}
    )
    codes = np.arange(-(1 << (form.width - 1)), 1 << (form.width - 1))
    values = codes[:, None, None] * form.lsb
    exact = float_reference.FUNCTIONS[activation](values.astype(np.float64))
    expected = np.clip(exact, form.min_code * form.lsb, form.max_code * form.lsb)
    assert np.abs(design.predict(values) - expected).max() <= form.lsb * (1 + 1e-9)


def of(
    cell: str, activation: str, recurrent_activation: str, head: str = "linear", steps: int = 3
) -> Network:
    layer = recurrent(cell, 3, 3, scale=0.4)
    words = {"activation": activation}
    if isinstance(layer, Gated):
        words["recurrent_activation"] = recurrent_activation
    layer = type(layer)(**{**vars(layer), **words})
    return network(layer, dense(3, 2, head), steps=steps)


PAIRS = [
    *((cell, activation, "sigmoid") for cell in CELLS for activation in ACTIVATIONS),
    # A plain RNN has none.
    *((cell, "tanh", gate) for cell in GATED for gate in GATE_ACTIVATIONS[1:]),
]


@pytest.mark.parametrize(("cell", "activation", "gate"), PAIRS)
def test_cells_are_close_to_float(cell: str, activation: str, gate: str) -> None:
    net = of(cell, activation, gate)
    x = inputs(net, batch=50, scale=0.5)
    np.testing.assert_allclose(net.predict(x), reference(net, x), atol=1e-12)
    design = designed(net, "static", "fixed<20,6>")
    np.testing.assert_allclose(design.predict(x), reference(net, x), atol=0.01)


@pytest.mark.parametrize(("cell", "activation", "gate"), PAIRS)
def test_every_bit(cell: str, activation: str, gate: str) -> None:
    check(designed(of(cell, activation, gate, activation), "static"), disturbed=False)


@pytest.mark.parametrize(
    ("mode", "factor"),
    [("interleaved", 1), ("unrolled", 1), ("static", 2), ("static", 9), ("static", 30)],
)
@pytest.mark.parametrize("activation", ["relu", "elu", "softplus", "exponential"])
def test_every_bit_in_every_way(activation: str, mode: str, factor: int) -> None:
    """Those that are more than a table, in modes and with reuse factors."""
    for cell in CELLS:
        net = of(cell, activation, "hard_sigmoid", activation)
        most = products_of(net.recurrent[0])  # one multiplier
        check(designed(net, mode, reuse_factor=min(factor, most)), disturbed=False)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("activation", ["hard_tanh", "elu", "softplus"])
def test_every_simulator(activation: str, simulator: SimulatorName) -> None:
    check(designed(of("lstm", activation, "hard_sigmoid", activation), "static"), simulator)


@pytest.mark.parametrize("text", ["fixed<10,4>", "ap_fixed<12,4>", "fixed<8,3,RND_CONV,SAT_SYM>"])
@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 11])
def test_softmax_within_one_lsb(lanes: int, text: str) -> None:
    form = Format.parse(text)
    head = Dense("head", np.eye(lanes), np.zeros(lanes), "softmax")
    net = Network((head,), 1)
    design = designed(net, "static", {"*": form, "head.kernel": "fixed<2,2>"})
    rng = np.random.default_rng(lanes)
    spread = rng.uniform(-1, 1, (3000, 1, lanes)) * rng.choice([0.1, 1, 4, 8], (3000, 1, 1))
    x = np.clip(np.round(spread / form.lsb), form.min_code, form.max_code) * form.lsb
    expected = float_reference.FUNCTIONS["softmax"](x)
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-12)
    assert np.abs(design.predict(x) - expected).max() <= form.lsb


@pytest.mark.parametrize(
    ("mode", "factor"),
    [("static", 1), ("static", 3), ("static", 30), ("interleaved", 1), ("interleaved", 5),
     ("unrolled", 1)],
)  # fmt: skip
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
def test_every_bit_of_softmax(mode: str, factor: int, sequences: bool) -> None:
    layers = (recurrent("gru_after", 3, 3, sequences=sequences), dense(3, 4, "relu", name="a"))
    net = network(*layers, dense(4, 3, "softmax"), steps=3)
    check(designed(net, mode, reuse_factor=factor), disturbed=False)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_softmax_in_every_simulator(simulator: SimulatorName) -> None:
    net = network(recurrent("lstm", 3, 3), dense(3, 3, "softmax"), steps=3)
    check(designed(net, "static", "fixed<10,4>", reuse_factor=3), simulator)


@pytest.mark.parametrize("lanes", [2, 3, 5, 8])
def test_argmax_is_that_of_the_linear_layer(lanes: int) -> None:
    """The first of equals, too; whatever format the output would have."""
    rng = np.random.default_rng(lanes)
    kernel = rng.uniform(-1, 1, (lanes, 3))
    kernel[-1] = kernel[0]
    x = rng.uniform(-2, 2, (2000, 1, 3))
    linear, argmax = (
        Network((Dense("head", kernel, np.zeros(lanes), function),), 1)
        for function in ("linear", "argmax")
    )
    # The output is a number of a lane, in no format that one could choose.
    assert rnnrtl.tensors(argmax)["head"] == ("kernel", "bias", "preactivation")
    wanted = np.argmax(designed(linear, "static", "fixed<6,3>").predict(x), axis=-1)
    found = designed(argmax, "static", {"*": "fixed<6,3>"})
    np.testing.assert_array_equal(found.predict(x)[:, 0], wanted)
    np.testing.assert_array_equal(argmax.predict(x)[:, 0], np.argmax(linear.predict(x), axis=-1))
    assert (
        found.graph.output_format.min_code <= 0 <= lanes - 1 <= found.graph.output_format.max_code
    )


@pytest.mark.parametrize(
    ("mode", "factor", "simulator"),
    [("static", 1, "icarus"), ("static", 7, "verilator"), ("interleaved", 3, "amaranth"),
     ("unrolled", 1, "amaranth")],
)  # fmt: skip
def test_every_bit_of_argmax(mode: str, factor: int, simulator: SimulatorName) -> None:
    net = network(recurrent("lstm", 3, 3, sequences=True), dense(3, 5, "argmax"), steps=3)
    check(designed(net, mode, reuse_factor=factor), simulator)


def test_argmax_ends_a_network() -> None:
    with pytest.raises(ModelError, match="'head' before it gives 1"):
        network(dense(3, 4, "argmax"), dense(4, 2, name="after"))
    with pytest.raises(ModelError, match="argmax of one unit is always 0"):
        dense(3, 1, "argmax")


@pytest.mark.parametrize(
    ("mode", "factor", "simulator"),
    [("static", 1, "icarus"), ("static", 4, "verilator"), ("interleaved", 3, "amaranth"),
     ("unrolled", 1, "amaranth")],
)  # fmt: skip
@pytest.mark.parametrize("cell", GATED)
def test_every_bit_of_interpolated_tables(
    cell: str, mode: str, factor: int, simulator: SimulatorName
) -> None:
    check(
        designed(of(cell, "tanh", "sigmoid"), mode, "fixed<20,4>", reuse_factor=factor), simulator
    )


@pytest.mark.parametrize(("mode", "factor"), [("static", 1), ("unrolled", 1), ("static", 4)])
def test_the_error_of_tables_is_one_s_choice(mode: str, factor: int) -> None:
    net = of("lstm", "tanh", "sigmoid")
    x = inputs(net, batch=20)
    exact, usual, coarse = (
        designed(net, mode, "fixed<12,4>", reuse_factor=factor, table_error=bound)
        for bound in (0.5, 1.0, 8.0)
    )
    check(exact, disturbed=False)
    check(coarse, disturbed=False)
    assert not np.array_equal(exact.predict(x), coarse.predict(x))
    np.testing.assert_array_equal(
        usual.predict(x), designed(net, mode, "fixed<12,4>", reuse_factor=factor).predict(x)
    )


@pytest.mark.parametrize("bound", [0.4, 17, float("nan"), "1", True, None])
def test_errors_of_tables_that_cannot_be(bound: object) -> None:
    with pytest.raises(
        PrecisionError, match=r"table_error must be a number of LSB from 0\.5 to 16"
    ):
        rnnrtl.generate(of("lstm", "tanh", "sigmoid"), table_error=bound)  # type: ignore[arg-type]


def test_gates_lie_within_0_and_1() -> None:
    with pytest.raises(UnsupportedError, match="activation 'tanh' is not supported"):
        of("lstm", "tanh", "tanh")
