"""How often values leave their formats: counted, and told apart from where they cannot."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest

from rnnrtl.design import Design
from rnnrtl.errors import InputError, PrecisionWarning
from rnnrtl.fixedpoint import Format
from rnnrtl.generation import generate
from rnnrtl.graph.overflow import Saturation
from rnnrtl.layers import LSTM, Dense, Gate
from tests.fixed_oracle import code_of
from tests.networks import CELLS, dense, inputs, network, recurrent


def identity(activation: str = "linear") -> Dense:
    return Dense("head", np.eye(1), np.zeros(1), activation)


def at(found: tuple[Saturation, ...], layer: str, vector: str) -> Saturation:
    (one,) = [s for s in found if (s.layer, s.vector) == (layer, vector)]
    return one


@pytest.mark.parametrize("modes", ["", ",RND,WRAP", ",RND,SAT_ZERO", ",RND,SAT_SYM", ",TRN,SAT"])
def test_every_value_that_leaves_its_format_is_counted(modes: str) -> None:
    """Over all codes of the input and beyond; the oracle computes in fractions."""
    precision = {"*": "fixed<12,6>", "input": "fixed<7,4>", "output": f"fixed<5,3{modes}>"}
    design = generate(network(identity()), precision)
    values = np.arange(-70, 71) / 8 + 1 / 32
    x = np.tile(values, 5)[:, None, None]  # more sequences than are evaluated at a time
    source, target = Format(7, 4), Format.parse(precision["output"])
    beyond = [v for v in values if not -8 <= np.floor(v * 8 + 0.5) / 8 <= 7.875]
    given = [code_of(v, source) / 8 for v in values]
    wide = target.replace(width=20, int_bits=18)
    low, high = target.min_code, target.max_code
    outside = [v for v in given if not low <= code_of(v, wide) <= high]

    met = design.saturation(x)
    assert [(s.layer, s.vector) for s in met] == [("", "input"), ("head", "y")]
    assert met[0].values == met[1].values == x.size
    assert met[0].overflowed == 5 * len(beyond) > 0
    assert (met[0].lowest, met[0].highest) == (-8.75, 8.75)
    assert met[1].overflowed == 5 * len(outside) > 0
    assert met[1].fraction == len(outside) / len(values)
    assert (met[1].lowest, met[1].highest) == (-8, code_of(7.875, wide) / 4)


def test_the_tie_at_the_end_of_the_input() -> None:
    design = generate(network(identity()), {"*": "fixed<12,6>", "input": "fixed<4,4>"})
    for value, overflowed in ((7.499, 0), (7.5, 1), (-8.5, 0), (-8.501, 1)):
        assert design.saturation([[[value]]])[0].overflowed == overflowed


def growing_cell() -> LSTM:
    """Return an LSTM of two units whose gates and candidate are 1: c counts the steps."""
    zero = np.zeros((2, 1)), np.zeros((2, 2))
    gates = {name: Gate(*zero, np.full(2, 15.0), np.zeros(2)) for name in "ifgo"}
    return LSTM("lstm", gates)


def test_a_state_is_counted_in_every_step() -> None:
    precision = {"*": "fixed<12,5>", "gate": "fixed<8,2>", "candidate": "fixed<8,2>"}
    design = generate(network(growing_cell()), {**precision, "cell": "fixed<6,2>"})
    found = at(design.saturation(np.zeros((3, 5, 1))), "lstm", "c_next")
    # 1, 2 -> 1.9375, 2.9375 -> 1.9375, ...
    assert (found.values, found.overflowed) == (3 * 5 * 2, 3 * 4 * 2)
    assert (found.lowest, found.highest) == (1, 2.9375)
    fits = generate(network(growing_cell()), {**precision, "cell": "fixed<12,5>"})
    found = at(fits.saturation(np.zeros((3, 5, 1))), "lstm", "c_next")
    assert (found.overflowed, found.highest) == (0, 5)


@pytest.mark.parametrize(
    ("activation", "int_bits", "vector"),
    [("sigmoid", 2, "preactivation, into sigmoid"), ("tanh", 1, "preactivation")],
)
def test_a_table_whose_format_ends_too_early(activation: str, int_bits: int, vector: str) -> None:
    """Of sigmoid the clamp is the table's own; what is lost is lost all the same."""
    precision = {"*": "fixed<12,5>", "output": "fixed<10,2>"}
    design = generate(
        network(identity(activation)), {**precision, "preactivation": Format(8, int_bits)}
    )
    top = 2.0 ** (int_bits - 1)
    x = np.array([0, top / 2, top, top + 1, -top, -top - 0.25]).reshape(1, 6, 1)
    found = at(design.saturation(x), "head", vector)
    assert (found.values, found.overflowed) == (6, 3)
    assert (found.lowest, found.highest) == (-top - 0.25, top + 1)
    assert f"| {vector} |" in design.report()
    wide = generate(network(identity(activation)), {**precision, "preactivation": "fixed<12,5>"})
    assert [s.vector for s in wide.saturation(x)] == ["input"]
    assert "Nowhere" in wide.report()


