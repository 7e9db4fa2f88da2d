"""Formats found from data: they keep what is asked for, with fewer bits than alike ones."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.errors import InputError, PrecisionError, PrecisionWarning
from rnnrtl.fixedpoint import Format, Precision
from rnnrtl.generation import generate
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.trace import trace
from rnnrtl.layers import Dense
from rnnrtl.network import Network
from rnnrtl.tuning import find_precision
from rnnrtl.tuning.cost import cost, product_cost
from rnnrtl.tuning.search import Found
from rnnrtl.tuning.survey import survey
from tests.networks import CELLS, dense, inputs, network, recurrent

NET = network(recurrent("gru_after", 2, 3, scale=0.5), dense(3, 1, "sigmoid"), steps=4)
X = inputs(NET, 40, 4)
LABELS = (NET.predict(X)[:, 0] > np.median(NET.predict(X))).astype(int)


def largest_error(net: Network, precision: Precision, x: NDArray[np.float64]) -> float:
    return float(np.abs(generate(net, precision).predict(x) - net.predict(x)).max())


@pytest.mark.filterwarnings("ignore::rnnrtl.PrecisionWarning")
@pytest.mark.parametrize("cell", CELLS)
def test_the_largest_error_is_kept_with_fewer_bits_than_alike_formats_take(cell: str) -> None:
    net = network(recurrent(cell, 2, 3, scale=0.5), dense(3, 1))
    steps: list[Found] = []
    found = find_precision(net, X, max_error=0.05, progress=steps.append)
    assert largest_error(net, found, X) <= 0.05
    assert find_precision(net, X, max_error=0.05) == found
    named = {n.rpartition(".")[::2] for n, _ in found.rules}
    assert named == {(layer, t) for layer, ts in rnnrtl.tensors(net).items() for t in ts}
    assert steps[-1].precision == found
    assert steps[-1].trial.largest == pytest.approx(largest_error(net, found, X))
    # The first are formats of one width, with two bits more than such formats need.
    costs = [step.trial.cost for step in steps]
    assert costs[-1] < 0.9 * costs[0]
    start = steps[0].precision
    (width,) = {form.width for _, form in start.rules}
    alike = [
        Precision(start.default, tuple((n, f.replace(width=width - k)) for n, f in start.rules))
        for k in (2, 3)
    ]
    assert largest_error(net, alike[0], X) <= 0.05 < largest_error(net, alike[1], X)
    weight, activation = rnnrtl.average_bits(net, found)
    assert weight + activation < 2 * (width - 2)
    assert steps[-1].bits == (weight, activation)


def test_bits_or_hardware_are_spared() -> None:
    """A kernel of many weights by few values of x: its bits are few, and its products all."""
    hardware = find_precision(NET, X, max_error=0.05)
    bits = find_precision(NET, X, max_error=0.05, spare="bits")
    assert sum(rnnrtl.average_bits(NET, bits)) < sum(rnnrtl.average_bits(NET, hardware))
    assert cost(quietly_traced(NET, bits)) > cost(quietly_traced(NET, hardware))


def quietly_traced(net: Network, precision: Precision) -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return trace(net, precision)


@pytest.mark.filterwarnings("ignore::rnnrtl.PrecisionWarning")
def test_a_metric_is_kept() -> None:
    metric = rnnrtl.AreaUnderCurve(LABELS)
    target = 0.99 * metric(NET.predict(X))
    found = find_precision(NET, X, metric=metric, target=target)
    assert metric(generate(NET, found).predict(X)) >= target
    coarser = find_precision(NET, X, metric=metric, target=0.9 * target)
    assert sum(rnnrtl.average_bits(NET, coarser)) < sum(rnnrtl.average_bits(NET, found))


def test_luck_is_not_taken_for_enough_bits() -> None:
    """A figure that fails from some error on, and is well again beyond it, as noise can make it."""
    floats = NET.predict(X)

    def metric(outputs: NDArray[np.float64]) -> float:
        error = float(np.mean((outputs - floats) ** 2))
        return float(error < 1e-5 or error > 3e-5)

    steps: list[Found] = []
    find_precision(NET, X, metric=metric, target=1.0, progress=steps.append)
    assert steps[-1].trial.mean_square < 1e-5


def test_a_margin_is_left_for_values_beyond_the_data() -> None:
    net = network(Dense("head", np.array([[1.0]]), np.zeros(1)))
    x = np.array([[[1.9]], [[-1.0]]])
    tight = find_precision(net, x, max_error=0.1, margin=0)
    wide = find_precision(net, x, max_error=0.1, margin=0.1)
    assert (tight.format("", "input").int_bits, wide.format("", "input").int_bits) == (2, 3)
    assert tight.format("head", "kernel").int_bits == wide.format("head", "kernel").int_bits == 1


class Interrupted:
    """A metric that Ctrl-C meets once, at its nth figure; and how many figures there were."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.figures = at, 0
        self.metric = rnnrtl.AreaUnderCurve(LABELS)

    def __call__(self, outputs: NDArray[np.float64]) -> float:
        self.figures += 1
        if self.figures == self.at:
            raise KeyboardInterrupt
        return self.metric(outputs)


