"""A design in a simulator, and what was measured there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError, UnsupportedError
from rnnrtl.fixedpoint.exact import to_values
from rnnrtl.states import StateValues
from rnnrtl.vectors import Vectors, offers_of, vectors_of

if TYPE_CHECKING:
    from rnnrtl.design import Design
    from rnnrtl.simulate import Measurement, Progress

SimulatorName = Literal["amaranth", "icarus", "verilator"]
SIMULATORS: tuple[SimulatorName, ...] = ("amaranth", "icarus", "verilator")


@dataclass(frozen=True, eq=False)
class Simulation:
    """What the hardware gave in a simulator, all of it measured there.

    Members
    -------
    outputs : values on the output grid, of the shape that `Design.predict` gives
    latency_cycles : edges from the first beat accepted to the result valid, on an idle core
    initiation_interval : edges between two inferences offered back to back
    bit_exact : whether every output code equals the reference's
    cycles : clock cycles simulated
    seconds : wall-clock time, building the simulator's model left out
    state : the states that came with each sequence's last result, as `Design.simulate` takes them,
        layer -> state -> values (batch, units); None where the design does not give them out
    """

    outputs: NDArray[np.float64]
    latency_cycles: int
    initiation_interval: int
    bit_exact: bool
    cycles: int
    seconds: float
    state: StateValues | None = None


def simulate(
    design: "Design",
    x: object,
    simulator: SimulatorName,
    *,
    clear: object,
    state: Mapping[str, Mapping[str, object]] | None,
    stalls: bool,
    seed: int,
    progress: "Progress | None",
) -> Simulation:
    """Do what `Design.simulate` says."""
    from rnnrtl.simulate import run_verilog

    if simulator not in SIMULATORS:
        raise UnsupportedError(f"unknown simulator {simulator!r}, known: {', '.join(SIMULATORS)}")
    offered = design.input_codes(x)
    if not len(offered):
        raise InputError("x holds no sequence: a simulation needs at least one sequence")
    offers = None if state is None else offers_of(design, offered, state, clear)
    vectors = vectors_of(design, offered, clear, offers)
    if simulator == "amaranth":
        measured = in_amaranth(design, vectors, stalls=stalls, seed=seed, progress=progress)
    else:
        measured = run_verilog(
            design.hardware,
            vectors.codes,
            vectors.expected,
            simulator=simulator,
            clear=vectors.clear,
            states=vectors.states,
            stalls=stalls,
            seed=seed,
            progress=progress,
        )
    outputs = measured.codes[: len(offered)].reshape(design.predict_codes(offered).shape)
    exact = np.array_equal(measured.codes, vectors.expected)
    ended = None
    if measured.states is not None and vectors.states is not None:
        exact &= np.array_equal(measured.states, vectors.states.ended)
        last = measured.states[: len(offered)]
        last = last[:, -1] if last.ndim == 3 else last
        ended = design.states.values(design.states.parted(last))
    return Simulation(
        to_values(outputs, design.graph.output_format),
        measured.latency_cycles,
        measured.initiation_interval,
        exact,
        measured.cycles,
        measured.seconds,
        ended,
    )


def in_amaranth(design: "Design", vectors: Vectors, **options: Any) -> "Measurement":
    """Run the hardware on vectors in Amaranth's simulator; options are those of `run_amaranth`."""
    from rnnrtl.simulate import run_amaranth

    return run_amaranth(
        design.core,
        design.input_stream,
        design.output_stream,
        design.graph.return_sequences,
        vectors.codes,
        vectors.expected,
        interleave=design.schedule.slots,
        clear=vectors.clear,
        states=vectors.states,
        **options,
    )
