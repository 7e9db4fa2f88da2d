"""Run a core in Amaranth's own simulator, with the checks that the cocotb testbench does.

It is a second, independent bench: it shares no code with `sim/`, so that a mistake in one of them
shows as a difference between the simulators.
"""

import random
import time
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.simulate.amaranth_bus import Beat, Bus
from rnnrtl.simulate.measurement import (
    RESET_ROUNDS,
    Measurement,
    Progress,
    StateVectors,
    back_to_back_sequences,
    by_result,
    check_vectors,
    default_stall_sequences,
    in_turn,
    output_beats,
)

#: So many cycles without a beat are a hang, as long as the latency is not known.
_WATCHDOG_CYCLES = 20_000


def run_amaranth(
    component: wiring.Component,
    input: StreamFormat,  # noqa: A002 - the stream's name
    output: StreamFormat,
    return_sequences: bool,
    codes: NDArray[np.int64],
    expected: NDArray[np.int64],
    *,
    interleave: int = 1,
    clear: NDArray[np.bool_] | None = None,
    states: StateVectors | None = None,
    stalls: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    stall_sequences: int | None = None,
    reset_rounds: int = RESET_ROUNDS,
    watchdog_cycles: int | None = None,
) -> Measurement:
    """Simulate a component and measure it: alone, back to back, under random stalls, and reset.

    `component` has members named like the ports, `s_axis_tdata` to `m_axis_tlast`, and is clocked
    by the domain `sync`. The other parameters, the result and the errors are those of
    `run_verilog`; wrong bits do not raise.
    """
    check_vectors(codes, expected, input, output, return_sequences, interleave, clear, states)
    bursts = in_turn(codes, interleave)
    batch, steps = bursts.shape[:2]
    top = Module()
    top.domains.sync = domain = ClockDomain("sync")
    top.submodules.core = component
    beats = output_beats(expected) * interleave
    watchdog = watchdog_cycles or _WATCHDOG_CYCLES
    state = None if states is None else states.form
    bus = Bus(component, domain, beats, interleave, output, watchdog, state)
    frames = _frames(input, codes, interleave, clear, states)
    phases = _Phases(bus, frames, interleave, progress, stateful=clear is not None)
    back_to_back = back_to_back_sequences(batch, steps)
    stalled = default_stall_sequences(batch) if stall_sequences is None else stall_sequences
    stalled *= stalls
    phases.total = 1 + back_to_back + stalled + reset_rounds

    async def testbench(context: Any) -> None:
        bus.context = context
        await phases.measure_latency()
        if watchdog_cycles is None:
            bus.watchdog_cycles = 8 * phases.latency_cycles + 1000
        await phases.measure_interval(back_to_back)
        if stalled:
            await phases.stall(stalled, random.Random(f"{seed} stalls"))
        await phases.reset(reset_rounds, random.Random(f"{seed} reset"))

    simulator = Simulator(top)
    simulator.add_clock(10e-9)
    simulator.add_testbench(testbench)
    start = time.monotonic()
    simulator.run()
    found, ended = by_result(np.stack(phases.observed), expected, states, interleave)
    return Measurement(
        codes=found,
        latency_cycles=phases.latency_cycles,
        initiation_interval=phases.initiation_interval,
        cycles=bus.cycle,
        seconds=time.monotonic() - start,
        states=ended,
    )


def _frames(
    source: StreamFormat,
    codes: NDArray[np.int64],
    interleave: int,
    clear: NDArray[np.bool_] | None,
    states: StateVectors | None,
) -> list[list[Beat]]:
    """Return the beats of every burst."""
    flags = np.zeros(codes.shape[:2], np.bool_)
    steps = codes.shape[1]
    last = np.broadcast_to(np.arange(steps) == steps - 1, flags.shape)
    offers = flags if states is None else states.offers
    said = np.stack([last, flags if clear is None else clear, offers], axis=-1)
    data = source.pack(in_turn(codes, interleave))
    offered = np.zeros((*data.shape[:2], 1), np.uint8)
    if states is not None:
        offered = states.form.pack(in_turn(states.offered, interleave))
    return [
        [
            Beat(
                int.from_bytes(word, "little"),
                bool(ends),
                bool(first),
                bool(offers),
                int.from_bytes(brought, "little"),
            )
            for word, (ends, first, offers), brought in zip(*burst, strict=True)
        ]
        for burst in zip(data, in_turn(said, interleave), offered, strict=True)
    ]


