"""Sequences of different lengths in one run: `tlast` ends each of them."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from rnnrtl.design import Design
from rnnrtl.generation import generate
from rnnrtl.simulate.amaranth_bus import Beat, Bus
from tests.networks import dense, inputs, network, recurrent

LENGTHS = (3, 1, 5, 2, 1, 1, 4, 2)


class Recorder(Bus):
    """A bus that keeps what comes, however long the sequences are."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.found: list[tuple[int, int]] = []

    def _deliver(self, data: int, last: int, user: int) -> None:
        self.found.append((data, last))


def pauses(seed: int) -> Iterator[bool]:
    source = random.Random(seed)
    while True:
        yield source.random() < 0.4


def offered(design: Design, sequences: list[Any]) -> tuple[list[Beat], list[tuple[int, int]]]:
    """Return the beats of sequences that take turns, and what must come out of the core."""
    slots = design.schedule.slots
    waiting = [sequences[slot::slots] for slot in range(slots)]
    beats, wanted = [], []
    position = [(0, 0)] * slots
    slot = 0
    while any(number < len(waiting[n]) for n, (number, _) in enumerate(position)):
        number, step = position[slot]
        # A place whose sequences are all done plays its first one again.
        codes = waiting[slot][number % len(waiting[slot])]
        last = step == len(codes) - 1
        (word,) = design.input_stream.pack(codes[step : step + 1])
        beats.append(Beat(int.from_bytes(word, "little"), last, first=False))
        outputs = design.predict_codes(codes[None])
        if last or design.graph.return_sequences:
            result = outputs[0, step] if design.graph.return_sequences else outputs[0]
            packed = design.output_stream.pack(result[None])[0]
            wanted.append((int.from_bytes(packed, "little"), int(last)))
        position[slot] = (number + 1, 0) if last else (number, step + 1)
        slot = (slot + 1) % slots
    return beats, wanted


def run(design: Design, beats: list[Beat], count: int) -> list[tuple[int, int]]:
    core = design.core
    top = Module()
    top.domains.sync = domain = ClockDomain("sync")
    top.submodules.core = core
    bus = Recorder(core, domain, 1, 1, design.output_stream, 0)

    async def testbench(context: Any) -> None:
        bus.context = context
        await bus.reset()
        bus.source_pause, bus.sink_pause = pauses(1), pauses(2)
        bus.offer(beats)
        for _ in range(40 * len(beats) * design.schedule.cycles_per_step + 2000):
            if len(bus.found) < count:
                await bus.edge()
        await bus.quiet(20)

    simulator = Simulator(top)
    simulator.add_clock(10e-9)
    simulator.add_testbench(testbench)
    simulator.run()
    return bus.found


@pytest.mark.parametrize(
    ("mode", "reuse", "sequences", "masked"),
    [
        ("static", 1, False, False),
        ("static", 3, False, True),
        ("static", 2, True, False),
        ("interleaved", 1, False, True),
        ("interleaved", 2, True, False),
    ],
)
def test_lengths(mode: str, reuse: int, sequences: bool, masked: bool) -> None:
    net = network(recurrent("gru_after", 2, 3, sequences=sequences), dense(3, 2, "tanh"))
    if masked:
        net = net.replace(mask_value=-1.5)
    design = generate(net, "fixed<9,4>", mode=mode, reuse_factor=reuse)
    given = []
    for number, steps in enumerate(LENGTHS):
        x = inputs(net, 1, steps, seed=number)
        x[:, steps // 2 :: 2] = -1.5 if masked else x[:, steps // 2 :: 2]
        given.append(design.input_codes(x)[0])
    beats, wanted = offered(design, given)
    assert run(design, beats, len(wanted)) == wanted
