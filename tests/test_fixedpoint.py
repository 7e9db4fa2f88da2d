"""Rounding and overflow, against apytypes and against the definitions, over every code."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from rnnrtl.errors import InputError
from rnnrtl.fixedpoint import Format, Overflow, Rounding, arithmetic
from rnnrtl.fixedpoint.exact import dtype_for, matmul, to_codes, to_values
from rnnrtl.graph.nodes import Constant, Input, Node
from rnnrtl.graph.vectors import input_vector
from rnnrtl.hardware.registers import shape_of
from rnnrtl.schedule.operations import Op
from tests import fixed_oracle

SOURCE = Format(10, 5)
CODES = np.arange(-512, 512)

WIDTHS = [
    (6, 3), (8, 5), (5, 2),  # narrower on one side or on both
    (4, 7), (4, 9), (5, 12),  # negative fraction bits: up to more than all bits of the source
    (6, -1), (3, -2),  # only fraction bits, more than the source has or fewer
    (1, 1), (1, 4), (2, 2),
    (10, 5), (13, 6),  # nothing to do
]  # fmt: skip
MODES = list(product(Rounding, Overflow))
TARGETS = [Format(*widths, *modes) for widths in WIDTHS for modes in MODES]


def run(node: Node, x: Any) -> Any:
    """Interpret a node of one lane on any kind of number."""
    if isinstance(node, Input):
        return x
    if isinstance(node, Constant):
        return node.lowest[0]
    return node.arithmetic(*(run(arg, x) for arg in node.args))


def converted(target: Format) -> Node:
    return input_vector(1, SOURCE).to(target)


@cache
def expected(target: Format) -> tuple[int, ...]:
    values = (Fraction(int(code), 2**SOURCE.fraction_bits) for code in CODES)
    return tuple(fixed_oracle.code_of(value, target) for value in values)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_python_and_numpy_equal_the_definitions(target: Format) -> None:
    node = converted(target)
    assert [run(node, int(code)) for code in CODES] == list(expected(target))
    on_array = run(node, CODES)
    assert on_array.dtype == np.int64
    np.testing.assert_array_equal(on_array, expected(target))
    for kind in (np.float32, np.float64):
        np.testing.assert_array_equal(run(node, CODES.astype(kind)), expected(target))
    # Every value is in the proved range, and every range is reached at its ends or not proved.
    assert node.lowest[0] <= on_array.min()
    assert on_array.max() <= node.highest[0]
    low, high = -(1 << (target.width - 1)), (1 << (target.width - 1)) - 1
    assert low <= node.lowest[0] <= node.highest[0] <= high


@pytest.mark.parametrize(
    "target", [t for t in TARGETS if t.overflow.name in fixed_oracle.OVERFLOW], ids=str
)
def test_the_definitions_equal_apytypes(target: Format) -> None:
    found = fixed_oracle.by_apytypes(CODES, SOURCE, target)
    np.testing.assert_array_equal(found, expected(target))


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_amaranth_equals_the_definitions(widths: tuple[int, int]) -> None:
    targets = [Format(*widths, *modes) for modes in MODES]
    m = Module()
    x = Signal(signed(SOURCE.width))
    outputs = []
    for target in targets:
        node = converted(target)
        lane = Op("", "", node.lowest[0], node.highest[0], (), None, 0, 0.0)
        y = Signal(shape_of(lane))  # as narrow as the hardware makes it
        m.d.comb += y.eq(run(node, x))
        outputs.append(y)
    found: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for code in CODES:
            ctx.set(x, int(code))
            found.append([ctx.get(y) for y in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    for target, column in zip(targets, zip(*found, strict=True), strict=True):
        assert column == expected(target), str(target)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[int], int]]] = {
    "shift_right": (lambda x: arithmetic.shift_right(x, 3), lambda x: x // 8),
    "shift_right by more than it has": (lambda x: arithmetic.shift_right(x, 9), lambda x: x // 512),
    "shift_left": (lambda x: arithmetic.shift_left(x, 2), lambda x: x * 4),
    "low_bits": (lambda x: arithmetic.low_bits(x, 2), lambda x: x % 4),
    "wrap": (lambda x: arithmetic.wrap(x, 3), lambda x: (x + 4) % 8 - 4),
    "wrap in more bits than it has": (lambda x: arithmetic.wrap(x, 7), lambda x: x),
    "clamp": (lambda x: arithmetic.clamp(x, -3, 9), lambda x: min(max(x, -3), 9)),
    "zero_outside": (
        lambda x: arithmetic.zero_outside(x, -3, 9), lambda x: x if -3 <= x <= 9 else 0,
    ),
    "magnitude": (lambda x: arithmetic.magnitude(x, 5), lambda x: min(abs(x), 5)),
    "magnitude beyond the range": (lambda x: arithmetic.magnitude(x, 99), lambda x: abs(x)),
    "maximum_zero": (arithmetic.maximum_zero, lambda x: max(x, 0)),
    "mirror": (lambda x: arithmetic.mirror(x, 5, 7), lambda x: 5 if x >= 0 else 2),
}  # fmt: skip


def _rounding(
    mode: Rounding,
) -> tuple[Callable[[Any], Any], Callable[[int], int]]:
    return (
        lambda x: arithmetic.round_shift(x, 2, mode),
        lambda x: fixed_oracle.rounded(Fraction(x, 4), mode.name),
    )


FUNCTIONS |= {f"round_shift {mode.name}": _rounding(mode) for mode in Rounding}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("is_signed", [True, False])
def test_arithmetic_means_the_same_for_all_kinds_of_numbers(name: str, is_signed: bool) -> None:
    function, definition = FUNCTIONS[name]
    codes = range(-16, 16) if is_signed else range(32)
    wanted = [definition(code) for code in codes]
    assert [function(code) for code in codes] == wanted
    np.testing.assert_array_equal(np.broadcast_to(function(np.array(codes)), 32), wanted)
    m = Module()
    x = Signal(signed(5) if is_signed else 5)
    y = Signal(signed(12))
    m.d.comb += y.eq(function(x))
    found = []

    async def bench(ctx: Any) -> None:
        for code in codes:
            ctx.set(x, code)
            found.append(ctx.get(y))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == wanted


FORMATS = st.builds(
    Format,
    st.integers(1, 64),
    st.integers(-64, 128),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), form=FORMATS)
def test_codes_of_any_float_in_any_format(values: list[float], form: Format) -> None:
    assert to_codes(values, form).tolist() == [fixed_oracle.code_of(v, form) for v in values]


@given(
    codes=st.lists(st.integers(-40, 40), min_size=1),
    form=st.builds(
        Format,
        st.integers(1, 8),
        st.integers(-3, 9),
        st.sampled_from(Rounding),
        st.sampled_from(Overflow),
    ),
)
def test_codes_of_ties(codes: list[int], form: Format) -> None:
    values = [code * form.lsb / 4 for code in codes]
    assert to_codes(values, form).tolist() == [fixed_oracle.code_of(v, form) for v in values]


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("widths", [(64, 64), (64, 1), (63, 10), (62, 62), (53, 53), (64, 128)])
def test_codes_of_huge_values_and_wide_formats(
    widths: tuple[int, int], rounding: Rounding, overflow: Overflow
) -> None:
    form = Format(*widths, rounding, overflow)
    values = [0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, 2.0**62, -(2.0**63), 2.0**63, -(2.0**64)]
    values += [s * (2.0**52 + k / 2) * form.lsb for s in (1, -1) for k in range(4)]
    found = to_codes(np.array(values).reshape(2, -1), form)
    assert found.dtype == np.int64
    assert found.shape == (2, len(values) // 2)
    assert found.ravel().tolist() == [fixed_oracle.code_of(v, form) for v in values]


@pytest.mark.parametrize("rounding", Rounding)
def test_codes_of_values_that_underflow(rounding: Rounding) -> None:
    form = Format(8, 72, rounding)
    values = [5e-324, -5e-324, 0.0, -0.0, 1e-300]
    assert to_codes(values, form).tolist() == [fixed_oracle.code_of(v, form) for v in values]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_has_no_code(bad: float) -> None:
    with pytest.raises(InputError, match=rf"{bad} at index \(1, 0\)"):
        to_codes([[0.0, 1.0], [bad, 2.0]], Format(16, 6))


def test_values_of_codes_are_on_the_grid() -> None:
    form = Format(8, 3)
    codes = np.arange(-128, 128)
    np.testing.assert_array_equal(to_values(codes, form), codes / 32)
    np.testing.assert_array_equal(to_codes(codes / 32, form), codes)


LIMITS = [2**26, 2**26 + 1, 2**31, 2**31 - 1, 2**62, 2**62 - 1, 2**63 - 1, 2**63]


@pytest.mark.parametrize("x", LIMITS)
@pytest.mark.parametrize("weight", [1, 2, 2**26, 2**27, 2**30, 2**31, 2**62, 2**63])
def test_matmul_is_exact_at_the_limits_of_every_type(x: int, weight: int) -> None:
    def signed_by(size: int, *signs: int) -> list[int]:
        return [sign * min(size, 2**63 - (sign > 0)) for sign in signs]

    xs = [signed_by(x, *signs) for signs in ((1, 1), (-1, -1), (1, -1))]
    rows = [signed_by(weight, *signs) for signs in ((1, 1), (-1, -1), (-1, 1))]
    wanted = [[sum(a * b for a, b in zip(v, w, strict=True)) for w in rows] for v in xs]
    for kinds in product((np.int64, object), repeat=2):
        found = matmul(np.array(xs, dtype=kinds[0]), np.array(rows, dtype=kinds[1]))
        assert found.tolist() == wanted, kinds


def test_matmul_of_nothing() -> None:
    assert matmul(np.zeros((0, 3), np.int64), np.ones((2, 3), np.int64)).shape == (0, 2)


def test_the_type_that_holds_sums_of_two() -> None:
    assert dtype_for(2**62 - 1, -(2**62 - 1)) is np.int64
    assert dtype_for(0, 2**62) is object
    assert dtype_for(-(2**62)) is object
