"""The schedule of stages in series, with memories of whole sequences before some of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnrtl.schedule.schedule import Schedule

MEMORY_CYCLES = 2
"""Edges from the one at which a memory takes a sequence's last beat to the one at which the core
behind it takes the first: a memory plays what it holds, and block RAM has a register.
"""


@dataclass(frozen=True, eq=False)
class Series(Schedule):
    """Stages that follow each other, each with cycles of its own; `ops` are those of all.

    Latency
        the sum of the stages', `MEMORY_CYCLES` a memory, and for one before the first stage the
        beats before a sequence's last
    Initiation interval
        the largest of the stages'; a memory holds two sequences, and delays none

    Members
    -------
    parts : the schedules of the stages
    memories : whether a memory stands before each
    """

    parts: tuple[Schedule, ...] = ()
    memories: tuple[bool, ...] = ()

    @property
    def tail_cycles(self) -> int:
        """Edges from the one that accepts the last beat to the one at which the result is valid."""
        steps = self._steps()
        between = 1 if self.memories[0] else self.parts[0].beat_interval
        return self.latency_of(steps) - (steps - 1) * between

    def latency_of(self, steps: int) -> int:
        """Return `latency_cycles` for sequences of `steps` time steps."""
        latencies = [part.latency_of(steps) for part in self.parts]
        filling = steps - 1 if self.memories[0] else 0
        return filling + sum(latencies) + MEMORY_CYCLES * sum(self.memories)

    def interval_of(self, steps: int) -> int:
        """Return `initiation_interval` for sequences of `steps` time steps."""
        return max(part.interval_of(steps) for part in self.parts)


def in_series(parts: Sequence[Schedule], memories: Sequence[bool]) -> Series:
    """Return the schedule of stages in series."""
    first, last = parts[0], parts[-1]
    return Series(
        ops=tuple(op for part in parts for op in part.ops),
        input=first.input,
        output=last.output,
        states=tuple(state for part in parts for state in part.states),
        fed=tuple(fed for part in parts for fed in part.fed),
        beat_interval=max(part.beat_interval for part in parts),
        last_interval=max(part.last_interval for part in parts),
        slots=1,
        step_cycles=max(part.step_cycles for part in parts),
        steps_per_beat=1,
        result_cycle=last.result_cycle,
        clock_mhz=first.clock_mhz,
        target=first.target,
        steps=first.steps,
        parts=tuple(parts),
        memories=tuple(memories),
    )