class _Phases:
    """The four measurements, in order."""

    def __init__(
        self,
        bus: Bus,
        frames: list[list[Beat]],
        interleave: int,
        progress: Progress | None,
        *,
        stateful: bool,
    ) -> None:
        self.total = 0
        self.latency_cycles = 0
        self.initiation_interval = 0
        self.observed: list[NDArray[np.int64]] = []
        self._bus = bus
        self._frames = frames
        self._interleave = interleave
        self._progress = progress
        self._done = 0
        # Bursts whose sequences all begin anew; where no state lives on, that is all.
        self._anew = [
            index
            for index, beats in enumerate(frames)
            if not stateful or all(beat.first or beat.offers for beat in beats[:interleave])
        ]

    def _fresh(self, index: int) -> list[Beat]:
        """Return a burst without being told to begin anew: reset has done that."""
        burst, count = self._frames[index], self._interleave
        return [beat._replace(first=False) for beat in burst[:count]] + burst[count:]

    async def measure_latency(self) -> None:
        """Run one sequence on an idle core."""
        bus = self._bus
        await self._begin("latency")
        bus.offer(self._fresh(0))
        self.observed.append(await self._receive())
        # Of the first sequence of the burst; the others end one beat after the other.
        self.latency_cycles = bus.delivered[-self._interleave] - bus.accepted[0]
        await bus.quiet(self.latency_cycles + 8)

    async def measure_interval(self, count: int) -> None:
        """Run all sequences without a gap."""
        bus = self._bus
        await self._begin("back to back")
        for number in range(count):
            bus.offer(self._frames[number % len(self._frames)])
        for number in range(count):
            codes = await self._receive()
            if 0 < number < len(self._frames):
                self.observed.append(codes)
            else:
                self._same(number % len(self._frames), codes, "when more sequences follow it")
        await bus.quiet(64)
        # The core may take sequences faster until its buffers are full, which may be many; as far
        # apart as results are, sequences go in from then on.
        beats = len(bus.delivered) // count
        spacings = np.diff(bus.delivered[beats - 1 :: beats])[-max(2, (count - 1) // 2) :]
        if np.any(spacings != spacings[-1]):
            bus.fail(
                f"the initiation interval varies from {spacings.min()} to {spacings.max()} cycles"
            )
        self.initiation_interval, rest = divmod(int(spacings[-1]), self._interleave)
        if rest:
            bus.fail(f"{spacings[-1]} cycles for {self._interleave} sequences")

    async def stall(self, count: int, source: random.Random) -> None:
        """Run sequences with the output blocked, then under random stalls on both sides."""
        bus = self._bus
        await self._begin("stalls")
        interval = self.initiation_interval * self._interleave
        steps = len(self._frames[0])
        indices = [k % len(self._frames) for k in range(count)]
        # Fill every buffer first: random stalls alone may never do it.
        bus.sink_pause = repeat(True)
        for index in indices:
            bus.offer(self._frames[index])
        await bus.blocked(2 * interval + self.latency_cycles + 16)
        bus.source_pause = _stalls(source, interval // steps)
        bus.sink_pause = _stalls(source, interval // self.observed[0].shape[0])
        for index in indices:
            self._same(index, await self._receive(), "under stalls")
        bus.source_pause = bus.sink_pause = repeat(False)
        await bus.quiet(64)

    async def reset(self, rounds: int, source: random.Random) -> None:
        """Reset at random moments; the next sequence must be clean."""
        bus, frames = self._bus, self._frames
        await self._begin("reset")
        for number in range(rounds):
            # Every other time the output waits for ready when the reset comes.
            bus.sink_pause = repeat(number % 2 == 1)
            for _ in range(2):
                bus.offer(source.choice(frames))
            # In turn while the input comes in, and at any time of the two sequences.
            end = len(frames[0]) if number % 4 == 0 else 2 * self.latency_cycles
            for _ in range(source.randint(1, end)):
                await bus.edge()
            await bus.reset()
            bus.sink_pause = repeat(False)
            index = source.choice(self._anew)
            bus.offer(self._fresh(index))
            self._same(index, await self._receive(), "after a reset")
            await bus.quiet(self.latency_cycles // 2 + 8)

    async def _begin(self, phase: str) -> None:
        self._bus.phase = phase
        await self._bus.reset()

    async def _receive(self) -> NDArray[np.int64]:
        codes = await self._bus.receive()
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self.total)
        return codes

    def _same(self, index: int, codes: NDArray[np.int64], why: str) -> None:
        if not np.array_equal(codes, self.observed[index]):
            self._bus.fail(f"sequence {index} gives other bits {why}")


def _stalls(source: random.Random, long: int) -> Iterator[bool]:
    """Yield, cycle by cycle, whether to pause: often for one, now and then for long."""
    long = max(1, long)
    while True:
        pause = source.choice((1, 1, 2, 3, source.randint(1, long), 4 * long))
        yield from repeat(True, pause)
        yield from repeat(False, source.choice((1, 2, 3, 8, long)))