def quietly(net: Any, precision: Any) -> Design:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return generate(net, precision)


@pytest.mark.parametrize("cell", CELLS)
def test_where_nothing_overflows_more_integer_bits_change_nothing(cell: str) -> None:
    """And where something does, they do: counts are neither too low nor made up."""
    net = network(recurrent(cell, 3, 4, scale=0.4), dense(4, 2, "relu"))
    x = inputs(net, 40, 5)
    tensors = ("preactivation", "inner", "cell", "cell_preactivation", "hidden", "output")
    quiet = noisy = 0
    for tensor in tensors:
        for int_bits in (1, 2, 3, 6):
            base = {"*": "fixed<20,6>", "gate": "fixed<12,2>", "candidate": "fixed<12,2>"}
            base["preactivation"] = "fixed<14,6>"
            narrow = quietly(net, {**base, tensor: Format(8 + int_bits, int_bits)})
            wide = quietly(net, {**base, tensor: Format(14, 6)})
            overflowed = sum(s.overflowed for s in narrow.saturation(x)[1:])
            same = np.array_equal(narrow.predict(x), wide.predict(x))
            # A table is as good, and not the same, where its input has fewer codes.
            if overflowed == 0 and tensor not in ("preactivation", "cell_preactivation"):
                assert same, (tensor, int_bits)
                quiet += 1
            noisy += bool(overflowed) and not same
    least = 2 if cell == "simple" else 3  # which has fewer of these tensors
    assert quiet >= least
    assert noisy >= least


def test_the_report_tells_what_data_do() -> None:
    net = network(growing_cell(), dataclasses.replace(dense(2, 1), name="out"), steps=4)
    design = generate(net, {"*": "fixed<12,5>", "cell": "fixed<6,2>"})
    lines = design.report(np.zeros((3, 4, 1))).splitlines()
    (row,) = [line for line in lines if line.startswith("| lstm | c_next |")]
    assert row.split("|")[5:8] == [" 24 ", " 18 ", " 75 % "]
    assert "Counted in the bit-exact reference over 3 sequences of data." in lines
    plain = design.report()
    assert "overflowed" not in plain
    assert "| lstm | c_next | fixed<6,2> |" in plain


@pytest.mark.parametrize("x", [np.zeros((3, 4)), np.full((1, 1, 1), np.nan), "x"], ids=str)
def test_data_that_do_not_suit(x: Any) -> None:
    design = generate(network(identity()), "fixed<12,6>")
    for ask in (design.saturation, design.report):
        with pytest.raises(InputError):
            ask(x)


def test_no_data() -> None:
    design = generate(network(identity()), {"*": "fixed<12,6>", "output": "fixed<4,4>"})
    for found in design.saturation(np.zeros((0, 3, 1))):
        assert (found.values, found.overflowed, found.fraction) == (0, 0, 0)
