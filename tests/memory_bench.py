"""A memory between stages, alone in a simulator: beats in, beats out, and when."""

import random
from typing import Any

from amaranth.lib import wiring
from amaranth.sim import Simulator

Beats = list[tuple[int, bool]]
"""Words, and whether each ends a sequence."""


def packed(lanes: list[int], width: int) -> int:
    """Return lanes of so many bits as a word, the first in the low bits."""
    return sum(lane << (width * n) for n, lane in enumerate(lanes))


def run(
    memory: wiring.Component, offered: Beats, wanted: int, stalls: random.Random | None = None
) -> tuple[Beats, list[int], list[int]]:
    """Send beats through a memory; return what comes, and the cycles of input and output."""
    found: Beats = []
    taken: list[int] = []
    given: list[int] = []
    i, o = memory.i, memory.o

    async def testbench(context: Any) -> None:
        cycle = 0
        while len(found) < wanted:
            here = len(taken) < len(offered) and not (stalls and stalls.random() < 0.5)
            word, last = offered[len(taken)] if here else (0, True)
            context.set(i.valid, here)
            context.set(i.payload.word, word)
            context.set(i.payload.last, last)
            ready = not (stalls and stalls.random() < 0.5)
            context.set(o.ready, ready)
            _, _, accepts, valid, out, end = await context.tick().sample(
                i.ready, o.valid, o.payload.word, o.payload.last
            )
            cycle += 1
            if here and accepts:
                taken.append(cycle)
            if ready and valid:
                found.append((out, bool(end)))
                given.append(cycle)
            assert cycle < 50 * (len(offered) + min(wanted, 10)), "it hangs"

    simulator = Simulator(memory)
    simulator.add_clock(10e-9)
    simulator.add_testbench(testbench)
    simulator.run()
    return found, taken, given
