"""What goes into a design's hardware, beat by beat, and what must come out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.program import States
from rnnrtl.streaming import Flags, as_flags

if TYPE_CHECKING:
    from rnnrtl.design import Design
    from rnnrtl.simulate import StateVectors

RANDOM_SEQUENCES = 8
RANDOM_STEPS = 10
"""Vectors where the caller gives none, and time steps where the network's are not known."""


class Offers(NamedTuple):
    """States that beats bring.

    Members
    -------
    offers : which steps begin from them, (sequences, steps)
    states : codes (sequences, steps, lanes); of the other steps they are not read
    """

    offers: Flags
    states: IntArray


class Vectors(NamedTuple):
    """What goes into the hardware, and what must come out.

    Members
    -------
    codes, expected : (sequences, beats, lanes of a beat); expected (sequences, lanes) with one
        result a sequence
    clear : of a stateful design: which steps begin from the initial state, (sequences, beats)
    states : of a design with `state_ports`: what goes in and out beside them
    """

    codes: NDArray[np.int64]
    expected: NDArray[np.int64]
    clear: Flags | None
    states: "StateVectors | None"


def vectors_of(
    design: "Design", codes: NDArray[np.int64], clear: object = None, offers: Offers | None = None
) -> Vectors:
    """Return input and expected codes beat by beat.

    Sequences are repeated until there are as many as take turns on the streams. `clear` is that
    of `Design.simulate`; by default no step begins from offered states. Raises InputError.
    """
    from rnnrtl.simulate import StateVectors, whole_bursts

    if design.options.mode == "unrolled" and codes.shape[1] != design.schedule.steps_per_beat:
        raise InputError(
            f"x has {codes.shape[1]} time steps, but the network is unrolled over "
            f"{design.schedule.steps_per_beat}"
        )
    clears = _clears(design, clear, codes.shape[:2], anew=offers is None)
    if offers is None and design.options.state_ports:
        offers = Offers(np.zeros(codes.shape[:2], dtype=bool), _any_states(design, codes))
    slots = design.schedule.slots
    codes = whole_bursts(codes, slots)
    if offers is not None:
        offers = Offers(*(whole_bursts(part, slots) for part in offers))
    if clears is not None:
        clears = whole_bursts(clears, slots).copy()
        clears[:slots, 0] |= True if offers is None else ~offers.offers[:slots, 0]
    if clears is None and offers is None:
        expected, ended = design.predict_codes(codes), None
    else:
        expected, ended = _played(design, codes, clears, offers)
    beats = codes.reshape(len(codes), -1, design.input_stream.lanes)
    if design.graph.return_sequences:
        expected = expected.reshape(len(codes), -1, design.output_stream.lanes)
    states = None
    if offers is not None and ended is not None and design.state_stream is not None:
        states = StateVectors(design.state_stream, *offers, ended)
    return Vectors(beats, expected, clears, states)


def _clears(design: "Design", clear: object, shape: tuple[int, ...], *, anew: bool) -> Flags | None:
    """Return which steps begin from the initial state; None where no state lives on.

    By default all sequences do, or none, as `anew` says.
    """
    if not design.network.stateful:
        if clear is not None:
            raise InputError(
                "clear is for a stateful design, generate(..., stateful=True): in this one "
                "every sequence begins from the initial state"
            )
        return None
    given = np.asarray(anew if clear is None else clear)
    if given.shape == shape:
        return as_flags(given, shape, "clear")
    flags = np.zeros(shape, dtype=bool)
    flags[:, 0] = as_flags(given, shape[:1], "clear")
    return flags


