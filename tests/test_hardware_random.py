"""Random networks in random formats at random clocks: every bit and every cycle, as predicted."""

import warnings

import numpy as np
import pytest

from rnnrtl.errors import PrecisionError, PrecisionWarning, UnsupportedError
from rnnrtl.fixedpoint import TENSORS, Format, Overflow, Rounding
from rnnrtl.generation import generate
from rnnrtl.layers import Layer
from rnnrtl.network import Network
from rnnrtl.simulate import run_amaranth
from tests.networks import CELLS, dense, network, recurrent

CLOCKS = [("xcup", 50), ("xcup", 200), ("xcup", 300), ("xc7", 100), ("ecp5", 50), ("ice40", 8)]
ACTIVATIONS = ["linear", "relu", "sigmoid", "tanh"]
STEPS = 3


def some_format(rng: np.random.Generator) -> Format:
    return Format(
        int(rng.integers(2, 13)),
        int(rng.integers(-1, 8)),
        list(Rounding)[rng.integers(len(Rounding))],
        list(Overflow)[rng.integers(len(Overflow))],
    )


def some_network(rng: np.random.Generator) -> Network:
    sizes = rng.integers(1, 4, 4).tolist()
    sequences, depth = bool(rng.integers(2)), int(rng.integers(1, 3))
    layers: list[Layer] = [
        recurrent(
            CELLS[rng.integers(len(CELLS))],
            sizes[k],
            sizes[k + 1],
            seed=int(rng.integers(1_000_000)),
            sequences=sequences or k < depth - 1,
            name=f"layer_{k}",
            scale=float(rng.choice([0.1, 1, 5])),
        )
        for k in range(depth)
    ]
    if rng.integers(2):
        layers.append(dense(sizes[depth], sizes[3], ACTIVATIONS[rng.integers(4)]))
    return network(*layers)


@pytest.mark.parametrize("seed", range(60))
def test_random_designs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    while True:
        net = some_network(rng)
        precision = {name: some_format(rng) for name in ("*", *TENSORS)}
        precision = {k: v for k, v in precision.items() if k == "*" or rng.integers(2)}
        if rng.random() < 0.7:  # gates that say something
            precision |= {name: Format(8, 2) for name in ("gate", "candidate")}
        target, clock = CLOCKS[rng.integers(len(CLOCKS))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrecisionWarning)
            try:
                design = generate(net, precision, target=target, clock_mhz=clock)
                schedule = design.schedule
            except (PrecisionError, UnsupportedError):  # no such table, or too fast a clock
                continue
        break
    half = 1 << (design.graph.input_format.width - 1)
    codes = rng.integers(-half, half, (3, STEPS, net.features))
    wanted = design.predict_codes(codes)
    measured = run_amaranth(
        design.core,
        design.input_stream,
        design.output_stream,
        net.return_sequences,
        codes,
        wanted,
        seed=seed,
    )
    np.testing.assert_array_equal(measured.codes, wanted)
    assert measured.latency_cycles == schedule.latency_of(STEPS)
    assert measured.initiation_interval == STEPS * schedule.beat_interval


@pytest.mark.parametrize("cell", CELLS)
def test_the_widest_codes(cell: str) -> None:
    tables = {
        "preactivation": "fixed<12,4>",
        "gate": "fixed<12,2>",
        "candidate": "fixed<12,2>",
    }
    precision = {"*": "ap_fixed<64,32>", "output": "fixed<64,60,RND_CONV,SAT_ZERO>", **tables}
    net = network(recurrent(cell, 2, 2), dense(2, 1))
    design = generate(net, precision, clock_mhz=20)
    low, high = -(1 << 63), (1 << 63) - 1
    codes = np.random.default_rng(0).integers(low, high, (3, STEPS, 2), endpoint=True)
    codes[0] = [low, high]
    wanted = design.predict_codes(codes)
    measured = run_amaranth(
        design.core, design.input_stream, design.output_stream, False, codes, wanted
    )
    np.testing.assert_array_equal(measured.codes, wanted)
