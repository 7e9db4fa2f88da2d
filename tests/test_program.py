"""The fast evaluation against the plain one: every bit, in every type that it chooses."""

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnrtl import design as design_module
from rnnrtl.errors import InputError, PrecisionError
from rnnrtl.fixedpoint import Format, Overflow, Precision, Rounding
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lookup import RomRead, look_up
from rnnrtl.graph.lowering import Operation, Product, lowered
from rnnrtl.graph.nodes import MatVec, Node, RoundShift
from rnnrtl.graph.program import Program
from rnnrtl.graph.unroll import trace_unrolled
from rnnrtl.graph.vectors import input_vector, matvec
from tests.networks import CELLS, dense, inputs, network, recurrent
from tests.test_graph import NETWORKS, extreme_codes, quietly_traced

MODES = list(itertools.product(Rounding, Overflow))


def operations(graph: Graph) -> list[Operation]:
    low = lowered(graph)
    return [part for part in (*low.each, *low.end) if isinstance(part, Operation)]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode[0].name},{mode[1].name}")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_mode_gives_the_bits_of_the_plain_evaluation(
    name: str, mode: tuple[Rounding, Overflow]
) -> None:
    net = NETWORKS[name]
    graph = quietly_traced(net, Precision.parse({"*": Format(10, 4, *mode)}))
    codes = extreme_codes(net, graph.input_format, 3)
    np.testing.assert_array_equal(Program(graph).run(codes), evaluate(graph, codes))


ANY_MODES = (st.sampled_from(Rounding), st.sampled_from(Overflow))
FORMATS = st.one_of(
    st.builds(Format, st.integers(2, 16), st.integers(1, 6), *ANY_MODES),
    st.builds(Format, st.integers(2, 64), st.integers(-40, 100), *ANY_MODES),
)
TABLED = st.builds(Format, st.integers(4, 18), st.integers(3, 5), *ANY_MODES)


@settings(max_examples=60, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    units=st.sampled_from([2, 2, 65]),
    head=st.sampled_from(["", "linear", "relu", "sigmoid"]),
    default=FORMATS,
    tabled=st.tuples(TABLED, TABLED, TABLED),
    special=st.dictionaries(
        st.sampled_from(["input", "kernel", "recurrent_kernel", "bias", "hidden", "cell"]),
        FORMATS,
        max_size=4,
    ),
    chunk=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 1000),
)
def test_random_formats_of_up_to_64_bits(
    cell: str,
    units: int,
    head: str,
    default: Format,
    tabled: tuple[Format, Format, Format],
    special: dict[str, Format],
    chunk: int | None,
    seed: int,
) -> None:
    layers: list[Any] = [recurrent(cell, 2, units, seed=seed)]
    layers += [dense(units, 1, head, seed=seed)] if head else []
    net = network(*layers)
    names = ("preactivation", "gate", "candidate")
    forms = {"*": default, "output": tabled[0], **dict(zip(names, tabled, strict=True)), **special}
    try:
        graph = quietly_traced(net, Precision.parse(forms))
    except PrecisionError:  # a table that cannot be
        return
    codes = extreme_codes(net, graph.input_format, seed)[:, :3]
    np.testing.assert_array_equal(Program(graph, chunk).run(codes), evaluate(graph, codes))


@pytest.mark.parametrize("name", ["stacked", "every step through a head", "lstm", "gru_before"])
def test_the_graph_of_a_whole_sequence(name: str) -> None:
    net = NETWORKS[name]
    graph = trace_unrolled(net, Precision.parse("fixed<14,5>"), 4)
    codes = extreme_codes(net, graph.input_format, 5)[:, :4].reshape(16, 1, -1)
    found = Program(graph, 7).run(codes)
    np.testing.assert_array_equal(found[:, None], evaluate(graph, codes))


def product_graph(weights: list[list[int]], x: Node, form: Format) -> Graph:
    y = matvec(np.array(weights, dtype=object), 0, x)
    return Graph(x, y, form, Format(64, 64), (), {}, return_sequences=False)


KINDS = {
    24: (np.float32, np.float64),
    53: (np.float64, np.int64),
    62: (np.int64, object),
}


