"""Bits and cycles of the hardware, in simulators, against the reference and the schedule."""

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnrtl.design import Design
from rnnrtl.errors import PrecisionWarning
from rnnrtl.generation import generate
from rnnrtl.layers import GRU, LSTM, SimpleRNN
from rnnrtl.network import Network
from rnnrtl.simulation import Simulation, SimulatorName
from tests.networks import CELLS, GATED, dense, network, recurrent

HEADS = {
    "no head": (),
    "linear": (dense(3, 2, "linear"),),
    "relu": (dense(3, 1, "relu"),),
    "sigmoid": (dense(3, 2, "sigmoid"),),
    "tanh": (dense(3, 1, "tanh"),),
    "two heads": (dense(3, 4, "relu", name="first"), dense(4, 1, "sigmoid", seed=2)),
}

NETWORKS = {
    **{
        f"{cell}, {head}": network(recurrent(cell), *layers)
        for cell, (head, layers) in itertools.product(CELLS, HEADS.items())
    },
    **{f"{cell}, all steps": network(recurrent(cell, sequences=True)) for cell in CELLS},
    **{
        f"{cell}, head at all steps": network(recurrent(cell, sequences=True), dense(3, 2, "tanh"))
        for cell in CELLS
    },
    **{
        f"{first} on {second}": network(
            recurrent(first, 2, 2, sequences=True, name="lower"),
            recurrent(second, 2, 3, name="upper"),
            dense(3, 1, "sigmoid"),
        )
        for first, second in [
            *itertools.product(GATED, GATED),
            ("simple", "lstm"),
            ("gru_after", "simple"),
        ]
    },
    "two layers, all steps": network(
        recurrent("gru_after", 2, 2, sequences=True, name="lower"),
        recurrent("lstm", 2, 2, sequences=True, name="upper"),
    ),
    "dense first": network(dense(3, 2, "tanh", name="embed"), recurrent("gru_after", 2, 2)),
    "dense only": network(dense(3, 4, "relu", name="hidden"), dense(4, 2, "sigmoid")),
    "a single sum": network(dense(1, 1)),
    "one unit, one feature": network(recurrent("lstm", 1, 1)),
    "five units": network(recurrent("gru_after", 4, 5), dense(5, 1)),
}

PRECISIONS: dict[str, Any] = {
    "16 bits": "fixed<16,6>",
    "Vitis": "ap_fixed<12,5>",
    "ties to even, symmetric": "fixed<9,3,RND_CONV,SAT_SYM>",
    "ties to zero, zero": "fixed<10,4,RND_ZERO,SAT_ZERO>",
    "ties away": "fixed<10,4,RND_INF,WRAP>",
    "ties down": "fixed<10,4,RND_MIN_INF,SAT>",
    "towards zero": "fixed<10,4,TRN_ZERO,SAT>",
    "8 bits": "fixed<8,3>",
    "17 bits in 4 bytes": "fixed<17,5>",
    "every tensor its own": {
        "*": "fixed<12,4>",
        "input": "fixed<10,6>",
        "kernel": "fixed<9,2>",
        "recurrent_kernel": "fixed<11,3>",
        "bias": "fixed<14,3>",
        "preactivation": "fixed<11,4,RND_CONV,SAT>",
        "gate": "fixed<12,1>",
        "candidate": "fixed<9,2>",
        "cell": "ap_fixed<15,5>",
        "hidden": "fixed<10,1,TRN,SAT>",
        "output": "fixed<7,3,RND_ZERO,SAT_SYM>",
    },
    "coarse": {"*": "fixed<10,5>", "input": "fixed<6,9>", "kernel": "fixed<5,6>"},
}

CLOCKS = [
    ("xcup", 50), ("xcup", 100), ("xcup", 200), ("xcup", 300),
    ("xcu", 150), ("xc7", 50), ("xc7", 150), ("ecp5", 20), ("ecp5", 90),
    ("ice40", 6), ("ice40", 30),
]  # fmt: skip


def designed(net: Network, precision: Any = "fixed<12,5>", **options: Any) -> Design:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return generate(net, precision, **options)


def extreme_inputs(design: Design, batch: int, steps: int) -> Any:
    """Return inputs over the whole format and beyond it, the ends of the range among them."""
    form = design.graph.input_format
    rng = np.random.default_rng(11)
    shape = (batch, steps, design.network.features)
    top = 2.0 ** (form.int_bits - 1)
    x = rng.uniform(-1.2 * top, 1.2 * top, shape)
    x[0] = rng.choice([-top, top - form.lsb], shape[1:])
    x[-1] /= 8 * top  # small ones, at which the activations do not saturate
    return x


def simulated(design: Design, simulator: SimulatorName, *, batch: int, steps: int) -> Simulation:
    """Simulate on extreme inputs, under stalls and resets too; check every bit and the latency."""
    x = extreme_inputs(design, batch, steps)
    result = design.simulate(x, simulator)
    np.testing.assert_array_equal(result.outputs, design.predict(x))
    assert result.bit_exact
    assert result.latency_cycles == design.schedule.latency_of(steps)
    return result


