"""What is simulated, and what a simulation measures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError
from rnnrtl.hardware.stream import StreamFormat

C = TypeVar("C", bound=np.generic)

#: Called with the number of sequences done and of all.
Progress = Callable[[int, int], None]

#: Bounds of how many sequences run under stalls: enough to fill a core's buffers, and enough.
_STALL_SEQUENCES = (6, 50)

#: Resets at random moments.
RESET_ROUNDS = 6

#: At least so many sequences, and so many beats, are offered back to back to find the steady state.
STEADY_SEQUENCES = 4
STEADY_BEATS = 32


@dataclass(frozen=True)
class Hardware:
    """A core in Verilog.

    Attributes
    ----------
    verilog : str
        The text of the file.
    top : str
        Name of the top module, which has the AXI4-Stream ports.
    input, output : StreamFormat
        How codes are packed on either side.
    return_sequences : bool
        Output beats as there are steps instead of one a sequence.
    interleave : int
        So many independent sequences take turns on the streams, beat by beat.
    stateful : bool
        States live on from burst to burst, until a beat is marked by `s_axis_tuser`.
    state : StreamFormat or None
        How states are packed on the side signals, where they go in and out.
    """

    verilog: str
    top: str
    input: StreamFormat
    output: StreamFormat
    return_sequences: bool
    interleave: int = 1
    stateful: bool = False
    state: StreamFormat | None = None


@dataclass(frozen=True)
class StateVectors:
    """States that go in and out beside the vectors of a core, in codes.

    Attributes
    ----------
    form : StreamFormat
        How they are packed.
    offers : array of bool, (batch, steps)
        Which steps begin from the states that their beats bring.
    offered : array of int64, (batch, steps, lanes)
        What the beats bring; what is not read may be anything.
    ended : array of int64, (batch, lanes) or (batch, steps, lanes)
        What is expected beside each result: the states after its step.
    """

    form: StreamFormat
    offers: NDArray[np.bool_]
    offered: NDArray[np.int64]
    ended: NDArray[np.int64]


@dataclass(frozen=True)
class Measurement:
    """What a simulation gave.

    Attributes
    ----------
    codes : array of int64
        The output at full speed, (batch, outputs) or (batch, steps, outputs). Nobody has compared
        it with the reference.
    latency_cycles : int
        Clock edges from the one that accepts the first input beat of a sequence to the one at which
        its last output beat is valid, on an idle core.
    initiation_interval : int
        Edges between the first input beats of two sequences offered back to back, in steady state.
    cycles : int
        Clock edges simulated in all.
    seconds : float
        Wall-clock time of the simulation, without building the model.
    states : array of int64, optional
        The states that came with the output, of the shape of `StateVectors.ended`.
    """

    codes: NDArray[np.int64]
    latency_cycles: int
    initiation_interval: int
    cycles: int
    seconds: float
    states: NDArray[np.int64] | None = None


def check_vectors(
    codes: NDArray[np.int64],
    expected: NDArray[np.int64],
    source: StreamFormat,
    sink: StreamFormat,
    return_sequences: bool,
    interleave: int = 1,
    clear: NDArray[np.bool_] | None = None,
    states: StateVectors | None = None,
) -> None:
    """Raise `InputError` unless the vectors have the shapes of the streams, and a sequence.

    `clear` (batch, steps) is for a stateful core, `states` for one where they go in and out. The
    first burst must begin anew, so that the vectors can be played again.
    """
    if codes.ndim != 3 or 0 in codes.shape or codes.shape[2] != source.lanes:
        raise InputError(
            f"input codes must have shape (batch, steps, {source.lanes}) with at least one "
            f"sequence and one step, not {codes.shape}"
        )
    batch, steps = codes.shape[:2]
    if batch % interleave:
        raise InputError(f"{batch} sequences are no multiple of the {interleave} that take turns")
    shape = (batch, output_beats(expected), sink.lanes) if return_sequences else (batch, sink.lanes)
    if expected.shape != shape or 0 in shape:
        raise InputError(f"expected codes must have shape {shape}, not {expected.shape}")
    if states is not None:
        _check_states(states, (batch, steps, states.form.lanes), shape[:-1])
    if clear is None:
        return
    _check_flags("clear", clear, (batch, steps))
    begins = clear if states is None else clear | states.offers
    if not begins[:interleave, 0].all():
        raise InputError("clear must be True for the first step of the first burst's sequences")


def output_beats(expected: NDArray[np.int64]) -> int:
    """Return how many output beats there are of each sequence (batch, beats, lanes), or one."""
    return expected.shape[1] if expected.ndim == 3 else 1


def _check_states(
    states: StateVectors, shape: tuple[int, int, int], results: tuple[int, ...]
) -> None:
    _check_flags("offers", states.offers, shape[:2])
    for name, codes, wanted in (
        ("offered", states.offered, shape),
        ("ended", states.ended, (*results, shape[2])),
    ):
        if codes.shape != wanted:
            raise InputError(f"{name} states must have shape {wanted}, not {codes.shape}")


def _check_flags(name: str, flags: NDArray[np.bool_], shape: tuple[int, ...]) -> None:
    if flags.dtype != np.bool_ or flags.shape != shape:
        raise InputError(
            f"{name} must be True and False of shape {shape}, not {flags.dtype} of shape "
            f"{flags.shape}"
        )


def back_to_back_sequences(batch: int, steps: int) -> int:
    """Return how many sequences to offer back to back, repeating the batch if it is too small."""
    return max(batch, STEADY_SEQUENCES, -(-STEADY_BEATS // steps))


def default_stall_sequences(batch: int) -> int:
    """Return how many sequences to run under stalls, where the caller names no number."""
    least, most = _STALL_SEQUENCES
    return min(max(batch, least), most)


def by_sequence(codes: NDArray[np.int64], interleave: int) -> NDArray[np.int64]:
    """Return codes (bursts, beats, lanes), in which sequences take turns, sequence by sequence."""
    bursts, _, lanes = codes.shape
    return codes.reshape(bursts, -1, interleave, lanes).transpose(0, 2, 1, 3)


def by_result(
    observed: NDArray[np.int64],
    expected: NDArray[np.int64],
    states: StateVectors | None,
    interleave: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return codes and states, in the shapes of what is expected, of bursts that have both."""
    lanes = expected.shape[-1]
    found = by_sequence(observed, interleave)
    codes = found[..., :lanes].reshape(expected.shape)
    return codes, None if states is None else found[..., lanes:].reshape(states.ended.shape)


def in_turn(codes: NDArray[C], interleave: int) -> NDArray[C]:
    """Return codes (sequences, beats, lanes) as bursts (bursts, beats, lanes), taking turns."""
    sequences, _, lanes = codes.shape
    bursts = sequences // interleave
    turns = codes.reshape(bursts, interleave, -1, lanes).transpose(0, 2, 1, 3)
    return turns.reshape(bursts, -1, lanes)


def whole_bursts(codes: NDArray[C], interleave: int) -> NDArray[C]:
    """Return codes (sequences, ...) with the first ones repeated up to a multiple."""
    if not len(codes):
        return codes
    missing = -len(codes) % interleave
    return codes[np.arange(len(codes) + missing) % len(codes)]
