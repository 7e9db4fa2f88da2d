"""Activation tables: brute force over every input code."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint import Format, Overflow, Rounding
from rnnrtl.fixedpoint.arithmetic import clamp, magnitude
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lookup import read_table
from rnnrtl.graph.nodes import Node
from rnnrtl.graph.vectors import input_vector
from rnnrtl.lut.functions import FUNCTIONS
from rnnrtl.lut.measure import apply, max_error_lsb
from rnnrtl.lut.search import (
    BOUND_LSB,
    CHEAP_LUTS,
    TIGHTER_LSB,
    build_table,
    cheapest_table,
)
from rnnrtl.lut.table import Table, address

# The functions again, from the standard library, so that the measure is not its own judge.
REAL: Mapping[str, Callable[[float], float]] = {
    "sigmoid": lambda x: 0.5 * (1 + math.tanh(x / 2)),
    "tanh": math.tanh,
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_sigmoid": lambda x: min(max(x + 3, 0), 6) / 6,
    "hard_sigmoid_hgq": lambda x: min(max(0.25 * x + 0.5, 0), 1),
    "hard_sigmoid_keras2": lambda x: min(max(0.2 * x + 0.5, 0), 1),
    "decay": lambda x: math.copysign(1 - math.exp(-abs(x)), x),
    "rise": lambda x: math.copysign(math.log(2) - math.log1p(math.exp(-abs(x))), x),
}

PAIRS = [
    ("fixed<16,6>", "fixed<16,6>"),
    ("fixed<16,6>", "fixed<18,2>"),
    ("fixed<16,4>", "fixed<16,2>"),
    ("fixed<12,4>", "fixed<12,4>"),
    ("ap_fixed<12,5>", "ap_fixed<12,5>"),
    ("fixed<12,4>", "fixed<8,1>"),  # 1.0 is out of range
    ("fixed<12,5>", "fixed<8,2,TRN,SAT_SYM>"),
    ("fixed<10,4>", "fixed<14,2>"),
    ("fixed<9,3,RND_CONV,SAT_SYM>", "fixed<9,3,RND_CONV,SAT_SYM>"),
    ("fixed<8,3>", "fixed<8,3>"),
    ("fixed<8,-1>", "fixed<12,2>"),  # inputs near 0 only
    ("fixed<6,1,RND,SAT_SYM>", "fixed<12,2>"),  # the lowest code but one is the last
    ("fixed<6,8>", "fixed<6,2>"),  # inputs on a grid of 4
    ("fixed<4,2>", "fixed<4,2>"),
    ("fixed<8,4>", "fixed<3,3>"),  # integers only
    ("fixed<2,2>", "fixed<8,2>"),
    ("fixed<1,1>", "fixed<8,2>"),
]


def codes_of(form: Format) -> NDArray[np.int64]:
    half = 1 << (form.width - 1)
    return np.arange(-half, half)


def exact_lsb(table: Table) -> NDArray[np.float64]:
    function = REAL[table.function.name]
    values = [function(float(code) * table.input.lsb) for code in codes_of(table.input)]
    return np.array(values) * 2.0**table.output.fraction_bits


def check(table: Table, bound: float = BOUND_LSB) -> None:
    """Check everything that a table promises, at every input code."""
    codes = codes_of(table.input)
    y = apply(table, codes)
    error = float(np.abs(y - exact_lsb(table)).max())
    assert error <= bound + 1e-9
    assert max_error_lsb(table) == pytest.approx(error, abs=1e-9)
    assert table.output.min_code <= y.min() <= y.max() <= table.output.max_code
    if table.full:
        stored, m = y, clamp(codes, -table.limit - 1, table.limit)
    else:
        # f(-x) = total - f(x); the lowest code has no partner, and 0 is its own.
        inner, positive = codes > -len(codes) // 2, codes > 0
        np.testing.assert_array_equal(y[inner & (codes < 0)][::-1], table.total - y[positive])
        stored, m = np.where(codes < 0, table.total - y, y), magnitude(codes, table.limit)
    assert table.lowest <= stored.min() <= stored.max() <= table.highest
    for rom in table.roms:
        reached = address(m, rom)
        assert 0 <= reached.min() <= reached.max() < len(rom.codes)
        low, high = min(rom.codes), max(rom.codes)
        bound = 1 << (rom.width - (low < 0))
        assert (-bound if low < 0 else 0) <= low <= high < bound


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("function", ["sigmoid", "tanh", "decay"])
@pytest.mark.parametrize("source", ["fixed<16,6>", "fixed<9,3>"])
def test_the_bound_is_one_s_choice(function: str, source: str, fast: bool) -> None:
    """A coarser table takes less; at 1/2 LSB every entry is the nearest code."""
    form, target = Format.parse(source), Format.parse("fixed<12,2>")
    bits = []
    for bound in (0.5, 0.6, 1, 4.0):
        table = build_table(function, form, target, fast=fast, bound=bound)
        check(table, bound)
        bits.append(table.bits)
    assert bits[0] >= bits[-1]
    assert bits[0] > bits[-1] or source == "fixed<9,3>"


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_code_of_a_table(function: str, source: str, target: str, fast: bool) -> None:
    check(build_table(function, Format.parse(source), Format.parse(target), fast=fast))


@settings(max_examples=100, deadline=None)
@given(
    function=st.sampled_from(sorted(FUNCTIONS)),
    source=st.builds(Format, st.integers(1, 12), st.integers(-3, 14)),
    width=st.integers(1, 12),
    int_bits=st.integers(1, 6),
    rounding=st.sampled_from(Rounding),
    overflow=st.sampled_from(Overflow),
    fast=st.booleans(),
)
def test_every_code_of_any_table(
    function: str,
    source: Format,
    width: int,
    int_bits: int,
    rounding: Rounding,
    overflow: Overflow,
    fast: bool,
) -> None:
    target = Format(width, int_bits, rounding, overflow)
    if width == int_bits == 1 and FUNCTIONS[function].total:  # only 0 and -1
        with pytest.raises(PrecisionError, match=f"it ends at 0, but {function} goes up to 1"):
            build_table(function, source, target, fast=fast)
        return
    check(build_table(function, source, target, fast=fast))


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("width", range(1, 17))
def test_fast_tables_of_formats_up_to_16_bits_hold_the_full_range(
    function: str, width: int
) -> None:
    """All up to 13 bits; above, those of at most 10 fraction bits, as fixed<16,6>."""
    finest = 1 if width <= 13 else width - 10
    for int_bits in sorted({finest, (finest + width) // 2, width}):
        if width == int_bits == 1:
            continue  # only 0 and -1
        form = Format(width, int_bits)
        table = build_table(function, form, form, fast=True)
        assert table.full
        assert all(rom.signed_bits for rom in table.roms)
        check(table)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_tightest_bound_that_is_cheap(function: str, source: str, target: str) -> None:
    forms = Format.parse(source), Format.parse(target)
    error = float(np.abs(exact_lsb(table := build_table(function, *forms))
                         - apply(table, codes_of(forms[0]))).max())  # fmt: skip
    for bound in (*TIGHTER_LSB, BOUND_LSB):
        cheap = cheapest_table(function, *forms, bound, most_luts=CHEAP_LUTS)
        if cheap is not None:
            assert error <= bound + 1e-9
            if bound == TIGHTER_LSB[0]:  # correctly rounded, but for what saturates
                wanted = np.clip(exact_lsb(cheap), None, forms[1].max_code)
                assert np.abs(apply(cheap, codes_of(forms[0])) - wanted).max() <= 0.5 + 1e-9
            return
    assert error <= BOUND_LSB + 1e-9


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("source", "target"), PAIRS[:10])
def test_the_measure_for_wide_inputs_finds_the_same(
    function: str, source: str, target: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = build_table(function, Format.parse(source), Format.parse(target), fast=fast)
    error = max_error_lsb(table)
    monkeypatch.setattr("rnnrtl.lut.measure.ALL_CODES_BITS", 0)
    assert max_error_lsb(table) == error


@pytest.mark.parametrize(
    ("function", "source", "target"),
    [
        ("tanh", "fixed<18,4>", "fixed<18,4>"),
        ("sigmoid", "fixed<18,4>", "fixed<20,1>"),  # 1.0 is out of range
        ("tanh", "fixed<19,3>", "fixed<16,2>"),  # inputs finer than needed
    ],
)
def test_wide_tables_are_interpolated(function: str, source: str, target: str) -> None:
    """A product instead of thousands of entries; also where inputs are finer than needed."""
    forms = Format.parse(source), Format.parse(target)
    table = build_table(function, *forms)
    assert table.factor_bits
    assert all(len(rom.codes) < 5000 for rom in table.roms)
    check(table)
    x = input_vector(1, forms[0])
    found = evaluate(graph_of(x, read_table(table, x), *forms), codes_of(forms[0])[:, None, None])
    np.testing.assert_array_equal(found.ravel(), apply(table, codes_of(forms[0])))


def test_a_table_of_64_bit_inputs() -> None:
    table = build_table("tanh", Format(64, 10), Format(12, 3))
    assert max_error_lsb(table) <= 1 + 1e-9
    ends = np.array([-(2**63), 2**63 - 1])
    assert apply(table, ends).tolist() == [table.total - table.highest, table.highest]


def test_a_table_with_a_wrong_entry_shows_in_the_measure() -> None:
    table = build_table("tanh", Format(8, 3), Format(8, 3))
    rom = table.roms[0]
    codes = (rom.codes[0] + 3, *rom.codes[1:])
    wrong = dataclasses.replace(table, roms=(dataclasses.replace(rom, codes=codes),))
    assert max_error_lsb(wrong) > 2


def test_the_lowest_code_has_an_entry_of_its_own_where_it_needs_one() -> None:
    # Between the two lowest codes the sigmoid falls by more than one LSB of the output.
    source, target = Format(10, 3), Format(16, 2)
    table = build_table("sigmoid", source, target)
    assert table.limit == 512
    assert apply(table, np.array([-512]))[0] != apply(table, np.array([-511]))[0]
    check(table)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("fixed<32,10>", "fixed<32,10>", r"no tanh table from fixed<32,10> .* fewer fraction bits"),
        ("fixed<16,6>", "fixed<16,0>", r"no tanh table to fixed<16,0>: it ends at 0\.5"),
        ("fixed<8,3>", "fixed<8,-1>", r"more bits left of the point"),
    ],
)
def test_tables_that_cannot_be(source: str, target: str, words: str) -> None:
    with pytest.raises(PrecisionError, match=words):
        build_table("tanh", Format.parse(source), Format.parse(target))


def graph_of(x: Node, y: Node, source: Format, target: Format) -> Graph:
    return Graph(x, y, source, target, (), {}, return_sequences=True)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("saturated", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_the_nodes_of_a_look_up_equal_the_table(
    function: str, source: str, target: str, saturated: bool, fast: bool
) -> None:
    """Also behind a saturation, which the table's own limit may take over."""
    forms = Format.parse(source), Format.parse(target)
    wide = Format(min(forms[0].width + 2, 16), forms[0].int_bits + 2) if saturated else forms[0]
    codes = codes_of(wide)
    table = build_table(function, *forms, fast=fast)
    x = input_vector(1, wide)
    inner = x.to(forms[0])
    y = read_table(table, inner)
    wanted = apply(table, evaluate(graph_of(x, inner, wide, forms[0]), codes.reshape(-1, 1, 1)))
    found = evaluate(graph_of(x, y, wide, forms[1]), codes.reshape(-1, 1, 1))
    np.testing.assert_array_equal(found, wanted)
    assert y.lowest[0] <= found.min() <= found.max() <= y.highest[0]