def test_an_interrupted_search_goes_on_from_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "search.json"
    whole = Interrupted()
    wanted = find_precision(NET, X, metric=whole, target=0.9)
    first = Interrupted(whole.figures // 2)
    with pytest.raises(KeyboardInterrupt):
        find_precision(NET, X, metric=first, target=0.9, state=state)
    kept = len(json.loads(state.read_text())["trials"])
    assert kept >= whole.figures // 2 - 4  # those before the first trial know the float network
    rest = Interrupted()
    assert find_precision(NET, X, metric=rest, target=0.9, state=state) == wanted
    assert rest.figures <= whole.figures - kept + 4
    again = Interrupted()
    assert find_precision(NET, X, metric=again, target=0.9, state=state) == wanted
    assert again.figures <= 4
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


def test_the_state_of_another_search_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "search.json"
    find_precision(NET, X, max_error=0.3, state=state)
    before = state.read_bytes()
    other = network(recurrent("gru_after", 2, 3, scale=0.4), dense(3, 1, "sigmoid"))
    metric = rnnrtl.Accuracy(LABELS)
    searches: list[tuple[Network, NDArray[np.float64], dict[str, Any]]] = [
        (other, X, {"max_error": 0.3}),
        (NET, X[:30], {"max_error": 0.3}),
        (NET, X, {"metric": metric, "target": 0.5}),
    ]
    for net, x, aims in searches:
        with pytest.raises(PrecisionError, match="is the state of a search with another"):
            find_precision(net, x, **aims, state=state)
    assert state.read_bytes() == before
    find_precision(NET, X, max_error=0.2, state=state)  # a trial is worth the same to every aim


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"key": 1}', '{"key": 1, "trials": [1]}',
        '{"key": 1, "trials": {"a": 1}}', '{"key": 1, "trials": {"a": [1, 2, 3]}}',
        '{"key": 1, "trials": {"a": [1, 2, "x", null]}}', "[" * 100_000, "\0",
        '{"key": 1, "trials": {"a": [1, null, 2, null]}}',
        '{"key": 1, "trials": {"a": [NaN, 1, 2, null]}}',
    ],
)  # fmt: skip
def test_files_that_are_no_state(tmp_path: Path, text: str) -> None:
    path = tmp_path / "search.json"
    path.write_text(text)
    with pytest.raises(PrecisionError, match="is not the state of a search"):
        find_precision(NET, X, max_error=0.3, state=path)
    assert path.read_text() == text


AUC = rnnrtl.AreaUnderCurve(LABELS)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no aim": ({}, PrecisionError, "Give metric and target, or max_error"),
    "no target": ({"metric": AUC}, PrecisionError, "metric and target go together"),
    "no metric": ({"target": 0.9}, PrecisionError, "metric and target go together"),
    "no function": ({"metric": "auc", "target": 0.9}, PrecisionError, "must be a function"),
    "NaN": ({"max_error": math.nan}, PrecisionError, "max_error must be a finite number, not nan"),
    "text": ({"metric": AUC, "target": "1"}, PrecisionError, "target must be a finite number"),
    "zero": ({"max_error": 0}, PrecisionError, "max_error must be positive"),
    "negative margin": ({"max_error": 0.1, "margin": -1}, PrecisionError, "margin not negative"),
    "too high": ({"metric": AUC, "target": 2}, PrecisionError, "float network itself reaches 1, "),
    "spare": (
        {"max_error": 0.1, "spare": "time"},
        PrecisionError,
        "unknown spare 'time', known: ",
    ),
    "too near": ({"max_error": 1e-12}, PrecisionError, "no formats keep what is asked for"),
    "no figure": ({"metric": lambda y: y, "target": 0}, InputError, "must give a finite number"),
    "a NaN": ({"metric": lambda y: math.nan, "target": 0}, InputError, "the metric gave nan"),
}


@pytest.mark.parametrize("name", BAD)
def test_aims_that_are_refused(name: str) -> None:
    aims, error, words = BAD[name]
    with pytest.raises(error, match=words):
        find_precision(NET, X, **aims)


@pytest.mark.parametrize("x", [X[:0], X[..., :1], "x"], ids=["none", "features", "text"])
def test_data_that_are_refused(x: Any) -> None:
    with pytest.raises(InputError):
        find_precision(NET, x, max_error=0.3)