def check(
    design: Design, simulator: SimulatorName = "amaranth", *, batch: int = 3, steps: int = 3
) -> None:
    """Check every output bit, the latency and the interval, also under stalls and resets."""
    result = simulated(design, simulator, batch=batch, steps=steps)
    assert result.initiation_interval == steps * design.schedule.beat_interval


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    check(designed(NETWORKS[name]))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_precisions(cell: str, precision: str) -> None:
    net = network(recurrent(cell, 2, 2), dense(2, 1, "sigmoid"))
    check(designed(net, PRECISIONS[precision]))


@pytest.mark.parametrize(("target", "clock"), CLOCKS)
@pytest.mark.parametrize("cell", GATED)
def test_clocks(cell: str, target: str, clock: float) -> None:
    net = network(recurrent(cell, 3, 2), dense(2, 1, "tanh"))
    check(designed(net, "fixed<10,4>", target=target, clock_mhz=clock))


@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize("name", ["lstm, linear", "gru_after, all steps", "lstm on gru_before"])
def test_numbers_of_steps(name: str, steps: int) -> None:
    check(designed(NETWORKS[name]), batch=2, steps=steps)


def test_a_batch_of_one() -> None:
    check(designed(NETWORKS["gru_after, no head"]), batch=1)


ICARUS = {
    "lstm": ("lstm, sigmoid", "fixed<16,6>", 200),
    "lstm, Vitis": ("lstm, no head", "ap_fixed<12,5>", 100),
    "gru": ("gru_after, two heads", "every tensor its own", 300),
    "gru before": ("gru_before, all steps", "ties to even, symmetric", 200),
    "two layers": ("lstm on gru_after", "ties to zero, zero", 250),
    "dense only": ("dense only", "8 bits", 100),
}


@pytest.mark.parametrize("case", ICARUS)
def test_icarus(case: str) -> None:
    name, precision, clock = ICARUS[case]
    check(designed(NETWORKS[name], PRECISIONS.get(precision, precision), clock_mhz=clock), "icarus")


@pytest.mark.parametrize("case", ["lstm", "gru"])
def test_verilator(case: str) -> None:
    name, precision, clock = ICARUS[case]
    design = designed(NETWORKS[name], PRECISIONS.get(precision, precision), clock_mhz=clock)
    check(design, "verilator", batch=40, steps=6)


# -- particular weights ----------------------------------------------------------------------------


def with_weights(layer: SimpleRNN | LSTM | GRU, change: Any) -> SimpleRNN | LSTM | GRU:
    gates = {
        name: replace(
            gate,
            **{
                part: change(np.array(getattr(gate, part)))
                for part in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
            },
        )
        for name, gate in layer.gates.items()
    }
    return replace(layer, gates=gates)


def first_row_zero(values: Any) -> Any:
    values[0] = 0
    return values


def alternating(*choices: float) -> Any:
    def change(values: Any) -> Any:
        return np.resize(choices, values.shape)

    return change


WEIGHTS = {
    "zero": alternating(0.0),
    "zero rows": first_row_zero,
    "powers of two": alternating(1.0, 0.5, 2.0, 0.0625, 4.0),
    "negative powers of two": alternating(-1.0, -0.5, -2.0, -0.0625, -4.0),
    "one LSB": alternating(2.0**-7, -(2.0**-7)),
    "both signs": alternating(1.0, -1.0, 0.75, -0.75, 0.0),
    "the most negative": alternating(-16.0),
    "saturated": alternating(1e6, -1e6, 0.3),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("cell", CELLS)
def test_particular_weights(cell: str, weights: str) -> None:
    net = network(with_weights(recurrent(cell, 2, 2), WEIGHTS[weights]), dense(2, 1, "sigmoid"))
    if weights == "saturated":
        with pytest.warns(PrecisionWarning, match="saturate in fixed<12,5>") as caught:
            generate(net, "fixed<12,5>")
        said = [str(warning.message) for warning in caught]
        assert [text.split(" of ")[2].split()[0] for text in said] == [
            f"{cell}.{tensor}" for tensor in ("kernel", "recurrent_kernel", "bias")
        ]
    check(designed(net))


@pytest.mark.parametrize("weights", ["zero", "negative powers of two"])
@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid"])
def test_particular_weights_of_a_head(weights: str, activation: str) -> None:
    head = dense(2, 2, activation)
    head = replace(head, kernel=WEIGHTS[weights](head.kernel), bias=WEIGHTS[weights](head.bias))
    check(designed(network(recurrent("gru_after", 2, 2), head)))


def test_a_zero_network_of_zero_inputs() -> None:
    design = designed(network(with_weights(recurrent("lstm", 2, 2), WEIGHTS["zero"])))
    result = design.simulate(np.zeros((1, 3, 2)))
    assert result.bit_exact
    assert not result.outputs.any()
