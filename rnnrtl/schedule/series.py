"""The schedule of stages in series, with memories before some of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnrtl.graph.memories import Memory, Queue
from rnnrtl.schedule.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Series(Schedule):
    """Stages that follow each other, each with cycles of its own; `ops` are those of all.

    Latency
        the sum of the stages' and memories', and for one before the first stage the beats before a
        sequence's last
    Initiation interval
        the largest of the stages', and the beats that a memory before the first takes; one plays a
        sequence or waits for it to be taken while it takes the next, and delays none

    Members
    -------
    parts : the schedules of the stages
    memories : the memory before each, if there is one
    """

    parts: tuple[Schedule, ...] = ()
    memories: tuple[Memory | None, ...] = ()

    @property
    def tail_cycles(self) -> int:
        """Edges from the one that accepts the last beat to the one at which the result is valid."""
        steps = self._steps()
        between = 1 if self.memories[0] else self.parts[0].slots * self.parts[0].beat_interval
        return self.latency_of(steps) - (steps - 1) * between

    def latency_of(self, steps: int) -> int:
        """Return `latency_cycles` for sequences of `steps` time steps."""
        latencies = [
            part.latency_of(n) for part, n in zip(self.parts, self._taken(steps), strict=True)
        ]
        filling = steps - 1 if self.memories[0] else 0
        return filling + sum(latencies) + sum(m.cycles for m in self.memories if m is not None)

    def interval_of(self, steps: int) -> int:
        """Return `initiation_interval` for sequences of `steps` time steps."""
        intervals = [
            part.interval_of(n) for part, n in zip(self.parts, self._taken(steps), strict=True)
        ]
        return max([*intervals, steps if self.memories[0] else 1])

    def _taken(self, steps: int) -> tuple[int, ...]:
        """Return how many steps each stage takes."""
        found = []
        for memory in self.memories:
            steps = (memory.steps_given(steps) if memory else steps) or 0
            found.append(steps)
        return tuple(found)


def in_series(
    parts: Sequence[Schedule], memories: Sequence[Memory | None], steps: int | None
) -> Series:
    """Return the schedule of stages in series."""
    first, last = parts[0], parts[-1]
    # What comes out of a queue comes once a sequence, and keeps no step waiting.
    each = [p for p, m in zip(parts, memories, strict=True) if not isinstance(m, Queue)]
    return Series(
        ops=tuple(op for part in parts for op in part.ops),
        input=first.input,
        output=last.output,
        states=tuple(state for part in parts for state in part.states),
        fed=tuple(fed for part in parts for fed in part.fed),
        beat_interval=max(part.beat_interval for part in each),
        last_interval=max(part.last_interval for part in each),
        slots=first.slots,
        step_cycles=max(part.step_cycles for part in parts),
        steps_per_beat=1,
        result_cycle=last.result_cycle,
        clock_mhz=first.clock_mhz,
        target=first.target,
        steps=steps,
        parts=tuple(parts),
        memories=tuple(memories),
    )
