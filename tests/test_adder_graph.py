"""Adder graphs: run in exact integer arithmetic, they are the product of their matrix."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl.errors import ToolError
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.generation import generate
from rnnrtl.schedule import adder_graph
from rnnrtl.schedule.adder_graph import AdderGraph, solve, tiles
from tests.networks import GATED, dense, inputs, network, recurrent

ROOT = Path(__file__).resolve().parent.parent


def shifted(value: Fraction, bits: int) -> Fraction:
    return value * Fraction(2) ** bits


def run(graphs: tuple[AdderGraph, ...], x: list[int]) -> list[Fraction]:
    """Return the outputs for integers x; fractions, so that no bit is lost unseen."""
    values = [Fraction(v) for v in x]
    for graph in graphs:
        assert len(graph.shifts) == len(values)
        values = [shifted(v, s) for v, s in zip(values, graph.shifts, strict=True)]
        for step in graph.steps:
            assert 0 <= min(step.left, step.right) <= max(step.left, step.right) < len(values)
            term = shifted(values[step.right], step.shift)
            values.append(values[step.left] + (-term if step.subtract else term))
        values = [
            Fraction(0)
            if result.index < 0
            else shifted(values[result.index], result.shift) * (-1 if result.negative else 1)
            for result in graph.results
        ]
    return values


def check(matrix: Any, *, bits: int = 10, depth: int = 0, ready: Any = None, seed: int = 0) -> None:
    matrix = np.array(matrix, dtype=np.int64)
    outputs, size = matrix.shape
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    graphs = solve(matrix, ((low, high),) * size, ready or (0.0,) * size, depth)
    rng = np.random.default_rng(seed)
    vectors = [[low] * size, [high] * size, [0] * size, [1] * size]
    vectors += rng.integers(low, high, (20, size), endpoint=True).tolist()
    vectors += np.eye(size, dtype=int).tolist()
    for x in vectors:
        wanted = [sum(w * v for w, v in zip(row, x, strict=True)) for row in matrix.tolist()]
        assert run(graphs, x) == wanted
    assert len(graphs[-1].results) == outputs


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 3), (8, 5), (16, 20)])
@pytest.mark.parametrize("width", [2, 5, 9, 16])
def test_random_matrices(shape: tuple[int, int], width: int, depth: int) -> None:
    rng = np.random.default_rng([*shape, width, depth])
    half = 1 << (width - 1)
    matrix = rng.integers(-half, half, shape)
    check(matrix, depth=depth)
    sparse = np.where(rng.random(shape) < 0.6, 0, matrix)
    check(sparse, depth=depth)


PARTICULAR = {
    "zero": [[0, 0, 0], [0, 0, 0]],
    "a zero row": [[3, -5, 7], [0, 0, 0], [1, 9, 11]],
    "a zero column": [[3, 0, 7], [5, 0, -3]],
    "first and last column zero": [[0, 3, 5, 0], [0, -7, 9, 0]],
    "powers of two": [[1, 2, 4], [-8, 16, -32], [64, 0, 128]],
    "negative rows": [[-3, -5, -7], [-1, -2, -4]],
    "equal rows": [[3, 5, 7], [3, 5, 7], [-3, -5, -7], [6, 10, 14]],
    "equal columns": [[3, 3], [5, 5]],
    "all even": [[6, 40, 96], [28, 1024, -12]],
    "one": [[1]],
    "minus one": [[-1]],
    "a single number": [[-2773]],
    "a single zero": [[0]],
    "the largest weights": [[(1 << 23) - 1, -(1 << 23) + 1], [1, (1 << 22) + 1]],
    "a unit matrix": np.eye(6, dtype=int),
    "an input for one output only": [[3, 5, 1, 0], [7, 9, 0, 1]],
}


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("name", PARTICULAR)
def test_particular_matrices(name: str, depth: int) -> None:
    check(PARTICULAR[name], depth=depth)


def test_inputs_of_their_own_ranges_and_times() -> None:
    matrix = np.random.default_rng(5).integers(-128, 128, (6, 4))
    bounds = ((0, 1), (-512, 511), (7, 7), (-3, 0))
    graphs = solve(matrix, bounds, (0.0, 3.0, 16.0, 1.0), 1)
    rng = np.random.default_rng(6)
    for _ in range(50):
        x = [int(rng.integers(low, high, endpoint=True)) for low, high in bounds]
        assert run(graphs, x) == (matrix @ np.array(x)).tolist()


def test_constants_are_not_taken_for_each_other() -> None:
    matrix = np.array([[31, 512, 0, 0], [-62, 0, 4096, 0], [90, 0, 0, 512]])
    for depth in (0, 1, 2):
        graphs = solve(matrix, ((-512, 511), (1, 1), (-1, -1), (-3, -3)), (0.0,) * 4, depth)
        assert run(graphs, [5, 1, -1, -3]) == (matrix @ [5, 1, -1, -3]).tolist()
    graphs = solve(np.array([[-4, 1], [16, 0]]), ((0, 0), (-9, 7)), (0.0, 0.0), 0)
    assert run(graphs, [0, 5]) == [5, 0]


def test_negative_shifts_occur_and_divide_exactly() -> None:
    """Else the cases above would not try what they are for."""
    found = 0
    for seed in range(40):
        matrix = np.random.default_rng(seed).integers(-64, 64, (4, 3)) * 2
        graphs = solve(matrix, ((-8, 7),) * 3, (0.0,) * 3, 0)
        found += sum(s < 0 for g in graphs for s in g.shifts)
        found += sum(step.shift < 0 for g in graphs for step in g.steps)
        found += sum(result.shift < 0 for g in graphs for result in g.results)
        check(matrix, bits=4, seed=seed)
    assert found


def test_more_depth_takes_no_more_adders() -> None:
    matrix = np.random.default_rng(1).integers(-128, 128, (16, 16))

    def adders(depth: int) -> int:
        graphs = solve(matrix, ((-128, 127),) * 16, (0.0,) * 16, depth)
        return sum(len(graph.steps) for graph in graphs)

    assert adders(3) <= adders(0)
    # Shared: each row by itself, in signed digits, would take far more.
    assert adders(0) < 16 * 15 + 16 * 16


def test_tiles_cover_a_matrix_once() -> None:
    for shape in [(1, 1), (128, 64), (129, 65), (300, 200)]:
        seen: IntArray = np.zeros(shape, dtype=np.int64)
        for rows, columns in tiles(*shape):
            part = seen[rows, columns]
            assert part.shape[0] <= adder_graph.TILE_OUTPUTS
            assert part.shape[1] <= adder_graph.TILE_INPUTS
            part += 1
        assert (seen == 1).all()


@pytest.mark.parametrize(("tile_outputs", "tile_inputs"), [(1, 1), (2, 3), (5, 2), (100, 4)])
@pytest.mark.parametrize("cell", GATED)
def test_a_matrix_larger_than_a_tile(
    cell: str, tile_outputs: int, tile_inputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adder_graph, "TILE_OUTPUTS", tile_outputs)
    monkeypatch.setattr(adder_graph, "TILE_INPUTS", tile_inputs)
    net = network(recurrent(cell, 5, 3), dense(3, 2))
    design = generate(net, "fixed<9,4>", strategy="shift_add")
    assert not [op for op in design.schedule.ops if "_from_" in op.name]
    assert design.simulate(inputs(net, 3, 3), stalls=False).bit_exact


SCRIPT = """
import numpy as np
from rnnrtl.schedule.adder_graph import solve
matrix = np.random.default_rng(3).integers(-512, 512, (24, 20))
print(repr(solve(matrix, ((-512, 511),) * 20, (0.0,) * 10 + (2.0,) * 10, 1)))
"""


def printed(seed: str, threads: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": threads,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_the_same_graph_every_time() -> None:
    matrix = np.random.default_rng(3).integers(-512, 512, (24, 20))
    arguments = (matrix, ((-512, 511),) * 20, (0.0,) * 10 + (2.0,) * 10, 1)
    first = solve(*arguments)
    adder_graph._solve.cache_clear()
    second = solve(*arguments)
    assert first is not second
    assert first == second
    assert printed("1", "1") == printed("99", "2") == f"{first!r}\n"


def test_without_da4ml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "da4ml", None)
    monkeypatch.setitem(sys.modules, "da4ml.cmvm", None)
    adder_graph._solve.cache_clear()
    words = r"^strategy 'shift_add' needs da4ml: pip install 'rnnrtl\[shift-add\]'"
    with pytest.raises(ToolError, match=words):
        solve(np.array([[3, 5]]), ((-8, 7),) * 2, (0.0, 0.0), 0)
    net = network(recurrent("lstm"), dense(3, 2))
    for strategy in ("shift_add", {"lstm": "shift_add"}, "auto"):
        with pytest.raises(ToolError, match=words):
            _ = generate(net, "fixed<10,4>", strategy=strategy).schedule
    # What needs no adder graph goes without it.
    design = generate(net, "fixed<10,4>", strategy="dsp")
    assert design.simulate(inputs(net, 1, 2), stalls=False).bit_exact
