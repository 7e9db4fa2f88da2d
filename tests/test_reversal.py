"""The memory that plays sequences from both ends, by itself: order, cycles, stalls, lengths."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from rnnrtl.graph.memories import Reversal
from rnnrtl.hardware.reversal import ReversalMemory

WIDTH = 5
BOTH = Reversal(3, (0, 2), (1, 2))
Beats = list[tuple[int, bool]]


def words(rng: random.Random, lengths: list[int]) -> list[list[list[int]]]:
    """Return random sequences (steps, lanes) of codes."""
    return [[[rng.getrandbits(WIDTH) for _ in range(3)] for _ in range(n)] for n in lengths]


def packed(lanes: list[int]) -> int:
    return sum(lane << (WIDTH * n) for n, lane in enumerate(lanes))


def played(sequence: list[list[int]], reversal: Reversal = BOTH) -> Beats:
    """Return the beats that a memory should give."""
    count = len(sequence)
    return [
        (
            packed(
                [sequence[t][n] for n in reversal.forwards]
                + [sequence[count - 1 - t][n] for n in reversal.backwards]
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
    offered = [(packed(w), w is s[-1]) for s in sequences for w in s]
    wanted = sum(map(len, sequences)) if beats is None else beats
    found: Beats = []
    taken: list[int] = []
    given: list[int] = []

    async def testbench(context: Any) -> None:
        cycle = 0
        while len(found) < wanted:
            here = len(taken) < len(offered) and not (stalls and stalls.random() < 0.5)
            word, last = offered[len(taken)] if here else (0, 1)
            context.set(memory.i.valid, here)
            context.set(memory.i.payload.word, word)
            context.set(memory.i.payload.last, last)
            ready = not (stalls and stalls.random() < 0.5)
            context.set(memory.o.ready, ready)
            _, _, accepts, valid, out, end = await context.tick().sample(
                memory.i.ready, memory.o.valid, memory.o.payload.word, memory.o.payload.last
            )
            cycle += 1
            if here and accepts:
                taken.append(cycle)
            if ready and valid:
                found.append((out, bool(end)))
                given.append(cycle)
            assert cycle < 50 * (len(offered) + 10), "it hangs"

    simulator = Simulator(memory)
    simulator.add_clock(10e-9)
    simulator.add_testbench(testbench)
    simulator.run()
    return found, taken, given


@pytest.mark.parametrize(
    "reversal", [BOTH, Reversal(3, (), (2, 0, 1)), Reversal(3, (1,), ()), Reversal(3, (0,), (0,))]
)
def test_what_is_played(reversal: Reversal) -> None:
    sequences = words(random.Random(1), [5, 5, 5])
    found, *_ = run(5, sequences, reversal=reversal)
    assert found == [beat for s in sequences for beat in played(s, reversal)]
    codes = reversal.played(np.array(sequences))  # what the reference does of it
    assert found == [(packed(list(w)), t == 4) for s in codes.tolist() for t, w in enumerate(s)]


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