@pytest.mark.filterwarnings("ignore::rnnrtl.PrecisionWarning")
def test_auto() -> None:
    design = generate(NET, "auto", calibration=X, max_error=0.3)
    assert design.precision == find_precision(NET, X, max_error=0.3)
    bits = rnnrtl.average_bits(NET, design.precision)
    assert f"On average {bits[0]:.2f} bits a weight and {bits[1]:.2f}" in design.report()
    kept = generate(NET, "auto", calibration=X, metric=AUC, metric_target=0.9)
    assert AUC(kept.predict(X)) >= 0.9
    assert kept.simulate(X[:3], "amaranth").bit_exact
    with pytest.raises(PrecisionError, match="'auto' needs data"):
        generate(NET, "auto", max_error=0.3)
    with pytest.raises(PrecisionError, match="go with precision='auto'"):
        generate(NET, "fixed<12,4>", calibration=X)


def test_a_survey_sees_every_tensor_and_its_size() -> None:
    net = network(recurrent("lstm", 2, 3, scale=0.5), dense(3, 4, "relu"), dense(4, 1, name="out"))
    seen = survey(net, X)
    assert set(seen) == {(layer, t) for layer, ts in rnnrtl.tensors(net).items() for t in ts}
    lanes = {
        "kernel": 24, "recurrent_kernel": 36, "bias": 12, "preactivation": 12, "gate": 9,
        "candidate": 3, "cell": 3, "cell_preactivation": 3, "cell_activation": 3, "hidden": 3,
    }  # fmt: skip
    assert {t: seen["lstm", t].values for t in lanes} == lanes
    assert (seen["head", "kernel"].values, seen["head", "output"].values) == (12, 4)
    assert (seen["", "input"].lowest, seen["", "input"].highest) == (X.min(), X.max())
    states = network(recurrent("lstm", 2, 3, scale=0.5, sequences=True)).predict(X)
    assert seen["lstm", "hidden"].highest == states.max()
    assert seen["out", "output"].highest == max(net.predict(X).max(), 0)
    assert 0.5 < seen["lstm", "gate"].highest < 1
    weights = 24 + 36 + 12 + 12 + 4 + 4 + 1
    rules = {"*": "fixed<8,4>", "lstm.kernel": "fixed<16,4>", "lstm.gate": "fixed<5,1>"}
    bits = rnnrtl.average_bits(net, Precision.parse(rules))
    assert bits == (8 + 8 * 24 / weights, 8 - 3 * 9 / (2 + 36 + 4 + 1))


def test_products_cost_more_where_a_block_ends() -> None:
    assert product_cost(8, 8) == 64 + 50
    assert product_cost(9, 8) == product_cost(8, 9) == 72 + 100
    assert product_cost(27, 18) == 27 * 18 + 100
    assert product_cost(28, 18) == 28 * 18 + 200
    assert product_cost(27, 19) == 27 * 19 + 200


def test_the_cost_of_a_graph() -> None:
    net = network(Dense("head", np.array([[0.5, -1.0]]), np.array([0.25])))
    graph = trace(net, Precision.parse({"*": "fixed<8,2>", "head.kernel": "fixed<4,1>"}))
    products = 2 * (4 * 8 + 50 + 4 / 64)
    # The sum is in codes of 2**-9: at most 128 * (4 + 8) of products, 128 of the bias, and 4 to
    # round it. What is left of it, to be kept, has 3 bits less.
    bits = math.ceil(math.log2(128 * 12 + 128 + 4)) + 1
    assert cost(graph) == products + 2 * bits + 0.5 * (bits - 3)


def test_the_metrics() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 200)
    for scores in (rng.normal(size=(200, 1)), rng.integers(0, 4, (200, 1)) / 4):
        area = rnnrtl.AreaUnderCurve(labels)(scores)
        assert area == pytest.approx(roc_auc_score(labels, scores[:, 0]), abs=1e-12)
    assert rnnrtl.Accuracy(np.array([0, 1, 1]))(np.array([[0.2], [0.9], [0.1]])) == 2 / 3
    assert rnnrtl.Accuracy(np.array([2, 0]))(np.array([[0, 1, 2.0], [1, 3, 2]])) == 0.5
    for labels_ in ([0.5, 1], [[0, 1]], [], ["a"], [-1, 0], [0, 0]):
        with pytest.raises(InputError):
            rnnrtl.AreaUnderCurve(np.array(labels_))
    for metric in (AUC, rnnrtl.Accuracy(LABELS)):
        with pytest.raises(InputError, match="do not go with 40 labels"):
            metric(np.zeros((3, 1)))


def test_a_tensor_of_zeros_has_a_format() -> None:
    net = network(Dense("head", np.zeros((1, 1)), np.zeros(1)))
    found = find_precision(net, np.zeros((1, 1, 1)), max_error=0.1)
    assert found.format("head", "kernel") == Format(2, 1)