@pytest.mark.parametrize("bits", KINDS)
@pytest.mark.parametrize("lanes", [1, 2, 130])
def test_products_just_below_and_at_the_limit_of_each_type(bits: int, lanes: int) -> None:
    """The sum of all lanes at the end of their range, against Python's integers."""
    form = Format(12, 12)
    for over, kind in enumerate(KINDS[bits]):
        # -2048 in every lane reaches the limit itself; one code less in one lane does not.
        weight, rest = divmod((1 << bits) // 2048, lanes)
        row = [weight] * (lanes - 1) + [weight + rest - (not over)]
        x = input_vector(lanes, form)
        graph = product_graph([row, [-w for w in row]], x, form)
        mixed = np.resize([-2048, 2047, 1, -1], lanes)
        codes = np.array([[-2048] * lanes, [2047] * lanes, mixed])[:, None, :]
        wanted = [
            [sum(w * sign * c for w, c in zip(row, code, strict=True)) for sign in (1, -1)]
            for (code,) in codes.tolist()
        ]
        assert lowered(graph).kinds[graph.output] is kind
        assert Program(graph).run(codes).tolist() == wanted


def test_wide_vectors_are_multiplied_in_float32_where_only_other_parts_need_float64() -> None:
    net = network(recurrent("lstm", 3, 70, scale=0.1))
    graph = quietly_traced(net, Precision.parse("fixed<16,6>"))
    parts = [part for part in lowered(graph).each if isinstance(part, Product)]
    assert {part.kind for part in parts} == {np.float32, np.float64}
    codes = extreme_codes(net, graph.input_format, 1)
    np.testing.assert_array_equal(Program(graph).run(codes), evaluate(graph, codes))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", ["fixed<16,6>", "ap_fixed<16,6>", "fixed<10,4>"])
def test_nothing_slow_is_left_in_the_loop(cell: str, precision: str) -> None:
    """Tables are read at once and products are stacked; else only the speed would tell."""
    graph = quietly_traced(network(recurrent(cell), dense(3, 1, "sigmoid")),
                           Precision.parse(precision))  # fmt: skip
    for op in operations(graph):
        assert op.total is not None or op.table is not None or not isinstance(
            op.node, RomRead | MatVec | RoundShift
        )  # fmt: skip
    products = [part for part in lowered(graph).each if isinstance(part, Product)]
    assert len(products) <= {"lstm": 1, "gru_after": 3, "gru_before": 2, "simple": 1}[cell]
    assert all(np.dtype(kind).kind == "f" for kind in lowered(graph).kinds.values())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("chunk", [1, 3])
def test_pieces_give_the_same_bits(name: str, chunk: int) -> None:
    net = NETWORKS[name]
    design = generate(net, "ap_fixed<14,6>")
    codes = design.input_codes(inputs(net, 7, 4))
    whole = evaluate(design.graph, codes)
    program = Program(design.graph, chunk)
    np.testing.assert_array_equal(program.run(codes), whole)
    np.testing.assert_array_equal(program.run(codes), whole)  # and it keeps nothing
    nothing = program.run(codes[:0])
    assert nothing.shape == (0, *whole.shape[1:])
    assert nothing.dtype == np.int64
    assert design.predict(np.zeros((0, 4, net.features))).shape == (0, *whole.shape[1:])


def test_memory_does_not_grow_with_the_batch() -> None:
    net = network(recurrent("lstm"), dense(3, 1))
    design = generate(net, "fixed<16,6>")
    x = np.zeros((40_000, 5, net.features))
    design.predict(x[:10])

    def peak(batch: int) -> int:
        tracemalloc.start()
        design.predict(x[:batch])
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    # What must grow is 1 bit a value for the check that all are finite, and the results.
    grown = peak(40_000) - peak(10_000)
    assert grown < 30_000 * (5 * net.features + 4 * 8)


@pytest.mark.parametrize("code", [-(2**15) - 1, 2**15])
def test_codes_beyond_the_input_format_are_refused(code: int) -> None:
    design = generate(NETWORKS["lstm"], "fixed<16,6>")
    codes = np.zeros((2, 3, 3), dtype=np.int64)
    codes[1, 2, 0] = code
    with pytest.raises(InputError, match=r"-32768\.\.32767"):
        design.predict_codes(codes)


def test_a_prediction_makes_no_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a schedule was made")

    monkeypatch.setattr(design_module, "make_schedule", refuse)
    net = NETWORKS["lstm"]
    assert generate(net, "fixed<16,6>").predict(inputs(net)).shape == (2, 3)


def codes_of(form: Format) -> IntArray:
    half = 1 << (form.width - 1)
    return np.arange(-half, half)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode[0].name},{mode[1].name}")
@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("fast", [False, True])
def test_a_table_behind_every_mode_over_every_code(
    mode: tuple[Rounding, Overflow], function: str, fast: bool
) -> None:
    wide, inner, out = Format(14, 7), Format(10, 4, *mode), Format(9, 3)
    x = input_vector(1, wide)
    y = look_up(function, x.to(inner), inner, out, fast=fast)
    graph = Graph(x, y, wide, out, (), {}, return_sequences=True)
    codes = codes_of(wide).reshape(-1, 1, 1)
    assert any(op.table is not None for op in operations(graph))
    np.testing.assert_array_equal(Program(graph).run(codes), evaluate(graph, codes))
