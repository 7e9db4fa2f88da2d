"""A design in a simulator: what goes in, what must come out, and what was measured."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError, UnsupportedError
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.streaming import Flags, as_flags

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
    """

    outputs: NDArray[np.float64]
    latency_cycles: int
    initiation_interval: int
    bit_exact: bool
    cycles: int
    seconds: float


class Vectors(NamedTuple):
    """What goes into the hardware, and what must come out.

    Members
    -------
    codes, expected : (sequences, beats, lanes of a beat); expected (sequences, lanes) with one
        result a sequence
    clear : of a stateful design: which steps begin from the initial state, (sequences, beats)
    """

    codes: NDArray[np.int64]
    expected: NDArray[np.int64]
    clear: Flags | None


def vectors_of(design: "Design", codes: NDArray[np.int64], clear: object = None) -> Vectors:
    """Return input and expected codes beat by beat.

    Sequences are repeated until there are as many as take turns on the streams. `clear` is that
    of `Design.simulate`. Raises InputError.
    """
    from rnnrtl.simulate import whole_bursts

    if design.options.mode == "unrolled" and codes.shape[1] != design.schedule.steps_per_beat:
        raise InputError(
            f"x has {codes.shape[1]} time steps, but the network is unrolled over "
            f"{design.schedule.steps_per_beat}"
        )
    begins = _begins(design, clear, codes.shape[:2])
    slots = design.schedule.slots
    codes = whole_bursts(codes, slots)
    if begins is None:
        expected = design.predict_codes(codes)
    else:
        begins = whole_bursts(begins, slots).copy()
        begins[:slots, 0] = True
        stream = design.stream(slots)
        values = to_values(codes, design.graph.input_format)
        bursts = [slice(n, n + slots) for n in range(0, len(codes), slots)]
        outputs = [stream.predict(values[burst], begins[burst]) for burst in bursts]
        expected = to_codes(np.concatenate(outputs), design.graph.output_format)
    beats = codes.reshape(len(codes), -1, design.input_stream.lanes)
    if design.graph.return_sequences:
        expected = expected.reshape(len(codes), -1, design.output_stream.lanes)
    return Vectors(beats, expected, begins)


def _begins(design: "Design", clear: object, shape: tuple[int, ...]) -> Flags | None:
    """Return which steps begin from the initial state; None where no state lives on."""
    if not design.network.stateful:
        if clear is not None:
            raise InputError(
                "clear is for a stateful design, generate(..., stateful=True): in this one "
                "every sequence begins from the initial state"
            )
        return None
    given = np.asarray(True if clear is None else clear)
    if given.shape == shape:
        return as_flags(given, shape, "clear")
    flags = np.zeros(shape, dtype=bool)
    flags[:, 0] = as_flags(given, shape[:1], "clear")
    return flags


def simulate(
    design: "Design",
    x: object,
    simulator: SimulatorName,
    *,
    clear: object,
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
    vectors = vectors_of(design, offered, clear)
    if simulator == "amaranth":
        measured = in_amaranth(design, vectors, stalls=stalls, seed=seed, progress=progress)
    else:
        measured = run_verilog(
            design.hardware,
            vectors.codes,
            vectors.expected,
            simulator=simulator,
            clear=vectors.clear,
            stalls=stalls,
            seed=seed,
            progress=progress,
        )
    outputs = measured.codes[: len(offered)].reshape(design.predict_codes(offered).shape)
    return Simulation(
        to_values(outputs, design.graph.output_format),
        measured.latency_cycles,
        measured.initiation_interval,
        bool(np.array_equal(measured.codes, vectors.expected)),
        measured.cycles,
        measured.seconds,
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
        **options,
    )