def offers_of(
    design: "Design",
    codes: IntArray,
    state: Mapping[str, Mapping[str, object]],
    clear: object,
) -> Offers:
    """Return what `state` of `Design.simulate` offers: to all sequences that do not begin anew.

    Raises InputError.
    """
    if not design.options.state_ports:
        raise InputError(
            "state is for a design whose states can be written, generate(..., state_ports=True)"
        )
    clears = _clears(design, clear, codes.shape[:2], anew=False)
    offers = np.zeros(codes.shape[:2], dtype=bool)
    offers[:, 0] = True if clears is None else ~clears[:, 0]
    given = design.stream(len(codes), state=state).state  # checked there
    states = _any_states(design, codes)
    states[:, 0] = design.states.joined(design.states.codes(given))
    return Offers(offers, states)


def _played(
    design: "Design", codes: IntArray, clears: Flags | None, offers: Offers | None
) -> tuple[IntArray, IntArray]:
    """Return output codes and the states that come with them, by the bit-exact reference."""
    forms, program, shape = design.states, design.program, codes.shape[:2]
    # Where no state lives on, sequences do not wait for each other.
    count = len(codes) if clears is None else design.schedule.slots
    initial = states = program.initial_states(count)
    clears = np.zeros(shape, dtype=bool) if clears is None else clears
    brings = clears if offers is None else offers.offers
    every = design.graph.return_sequences and offers is not None
    outputs, ends = [], []
    for first in range(0, len(codes), count):
        burst = slice(first, first + count)
        begins = (clears | brings)[burst].any(axis=0) | every
        starts = sorted({0, *np.flatnonzero(begins).tolist()})
        parts, after = [], []
        for start, end in zip(starts, [*starts[1:], shape[1]], strict=True):
            states = _where(clears[burst, start], initial, states)
            if offers is not None:
                brought = forms.parted(offers.states[burst, start])
                states = _where(brings[burst, start], brought, states)
            found, states = program.resumed(codes[burst, start:end], states)
            parts.append(found)
            after.append(forms.joined(states))
        outputs.append(np.concatenate(parts, axis=1) if parts[0].ndim == 3 else parts[-1])
        ends.append(np.stack(after, axis=1) if every else after[-1])
    return np.concatenate(outputs), np.concatenate(ends)


def _where(flags: Flags, ones: States, others: States) -> States:
    return {state: np.where(flags[:, None], ones[state], kept) for state, kept in others.items()}


def random_codes(design: "Design", sequences: int = RANDOM_SEQUENCES) -> IntArray:
    """Return seeded random input codes (sequences, steps, features) over the input format."""
    steps = design.network.steps or RANDOM_STEPS
    half = 1 << (design.graph.input_format.width - 1)
    generator = np.random.default_rng(0)
    shape = (sequences, steps, design.network.features)
    codes: IntArray = generator.integers(-half, half - 1, size=shape, endpoint=True)
    return codes


def random_clear(design: "Design", codes: IntArray) -> Flags | None:
    """Return seeded random steps (sequences, steps) that begin anew; None where no state lives on.

    It is the first step of every other sequence, and one step in eight.
    """
    if not design.network.stateful:
        return None
    clear: Flags = np.random.default_rng(1).random(codes.shape[:2]) < 1 / 8
    clear[::2, 0] = True
    return clear


def random_offers(design: "Design", codes: IntArray) -> Offers | None:
    """Return seeded random states for random steps; None where no beat brings any.

    It is the first step of two sequences in three, and one step in eight.
    """
    if not design.options.state_ports:
        return None
    offers: Flags = np.random.default_rng(2).random(codes.shape[:2]) < 1 / 8
    offers[1::3, 0] = offers[2::3, 0] = True
    return Offers(offers, _any_states(design, codes))


def _any_states(design: "Design", codes: IntArray) -> IntArray:
    """Return seeded random codes of states, (sequences, steps, lanes)."""
    generator = np.random.default_rng(3)
    shape = codes.shape[:2]
    parts = [
        generator.integers(node.lowest, node.highest, size=(*shape, node.size), endpoint=True)
        for node in design.states.nodes.values()
    ]
    return np.concatenate(parts, axis=-1)
