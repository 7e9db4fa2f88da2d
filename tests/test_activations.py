"""Activation functions: every code against the function, and inside cells."""

import numpy as np
import pytest

from rnnrtl.design import SimulatorName
from rnnrtl.errors import UnsupportedError
from rnnrtl.fixedpoint import Format
from rnnrtl.network import ACTIVATIONS, GATE_ACTIVATIONS, Dense, Network
from tests import float_reference
from tests.networks import CELLS, dense, inputs, network, recurrent, reference
from tests.test_modes import check, designed

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
    layer = type(layer)(
        **{
            **vars(layer),
            "activation": activation,
            "recurrent_activation": recurrent_activation,
        }
    )
    return network(layer, dense(3, 2, head), steps=steps)


PAIRS = [
    *((activation, "sigmoid") for activation in ACTIVATIONS),
    *(("tanh", gate) for gate in GATE_ACTIVATIONS[1:]),
]


@pytest.mark.parametrize(("activation", "gate"), PAIRS)
@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_close_to_float(cell: str, activation: str, gate: str) -> None:
    net = of(cell, activation, gate)
    x = inputs(net, batch=50, scale=0.5)
    np.testing.assert_allclose(net.predict(x), reference(net, x), atol=1e-12)
    design = designed(net, "static", "fixed<20,6>")
    np.testing.assert_allclose(design.predict(x), reference(net, x), atol=0.01)


@pytest.mark.parametrize("mode", ["static", "interleaved", "unrolled"])
@pytest.mark.parametrize(("activation", "gate"), PAIRS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_bit(cell: str, activation: str, gate: str, mode: str) -> None:
    check(designed(of(cell, activation, gate, activation), mode))


@pytest.mark.parametrize("factor", [2, 9, 30])
@pytest.mark.parametrize(("activation", "gate"), PAIRS)
def test_every_bit_in_turns(activation: str, gate: str, factor: int) -> None:
    for cell in CELLS:
        check(designed(of(cell, activation, gate, activation), "static", reuse_factor=factor))


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("activation", ["hard_tanh", "elu", "softplus"])
def test_every_simulator(activation: str, simulator: SimulatorName) -> None:
    check(designed(of("lstm", activation, "hard_sigmoid", activation), "static"), simulator)


def test_gates_lie_within_0_and_1() -> None:
    with pytest.raises(UnsupportedError, match="activation 'tanh' is not supported"):
        of("lstm", "tanh", "tanh")
