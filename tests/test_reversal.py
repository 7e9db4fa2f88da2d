"""The memory that plays sequences from both ends, by itself: order, cycles, stalls, lengths."""

import random

import numpy as np
import pytest

from rnnrtl.graph.memories import Reversal
from rnnrtl.hardware.reversal import ReversalMemory
from tests import memory_bench
from tests.memory_bench import Beats, packed

WIDTH = 5
BOTH = Reversal(3, (0, 2), (1, 2))


def words(rng: random.Random, lengths: list[int]) -> list[list[list[int]]]:
    """Return random sequences (steps, lanes) of codes."""
    return [[[rng.getrandbits(WIDTH) for _ in range(3)] for _ in range(n)] for n in lengths]


def played(sequence: list[list[int]], reversal: Reversal = BOTH) -> Beats:
    """Return the beats that a memory should give."""
    count = len(sequence)
    return [
        (
            packed(
                [sequence[t][n] for n in reversal.forwards]
                + [sequence[count - 1 - t][n] for n in reversal.backwards],
                WIDTH,
            ),
            t == count - 1,
        )
        for t in range(count)
    ]


def run(
    steps: int,
    sequences: list[list[list[int]]],
    *,
    reversal: Reversal = BOTH,
    stalls: random.Random | None = None,
    beats: int | None = None,
) -> tuple[Beats, list[int], list[int]]:
    """Send sequences through a memory; return the beats, and the cycles of input and output."""
    memory = ReversalMemory(reversal, WIDTH, steps)
    offered = [(packed(w, WIDTH), w is s[-1]) for s in sequences for w in s]
    wanted = sum(map(len, sequences)) if beats is None else beats
    return memory_bench.run(memory, offered, wanted, stalls)


@pytest.mark.parametrize(
    "reversal", [BOTH, Reversal(3, (), (2, 0, 1)), Reversal(3, (1,), ()), Reversal(3, (0,), (0,))]
)
def test_what_is_played(reversal: Reversal) -> None:
    sequences = words(random.Random(1), [5, 5, 5])
    found, *_ = run(5, sequences, reversal=reversal)
    assert found == [beat for s in sequences for beat in played(s, reversal)]
    codes = reversal.played(np.array(sequences))  # what the reference does of it
    assert found == [
        (packed(list(w), WIDTH), t == 4) for s in codes.tolist() for t, w in enumerate(s)
    ]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_full_speed(steps: int) -> None:
    """A beat at every edge, in and out, without a gap."""
    sequences = words(random.Random(2), [steps] * 6)
    found, taken, given = run(steps, sequences)
    assert found == [beat for s in sequences for beat in played(s)]
    assert given[0] - taken[steps - 1] == Reversal.cycles
    assert given == list(range(given[0], given[0] + 6 * steps))
    assert taken == list(range(taken[0], taken[0] + 6 * steps))


def test_random_stalls_and_lengths() -> None:
    rng = random.Random(3)
    sequences = words(rng, [rng.randint(1, 6) for _ in range(40)])
    found, *_ = run(6, sequences, stalls=rng)
    assert found == [beat for s in sequences for beat in played(s)]


def test_longer_sequence_harms_no_other() -> None:
    before, long, after = words(random.Random(4), [3, 9, 4])
    found, *_ = run(4, [before, long, after], beats=3 + 1 + 4)
    assert found[:3] == played(before)
    assert found[3][1], "9 beats in a memory of 4 leave one"
    assert found[4:] == played(after)
