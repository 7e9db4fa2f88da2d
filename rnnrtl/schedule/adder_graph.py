"""Products by constants as shared shifts and adds, solved by da4ml.

C. Sun et al., "da4ml: Distributed Arithmetic for Real-time Neural Networks on FPGAs",
arXiv 2507.04535. An optional dependency: `pip install "rnnrtl[shift-add]"`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ToolError

MAX_WEIGHT = 1 << 23
"""Weights from here on are left to multipliers: the solver works in float32."""

TILE_OUTPUTS = 128
TILE_INPUTS = 64
"""Largest matrix solved at once; the solver's time grows with more than its size."""


@dataclass(frozen=True)
class Step:
    """One adder: values[left] +- (values[right] << shift); a negative shift moves left instead."""

    left: int
    right: int
    shift: int
    subtract: bool


@dataclass(frozen=True)
class Result:
    """One output: +-(values[index] << shift), or zero where index is -1.

    A negative shift divides exactly.
    """

    index: int
    shift: int
    negative: bool


@dataclass(frozen=True)
class AdderGraph:
    """Adders that compute a product of a constant matrix.

    Members
    -------
    shifts : of the inputs, which are the first values
    steps : adders; each appends a value
    results : the outputs
    """

    shifts: tuple[int, ...]
    steps: tuple[Step, ...]
    results: tuple[Result, ...]

    @property
    def readers(self) -> Counter[int]:
        """How many adders and outputs read each value."""
        read = [value for step in self.steps for value in (step.left, step.right)]
        return Counter(read + [result.index for result in self.results])


def solve(
    matrix: NDArray[np.int64],
    bounds: tuple[tuple[int, int], ...],
    ready: tuple[float, ...],
    extra_depth: int,
) -> tuple[AdderGraph, ...]:
    """Return adder graphs, to be run one after the other, for matrix @ x.

    Parameters
    ----------
    matrix : (outputs, inputs)
    bounds : range of every input
    ready : when every input stands, in adders after the first
    extra_depth : adders in series beyond the fewest possible; more allow more sharing

    Raises ToolError where da4ml is not installed, or where what it gives is not the matrix.
    """
    return _solve(matrix.tobytes(), matrix.shape, bounds, ready, extra_depth)


@lru_cache(maxsize=512)
def _solve(
    matrix: bytes,
    shape: tuple[int, ...],
    bounds: tuple[tuple[int, int], ...],
    ready: tuple[float, ...],
    extra_depth: int,
) -> tuple[AdderGraph, ...]:
    try:
        from da4ml.cmvm import solve as da4ml_solve
    except ImportError:
        raise ToolError(
            "strategy 'shift_add' needs da4ml: pip install 'rnnrtl[shift-add]', "
            "or choose strategy='dsp'"
        ) from None
    kernel = np.frombuffer(matrix, dtype=np.int64).reshape(shape).T.astype(np.float32)
    # With intervals of a single number da4ml 0.6 may take one constant for another.
    some = [n for n, ends in enumerate(bounds) if any(ends)]  # the others are left out
    with_zero = tuple((min(low, 0), max(high, 0)) for low, high in bounds)
    for intervals in (bounds, with_zero):
        pipeline = da4ml_solve(
            np.ascontiguousarray(kernel),
            hard_dc=extra_depth,
            qintervals=[(float(low), float(high), 1.0) for low, high in intervals],
            latencies=list(ready),
            adder_size=1,
            carry_size=-1,
        )
        if np.array_equal(pipeline.kernel[some], kernel[some]):
            return tuple(_graph(stage) for stage in pipeline.solutions)
    raise ToolError(
        f"da4ml solved another matrix than the one it was given, of shape {shape}: choose "
        "strategy='dsp'"
    )


def _graph(stage: object) -> AdderGraph:
    inputs, _ = stage.shape  # type: ignore[attr-defined]
    steps = []
    for number, op in enumerate(stage.ops):  # type: ignore[attr-defined]
        if number < inputs:
            assert op.id1 == -1, "da4ml's first values are its inputs"
            continue
        assert op.opcode in (0, 1), "a constant matrix takes adders only"
        steps.append(Step(int(op.id0), int(op.id1), int(op.data), op.opcode == 1))
    results = tuple(
        Result(int(i), int(s), bool(n))
        for i, s, n in zip(
            stage.out_idxs,  # type: ignore[attr-defined]
            stage.out_shifts,  # type: ignore[attr-defined]
            stage.out_negs,  # type: ignore[attr-defined]
            strict=True,
        )
    )
    order = [int(op.id0) for op in stage.ops[:inputs]]  # type: ignore[attr-defined]
    assert order == list(range(inputs)), "da4ml's inputs come in order"
    return AdderGraph(tuple(int(s) for s in stage.inp_shifts), tuple(steps), results)  # type: ignore[attr-defined]


def tiles(outputs: int, inputs: int) -> Iterator[tuple[slice, slice]]:
    """Return the tiles of a matrix: slices of outputs and of inputs."""
    for row in range(0, outputs, TILE_OUTPUTS):
        for column in range(0, inputs, TILE_INPUTS):
            yield slice(row, row + TILE_OUTPUTS), slice(column, column + TILE_INPUTS)
