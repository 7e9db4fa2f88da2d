"""Sequences that begin with a state that is not zero."""

import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import ModelError
from rnnrtl.network import Network
from rnnrtl.options import MODES
from rnnrtl.simulation import SimulatorName
from tests.designs import STEPS, check, designed
from tests.networks import CELLS, dense, inputs, network, recurrent, reference


def begun(cell: str, *, sequences: bool = False, scale: float = 0.7) -> Network:
    layer = recurrent(cell, 2, 2, sequences=sequences)
    rng = np.random.default_rng(5)
    initial = {state: rng.uniform(-scale, scale, 2) for state in layer.states}
    return network(replace(layer, initial=initial), dense(2, 2, "tanh"), steps=STEPS)


@pytest.mark.parametrize("cell", CELLS)
def test_floats_are_those_of_the_equations(cell: str) -> None:
    net = begun(cell)
    x = inputs(net)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-14)
    from_zero = net.replace(layers=(replace(net.recurrent[0], initial={}), *net.layers[1:]))
    assert np.abs(net.predict(x) - from_zero.predict(x)).max() > 1e-3
    np.testing.assert_allclose(
        designed(net, "static", "fixed<24,6>").predict(x), net.predict(x), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode(mode: str, cell: str) -> None:
    check(designed(begun(cell, sequences=cell == "lstm"), mode))


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_verilog(simulator: SimulatorName) -> None:
    check(designed(begun("lstm"), "interleaved"), simulator)


@pytest.mark.parametrize("factor", [2, 24])
def test_turns_on_multipliers(factor: int) -> None:
    for cell in ("lstm", "gru_before"):
        check(designed(begun(cell), "static", reuse_factor=factor))


def test_all_modes_give_the_same_bits() -> None:
    net = begun("gru_after")
    x = inputs(net, steps=STEPS)
    static, *others = (designed(net, mode).predict(x) for mode in MODES)
    for other in others:
        np.testing.assert_array_equal(static, other)


def test_files_and_pickles_keep_it(tmp_path: Path) -> None:
    net = begun("lstm")
    rnnrtl.save(net, tmp_path / "net.npz")
    x = inputs(net)
    for kept in (rnnrtl.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(kept.predict(x), net.predict(x))
        np.testing.assert_array_equal(kept.recurrent[0].initial["c"], net.recurrent[0].initial["c"])


def test_a_state_beyond_its_format_is_told() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rnnrtl.generate(begun("lstm", scale=100.0), "fixed<12,6>")
    texts = [str(warning.message) for warning in told]
    assert any(text.startswith("1 of 2 weights of lstm.cell saturate in") for text in texts), texts
    rnnrtl.generate(begun("lstm"), "fixed<12,6>")


def test_what_makes_no_state_is_refused() -> None:
    layer = recurrent("gru_after", 2, 2)
    with pytest.raises(ModelError, match="GRU 'gru_after' has no state 'c', only h"):
        replace(layer, initial={"c": np.zeros(2)})
    with pytest.raises(ModelError, match=r"initial h of gru_after has shape \(3,\)"):
        replace(layer, initial={"h": np.zeros(3)})
    with pytest.raises(ModelError, match="initial h of gru_after is nan at index"):
        replace(layer, initial={"h": np.array([0.0, np.nan])})
