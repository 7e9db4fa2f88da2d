"""The traced graph: proved ranges, the reference against the equations, evaluation in pieces."""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnrtl.errors import PrecisionWarning
from rnnrtl.fixedpoint import Format, Overflow, Precision, Rounding
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.generation import generate
from rnnrtl.graph import evaluate as evaluate_module
from rnnrtl.graph.evaluate import evaluate, plan
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.nodes import Clamp, Constant, Node, State
from rnnrtl.graph.trace import trace
from rnnrtl.graph.vectors import blend, input_vector
from rnnrtl.network import Network
from tests.error_bound import error_bound
from tests.networks import CELLS, GATED, dense, inputs, network, recurrent, reference

# Fine enough that only a wrong equation can be far off, coarse enough for tables.
WIDE = Precision.parse(
    {
        "*": "fixed<32,10>",
        "preactivation": "fixed<18,5>",
        "gate": "fixed<18,2>",
        "candidate": "fixed<18,2>",
        "output": "fixed<20,6>",
    }
)

NETWORKS = {
    **{cell: network(recurrent(cell, scale=0.25)) for cell in CELLS},
    **{
        f"{cell}, all steps": network(recurrent(cell, sequences=True, scale=0.25)) for cell in CELLS
    },
    **{
        f"{cell}, {activation}": network(recurrent(cell, scale=0.25), dense(3, 2, activation))
        for cell, activation in itertools.product(GATED, ("linear", "relu"))
    },
    "lstm, sigmoid": network(recurrent("lstm", scale=0.25), dense(3, 2, "sigmoid")),
    "gru_after, tanh": network(recurrent("gru_after", scale=0.25), dense(3, 2, "tanh")),
    "stacked": network(
        recurrent("lstm", 3, 4, sequences=True, name="a", scale=0.2),
        recurrent("gru_after", 4, 3, sequences=True, name="b", scale=0.2),
        recurrent("gru_before", 3, 2, name="c", scale=0.2),
        dense(2, 1),
    ),
    "dense first": network(
        dense(3, 4, "tanh", name="embed"), recurrent("gru_after", 4, 2, scale=0.2), dense(2, 2)
    ),
    "dense only": network(dense(3, 4, "relu", name="hidden"), dense(4, 2)),
    "every step through a head": network(
        recurrent("lstm", 3, 2, sequences=True, scale=0.25), dense(2, 2)
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_floats_equal_the_textbook(name: str) -> None:
    net = NETWORKS[name]
    x = inputs(net, 5, 7)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_point_stays_within_the_bound_of_its_formats(name: str) -> None:
    net = NETWORKS[name]
    x = inputs(net, 20, 3)
    wanted = reference(net, x)
    found = generate(net, WIDE).predict(x)
    assert found.shape == wanted.shape
    bound = error_bound(net, WIDE, x)
    assert bound < 0.02  # else it would let wrong equations pass
    assert np.abs(found - wanted).max() <= bound


def test_the_bound_tells_one_cell_from_another() -> None:
    after, before = NETWORKS["gru_after"], NETWORKS["gru_before"]
    x = inputs(after, 20, 4)
    bound = error_bound(after, WIDE, x)
    assert np.abs(generate(before, WIDE).predict(x) - reference(after, x)).max() > 5 * bound


FORMATS = st.builds(
    Format,
    st.integers(4, 12),
    st.integers(2, 6),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)


def quietly_traced(net: Network, precision: Precision) -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return trace(net, precision)


def extreme_codes(net: Network, form: Format, seed: int) -> IntArray:
    """Return sequences of random codes, half of them only of the ends of the range."""
    rng = np.random.default_rng(seed)
    half = 1 << (form.width - 1)
    any_code = rng.integers(-half, half, size=(8, 5, net.features))
    ends = rng.choice([-half, half - 1], size=(8, 5, net.features))
    return np.concatenate([any_code, ends])


@settings(max_examples=80, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    head=st.sampled_from(["", "linear", "relu", "sigmoid", "tanh"]),
    scale=st.sampled_from([0.3, 1.0, 4.0]),
    default=FORMATS,
    special=st.dictionaries(
        st.sampled_from(["input", "kernel", "bias", "preactivation", "hidden", "candidate"]),
        FORMATS,
        max_size=3,
    ),
    seed=st.integers(0, 1000),
)
def test_every_value_is_in_its_proved_range(
    cell: str, head: str, scale: float, default: Format, special: dict[str, Format], seed: int
) -> None:
    layers: list[Any] = [recurrent(cell, 2, 2, seed=seed, scale=scale)]
    layers += [dense(2, 1, head, seed=seed)] if head else []
    net = network(*layers)
    graph = quietly_traced(net, Precision.parse({"*": default, **special}))
    seen: set[Node] = set()

    def observe(node: Node, values: IntArray) -> None:
        flat = values.reshape(-1, node.size)
        assert (flat >= np.array(node.lowest, dtype=object)).all(), node
        assert (flat <= np.array(node.highest, dtype=object)).all(), node
        seen.add(node)

    codes = extreme_codes(net, graph.input_format, seed)
    out = evaluate(graph, codes, observe=observe)
    assert seen == {
        node for node in graph.nodes() if node is not graph.input and not isinstance(node, State)
    }
    half = 1 << (graph.output_format.width - 1)
    assert -half <= out.min() <= out.max() < half
    for loop in graph.loops:  # what observe() saw of the next state is what the state may be
        for state, following in loop.states:
            for a, b, c, d in zip(
                state.lowest, following.lowest, following.highest, state.highest, strict=True
            ):
                assert a <= min(b, 0) <= max(c, 0) <= d


def test_ranges_are_reached() -> None:
    net = network(dense(3, 4))
    graph = trace(net, Precision.parse("fixed<24,12>"))
    corners = np.array(list(itertools.product([-(2**23), 2**23 - 1], repeat=3)))
    out = evaluate(graph, corners[:, None, :])[:, 0]
    assert tuple(out.min(axis=0)) == graph.output.lowest
    assert tuple(out.max(axis=0)) == graph.output.highest


@pytest.mark.parametrize("width", [60, 62, 63, 64])
def test_the_widest_formats_are_exact(width: int) -> None:
    """Codes and weights at the ends of 64 bits, against Python's integers."""
    form = Format(width, width)
    net = network(dense(2, 2, "relu"))
    layer = net.layers[0]
    graph = trace(net, Precision.parse({"*": form, "head.kernel": "fixed<8,3>"}))
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    codes = np.array(list(itertools.product([low, -1, 0, high], repeat=2)), dtype=np.int64)
    found = evaluate(graph, codes[:, None, :])[:, 0]
    kernel = [[int(np.floor(w * 32 + 0.5)) for w in row] for row in layer.kernel]  # type: ignore[union-attr]
    bias = [int(np.floor(b + 0.5)) for b in layer.bias]  # type: ignore[union-attr]
    for code, out in zip(codes.tolist(), found.tolist(), strict=True):
        for row, b, y in zip(kernel, bias, out, strict=True):
            total = sum(w * c for w, c in zip(row, code, strict=True)) + b * 32
            assert y == max(0, min(high, (total + 16) >> 5))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("chunk", [1, 3])
def test_pieces_give_the_same_bits(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = NETWORKS[name]
    design = generate(net, "ap_fixed<14,6>")
    x = inputs(net, 7, 4)
    whole = design.predict(x)
    monkeypatch.setattr(evaluate_module, "CHUNK", chunk)
    np.testing.assert_array_equal(design.predict(x), whole)
    np.testing.assert_array_equal(
        np.concatenate([design.predict(x[:2]), design.predict(x[2:])]), whole
    )
    for nothing in (design.predict(x[:0]), net.predict(x[:0])):
        assert nothing.shape == (0, *whole.shape[1:])
        assert nothing.dtype == np.float64


def test_the_steps_of_a_sequence_do_not_see_its_future() -> None:
    net = NETWORKS["lstm, all steps"]
    design = generate(net, "fixed<16,6>")
    x = inputs(net, 3, 6)
    np.testing.assert_array_equal(design.predict(x)[:, :4], design.predict(x[:, :4]))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_computes_every_node_once_and_operands_first(name: str) -> None:
    net = NETWORKS[name]
    graph = trace(net, Precision.parse("fixed<16,6>"))
    ordered = plan(graph)
    done: list[Node] = []
    for item in ordered.items:
        done += [item] if isinstance(item, Node) else item.nodes
    assert len(done) == len(set(done))
    assert set(done) == set(graph.nodes())
    for position, node in enumerate(done):
        assert set(node.args) <= set(done[:position])
    assert {node for node in ordered.recurrent if isinstance(node, State)} == {
        state for loop in graph.loops for state, _ in loop.states
    }
    for loop, layer in zip(graph.loops, net.recurrent, strict=True):
        assert loop.layer == layer.name
        assert [state.name for state, _ in loop.states] == list(layer.states)


def test_input_weights_stay_out_of_the_loop() -> None:
    graph = trace(NETWORKS["lstm"], Precision.parse("fixed<16,6>"))
    inside = plan(graph).recurrent
    kernels = [node for node in graph.nodes() if node.name.endswith("_kernel")]
    assert len(kernels) == 4
    assert not inside & set(kernels)
    assert not [node for node in inside if isinstance(node, Constant)]


def test_blend_refuses_what_is_no_gate() -> None:
    x = input_vector(1, Format(8, 2))
    with pytest.raises(ValueError, match=r"within 0\.\.1, got -128\.\.127"):
        blend(x, x, x)


def test_a_saturation_that_the_table_takes_over_computes_nothing_twice() -> None:
    precision = {"*": "fixed<12,5>", "cell": "fixed<14,6>", "preactivation": "fixed<12,4>"}
    graph = trace(NETWORKS["lstm"], Precision.parse(precision))
    cells = [node for node in graph.nodes() if isinstance(node, Clamp) and node.form.width == 14]
    assert [node.name for node in cells] == ["c_next"]
