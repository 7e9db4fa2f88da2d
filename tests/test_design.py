"""What generate() and a design refuse, each in one clear line, and what a design offers."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import (
    InputError,
    ModelError,
    PrecisionError,
    PrecisionWarning,
    RnnrtlError,
    UnsupportedError,
)
from rnnrtl.generation import generate
from rnnrtl.layers import GRU, Gate
from rnnrtl.options import Options
from rnnrtl.simulation import SIMULATORS
from tests.networks import dense, inputs, network, recurrent

NET = network(recurrent("gru_after", 2, 2), dense(2, 1), steps=3, name="tiny")
DESIGN = generate(NET, "fixed<12,5>")

BAD_OPTIONS: dict[str, tuple[dict[str, Any], type[RnnrtlError], str]] = {
    "mode": ({"mode": "parallel"}, UnsupportedError, "unknown mode 'parallel', known: static"),
    "no mode": ({"mode": None}, UnsupportedError, "unknown mode None"),
    "list of modes": ({"mode": ["static"]}, UnsupportedError, r"unknown mode \['static'\]"),
    **{
        f"reuse {value!r}": (
            {"reuse_factor": value}, UnsupportedError, "reuse_factor must be a whole number"
        )
        for value in (
            0, -1, "most", True, None, 1.5, (2, 0), (1,), (1, 2, 3), [1, 1], np.array([1, 1])
        )
    },
    "auto reuse": ({"reuse_factor": "auto"}, UnsupportedError, "'auto' needs a limit"),
    "packing": ({"dsp_packing": 1}, UnsupportedError, "dsp_packing must be True or False"),
    "storage": ({"weight_storage": "rom"}, UnsupportedError, "unknown weight_storage 'rom'"),
    "strategy": ({"strategy": "lut"}, UnsupportedError, "unknown strategy 'lut', known: auto"),
    **{
        f"steps per beat {value!r}": (
            {"steps_per_beat": value}, UnsupportedError, f"steps_per_beat {value!r} is not"
        )
        for value in (0, 2, True, "1")
    },
    **{
        f"clock {value!r}": (
            {"clock_mhz": value},
            UnsupportedError,
            f"clock_mhz must be a positive number, not {value!r}",
        )
        for value in (0, -200, float("nan"), float("inf"), "fast", None, True)
    },
    "target": ({"target": "virtex"}, UnsupportedError, "unknown target 'virtex', known: xcup"),
    "list of targets": ({"target": ["xcup"]}, UnsupportedError, r"unknown target \['xcup'\]"),
    "name of two words": ({"name": "a b"}, ModelError, "name 'a b' is no Verilog module name"),
    "empty name": ({"name": ""}, ModelError, "name '' is no Verilog module name"),
    "name of a digit": ({"name": "1st"}, ModelError, "name '1st' is no Verilog module name"),
    "name beyond ASCII": ({"name": "größe"}, ModelError, "name 'größe' is no Verilog"),
    "path as a name": ({"name": "../x"}, ModelError, "name '../x' is no Verilog module name"),
    "number as a name": ({"name": 7}, ModelError, "name 7 is no Verilog module name"),
    "keyword": ({"name": "module"}, ModelError, "name 'module' is a Verilog keyword"),
    "precision": ({"precision": "float"}, PrecisionError, "'float' is not a format"),
    "number as a precision": ({"precision": 16}, PrecisionError, "not 16"),
    "auto": ({"precision": "auto"}, PrecisionError, "'auto' needs data"),
    "unknown layer": (
        {"precision": {"*": "fixed<12,5>", "lstm.hidden": "fixed<8,2>"}},
        PrecisionError,
        "'lstm.hidden' names nothing: layers are gru_after, head",
    ),
    "no table": ({"precision": "fixed<40,9>"}, PrecisionError, "no sigmoid table from fixed<40,9>"),
    "no room for a gate": (
        {"precision": {"*": "fixed<12,5>", "gate": "fixed<8,0>"}}, PrecisionError, "ends at 0.4961",
    ),
    "steps": ({"steps": 0}, ModelError, "steps must be a positive integer, not 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options(name: str) -> None:
    options, error, words = BAD_OPTIONS[name]
    with pytest.raises(error, match=words) as caught:
        generate(NET, **{"precision": "fixed<12,5>", **options})
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_options_that_mean_one() -> None:
    assert Options(reuse_factor=(1, 1)).reuse_factor == (1, 1)
    assert Options(clock_mhz="200").clock_mhz == 200.0  # type: ignore[arg-type]


BAD_INPUTS: dict[str, tuple[Any, str]] = {
    "two axes": (np.zeros((3, 2)), r"x has shape \(3, 2\), expected \(batch, steps, features\)"),
    "number": (1.0, r"x has shape \(\)"),
    "None": (None, "x"),
    "other features": (np.zeros((1, 3, 5)), r"x has shape \(1, 3, 5\), .* 2 features"),
    "no steps": (np.zeros((1, 0, 2)), "at least one step"),
    "NaN": ([[[0.0, np.nan]]], r"x is nan at index \(0, 0, 1\): inputs must be finite"),
    "infinity": ([[[-np.inf, 0.0]]], r"x is -inf at index \(0, 0, 0\)"),
    "words": ([[["a", "b"]]], "x is not an array of real numbers: could not convert .* 'a'"),
    "ragged": ([[[0.0, 1.0], [2.0]]], "x is not an array of real numbers"),
    "complex": (np.zeros((1, 3, 2), dtype=complex), "x is not an array of real numbers.*complex"),
    "dict": ({"x": 1}, "x is not an array of real numbers"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_inputs(name: str) -> None:
    x, words = BAD_INPUTS[name]
    for call in (NET.predict, DESIGN.predict, DESIGN.simulate):
        with pytest.raises(InputError, match=words) as caught:
            call(x)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_nothing_to_simulate(simulator: Any) -> None:
    with pytest.raises(InputError, match="at least one sequence"):
        DESIGN.simulate(np.zeros((0, 3, 2)), simulator)


@pytest.mark.parametrize("bad", ["modelsim", "", None, ["icarus"], "Icarus"])
def test_unknown_simulators(bad: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"unknown simulator .*, known: amaranth"):
        DESIGN.simulate(inputs(NET), bad)


def test_an_unknown_device_to_route_for() -> None:
    with pytest.raises(UnsupportedError, match="'virtex'"):
        DESIGN.place_and_route("virtex")


def test_an_unknown_target_of_an_estimate() -> None:
    with pytest.raises(UnsupportedError, match="'virtex'"):
        DESIGN.estimate("virtex")


def test_outputs_are_on_the_grid() -> None:
    y = DESIGN.predict(inputs(NET, 5, 3))
    assert y.shape == (5, 1)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y * 2**7, np.round(y * 2**7))


def test_inputs_of_any_number_type() -> None:
    x = np.arange(12).reshape(2, 3, 2) - 6
    wanted = DESIGN.predict(x)
    for same in (x.tolist(), x.astype(np.int8), x.astype(np.float32), x[:, :, ::-1][:, :, ::-1]):
        np.testing.assert_array_equal(DESIGN.predict(same), wanted)


def test_the_name_is_the_networks_or_the_callers() -> None:
    assert DESIGN.name == "tiny"
    named = generate(NET, "fixed<12,5>", name="top_gru")
    assert named.verilog.count("module top_gru") == 1
    assert repr(named) == "<Design top_gru: fixed<12,5>, static>"


def test_without_stalls_there_are_fewer_cycles() -> None:
    calls: list[tuple[int, int]] = []
    x = inputs(NET, 2, 3)
    short = DESIGN.simulate(x, stalls=False, progress=lambda *done: calls.append(done))
    assert short.cycles < DESIGN.simulate(x).cycles
    assert calls[-1][0] == calls[-1][1]


def test_the_default_precision_and_its_meaning() -> None:
    assert str(generate(NET).precision) == "fixed<16,6>"
    x = inputs(NET, 50, 3)
    plain, vitis = generate(NET, "fixed<12,5>"), generate(NET, "ap_fixed<12,5>")
    assert not np.array_equal(plain.predict(x), vitis.predict(x))


def test_biases_that_cancel_but_do_not_fit_are_warned_of() -> None:
    """reset_after keeps the two biases of n apart, so that their sum says nothing."""
    layer = recurrent("gru_after", 1, 1)
    assert isinstance(layer, GRU)
    n = layer.gates["n"]
    far = Gate(n.kernel, n.recurrent_kernel, np.array([100.0]), np.array([-100.0]))
    changed = GRU("gru", {**layer.gates, "n": far}, reset_after=True)
    with pytest.warns(PrecisionWarning, match=r"2 of 4 weights of gru\.bias saturate"):
        generate(network(changed), "fixed<12,5>")
    generate(network(GRU("gru", changed.gates, reset_after=False)), "fixed<12,5>")


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        ("fixed<8,1>", 127.5 / 128, "1 of 2 weights of head.bias saturate"),  # a tie, upwards
        ("fixed<8,1>", 127.49 / 128, ""),
        ("fixed<8,1>", -128.5 / 128, ""),  # a tie, upwards too
        ("fixed<8,1>", -128.51 / 128, "saturate"),
        ("ap_fixed<8,1>", 127.99 / 128, ""),  # truncated to the highest code
        ("ap_fixed<8,1>", 1.0, "wrap"),
        ("ap_fixed<8,1>", -128.01 / 128, "wrap"),  # truncated to one below the lowest
        ("fixed<8,1,RND,SAT_ZERO>", 1.0, "become zero"),
        ("fixed<8,1,RND,SAT_SYM>", -1.0, "saturate"),
    ],
)
def test_weights_are_warned_of_where_their_codes_overflow(
    form: str, value: float, words: str
) -> None:
    layer = dataclasses.replace(dense(2, 2), bias=np.array([0.0, value]))
    precision = {"*": "fixed<12,5>", "head.bias": form}
    if words:
        with pytest.warns(PrecisionWarning, match=words):
            generate(network(layer), precision)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            generate(network(layer), precision)


@pytest.mark.parametrize("name", ["a b", "", "1st", "größe", "a.b", "a/b", None])
def test_layer_names_that_verilog_does_not_have(name: Any) -> None:
    layer = dataclasses.replace(dense(2, 1), name=name)
    with pytest.raises(ModelError, match=f"layer name {name!r}: use letters"):
        network(layer)


def test_the_package_exports_what_it_says() -> None:
    for name in rnnrtl.__all__:
        assert getattr(rnnrtl, name) is not None


def test_the_report_states_tables_with_their_measured_errors() -> None:
    text = DESIGN.report()
    rows = [
        line.split("|") for line in text.splitlines() if "| sigmoid |" in line or "| tanh |" in line
    ]
    assert len(rows) == 2
    for row in rows:
        assert 0 < float(row[7]) <= 1
        assert float(row[8]) == pytest.approx(float(row[7]) / 2**7, rel=0.05)
    assert f"| latency, cycles | {DESIGN.schedule.latency_cycles} |" in text
    assert f"| multipliers | {DESIGN.schedule.multipliers} |" in text
    assert "| gru_after | hidden | fixed<12,5> |" in text
    assert "## Where values can overflow" in text
    unknown = generate(NET.replace(steps=None), "fixed<12,5>").report()
    assert "| time steps | not known |" in unknown
