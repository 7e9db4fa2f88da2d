"""The tests: latency, back to back, random stalls, and reset at random moments.

The plusarg `+manifest=FILE` names the manifest; the vectors lie beside it, and the results go to
the working directory.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from .bus import BusError, Harness
from .vectors import Manifest, Results, Vectors


class Phase:
    """One test on a freshly reset core, with what it reads and writes."""

    def __init__(self, dut: Any, name: str) -> None:
        path = Path(str(cocotb.plusargs["manifest"]))
        self.manifest = Manifest.load(path)
        self.results = Results(Path.cwd(), self.manifest.total)
        blocked = self.results.blocking_failure
        if blocked is not None:
            raise BusError(f"not run, because an earlier test failed: {blocked}")
        self.vectors = Vectors(path.parent, self.manifest)
        self.selected = name in self.manifest.phases
        # Every phase has its own numbers, whichever others run.
        self.random = random.Random(f"{self.manifest.seed} {name}")
        self.core = Harness(dut, self.manifest, self.results, name)
        self._name = name

    def same_as_before(self, index: int, codes: NDArray[np.int64], why: str) -> None:
        """Check that sequence `index` gives the bits that it gave at full speed."""
        before = self.results.observed()
        reference = self.vectors.expected if before is None else before
        if not np.array_equal(codes, reference[index]):
            self.core.fail("state", f"sequence {index} gives other bits {why}")

    def check_bits(self, observed: NDArray[np.int64]) -> None:
        """Check bits against the reference; count and show what is wrong."""
        wrong = np.argwhere(observed != self.vectors.expected[: len(observed)])
        if len(wrong):
            index = tuple(wrong[0])
            lane, lanes = index[2], self.manifest.output.lanes
            which = f"lane {lane}" if lane < lanes else f"lane {lane - lanes} of the states"
            self.core.fail(
                "bits",
                f"{len(wrong)} of {observed.size} output codes are wrong, the first in sequence "
                f"{index[0]}, beat {index[1]}, {which}: {observed[index]} instead of "
                f"{self.vectors.expected[index]}",
            )

    def check_schedule(self, name: str, measured: int, predicted: int | None) -> None:
        """Check a measured number of cycles against the schedule's, where it is known."""
        if predicted is not None and measured != predicted:
            self.core.fail(
                "schedule", f"{name} is {measured} cycles, the schedule says {predicted}"
            )


@cocotb.test()
async def latency(dut: Any) -> None:
    """One sequence on an idle core: cycles from its first input beat to its last output beat."""
    phase = Phase(dut, "latency")
    if not phase.selected:
        return
    core = phase.core
    await core.start()
    core.offer(phase.vectors.frames(0, after_reset=True))
    codes = await core.receive()
    # Of the first sequence of the burst: its last output beat ends the first frame.
    measured = core.delivered[phase.manifest.output_frames[0] - 1] - core.accepted[0]
    await core.quiet(measured + 8)
    phase.results.save_observed(codes[np.newaxis])
    core.finish(latency_cycles=measured)
    phase.check_schedule("the latency", measured, phase.manifest.latency_cycles)
    phase.check_bits(codes[np.newaxis])


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """All sequences without a gap: their bits, and the initiation interval in steady state."""
    phase = Phase(dut, "back_to_back")
    if not phase.selected:
        return
    core, manifest = phase.core, phase.manifest
    await core.start()
    count = manifest.back_to_back_bursts
    for number in range(count):
        core.offer(phase.vectors.frames(number % manifest.bursts))
    observed = np.empty((manifest.bursts, *phase.vectors.expected.shape[1:]), np.int64)
    for number in range(count):
        codes = await core.receive()
        if number < manifest.bursts:
            observed[number] = codes
        elif not np.array_equal(codes, observed[number % manifest.bursts]):
            core.fail("state", f"sequence {number % manifest.bursts} gives other bits again")
    # The core may take sequences faster until its buffers are full, which may be many; as far apart
    # as results are, sequences go in from then on.
    beats = sum(manifest.output_frames)
    last_beats = core.delivered[beats - 1 :: beats]
    await core.quiet(64)
    alone = phase.results.observed()
    phase.results.save_observed(observed)
    if alone is not None and not np.array_equal(alone[0], observed[0]):
        core.fail("state", "sequence 0 gives other bits when more sequences follow it")
    spacings = np.diff(last_beats)[-max(2, (count - 1) // 2) :]
    if np.any(spacings != spacings[-1]):
        core.fail(
            "schedule",
            f"the initiation interval varies from {spacings.min()} to {spacings.max()} cycles",
        )
    interval, rest = divmod(int(spacings[-1]), manifest.interleave)
    if rest:
        core.fail("schedule", f"{spacings[-1]} cycles for {manifest.interleave} sequences")
    core.finish(initiation_interval=interval)
    phase.check_schedule("the initiation interval", interval, manifest.initiation_interval)
    phase.check_bits(observed)


@cocotb.test()
async def stalls(dut: Any) -> None:
    """Neither a blocked output nor random stalls on both sides change a bit."""
    phase = Phase(dut, "stalls")
    if not phase.selected:
        return
    core, manifest = phase.core, phase.manifest
    await core.start()
    interval = phase.results.values.get("initiation_interval") or manifest.steps
    indices = [k % manifest.bursts for k in range(manifest.stall_sequences)]
    # Fill every buffer first: random stalls alone may never do it.
    core.sink.pause = True
    for index in indices:
        core.offer(phase.vectors.frames(index))
    await core.blocked(
        2 * interval * manifest.interleave + (phase.results.values.get("latency_cycles") or 0) + 16
    )
    core.source.set_pause_generator(_stalls(phase.random, interval // manifest.steps))
    core.sink.set_pause_generator(_stalls(phase.random, interval // manifest.output_beats))
    for index in indices:
        phase.same_as_before(index, await core.receive(), "under stalls")
    core.source.clear_pause_generator()
    core.sink.clear_pause_generator()
    await core.quiet(64)
    core.finish()


@cocotb.test()
async def reset(dut: Any) -> None:
    """Reset at a random moment leaves nothing behind: the next sequence is clean."""
    phase = Phase(dut, "reset")
    if not phase.selected:
        return
    core, manifest = phase.core, phase.manifest
    await core.start()
    latency_cycles = phase.results.values.get("latency_cycles") or 4 * manifest.steps
    for number in range(manifest.reset_rounds):
        # Every other time the output waits for ready when the reset comes.
        core.sink.pause = number % 2 == 1
        for _ in range(2):
            core.offer(phase.vectors.frames(phase.random.randrange(manifest.bursts)))
        # In turn while the input comes in, and at any time up to the end of the second sequence.
        last = manifest.burst_beats if number % 4 == 0 else 2 * latency_cycles
        for _ in range(phase.random.randint(1, last)):
            await core.next_cycle()
        await core.reset()
        core.sink.pause = False
        index = phase.random.choice(phase.vectors.anew)
        core.offer(phase.vectors.frames(index, after_reset=True))
        phase.same_as_before(index, await core.receive(), "after a reset")
        await core.quiet(latency_cycles // 2 + 8)
    core.finish()


def _stalls(source: random.Random, long: int) -> Iterator[bool]:
    """Yield, cycle by cycle, whether to pause: often for one, now and then for long."""
    long = max(1, long)
    while True:
        for _ in range(source.choice((1, 1, 2, 3, source.randint(1, long), 4 * long))):
            yield True
        for _ in range(source.choice((1, 2, 3, 8, long))):
            yield False
