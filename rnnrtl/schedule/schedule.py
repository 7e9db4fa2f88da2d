"""The schedule of a design: which operation in which cycle, and the figures that follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from rnnrtl.errors import ModelError
from rnnrtl.schedule import picture
from rnnrtl.schedule.delays import delays_of
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.sharing import Turn, edges_of

_IN_LOGIC = ("adder", "mirror", "magnitude", "rounding", "saturation", "relu", "choice")
"""Kinds of operations that take about a look-up table for each bit."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """When everything happens, for a time step's beat accepted at edge 0.

    A cycle is one edge of the clock to the next, or `edges_per_cycle` of them where products take
    turns on multipliers.

    Members
    -------
    ops : every operation with its cycle, operands first
    output : the lanes of the result
    states : state lanes -> (the lanes of what they become, the cycle from which that stands)
    fed : the vectors that return to an array for a dense layer, as if they were states
    beat_interval : least cycles between two beats
    last_interval : least cycles from a sequence's last beat to the next beat
    slots : independent sequences in flight, whose beats take turns
    step_cycles : length of the recurrence loop, h to next h (1 without a recurrence; on average
        where the steps of an unrolled network are not alike)
    steps_per_beat : time steps that one beat carries
    result_cycle : cycle in which the result of a step's beat is computed
    clock_mhz, target : what it was made for
    steps : time steps of a sequence, where known
    turns : products -> their turns on multipliers, where they share those
    ended : the lanes of the states after the step, where they are given out with the result
    """

    ops: tuple[Op, ...]
    input: tuple[Op, ...]
    output: tuple[Op, ...]
    states: tuple["StateSchedule", ...]
    fed: tuple["StateSchedule", ...]
    beat_interval: int
    last_interval: int
    slots: int
    step_cycles: int
    steps_per_beat: int
    result_cycle: int
    clock_mhz: float
    target: str
    steps: int | None = None
    turns: Mapping[Op, Turn] = field(default_factory=lambda: MappingProxyType({}))
    ended: tuple[Op, ...] = ()

    @cached_property
    def edges_per_cycle(self) -> int:
        """Clock edges in each cycle: as many as products take turns on a multiplier."""
        return edges_of(self.turns)

    @property
    def cycles_per_step(self) -> int:
        """Length of the recurrence loop, h to next h, in clock edges (1 without a recurrence)."""
        return self.step_cycles * self.edges_per_cycle

    @property
    def tail_cycles(self) -> int:
        """Edges from the one that accepts the last beat to the one at which the result is valid."""
        return (self.result_cycle + 1) * self.edges_per_cycle + 1

    @property
    def latency_cycles(self) -> int:
        """Edges from the one that accepts the first beat to the one that finds the result valid."""
        return self.latency_of(self._steps())

    @property
    def initiation_interval(self) -> int:
        """Edges between the first beats of two inferences offered back to back, on average.

        With several slots, so many sequences start one edge after the other, and then the next
        so many.
        """
        return self.interval_of(self._steps())

    def latency_of(self, steps: int) -> int:
        """Return `latency_cycles` for sequences of `steps` time steps."""
        beats = steps // self.steps_per_beat
        between = self.slots * self.beat_interval * self.edges_per_cycle
        return (beats - 1) * between + self.tail_cycles

    def interval_of(self, steps: int) -> int:
        """Return `initiation_interval` for sequences of `steps` time steps."""
        beats = steps // self.steps_per_beat
        return ((beats - 1) * self.beat_interval + self.last_interval) * self.edges_per_cycle

    @property
    def multipliers(self) -> int:
        """Multipliers in hardware."""
        if self.turns:
            return len({turn.multiplier for turn in self.turns.values()})
        return sum(op.kind == "product" for op in self.ops)

    @property
    def dsp(self) -> int:
        """DSP blocks that the multipliers take at most; synthesis makes narrow ones of logic."""
        blocks_of = delays_of(self.target).blocks
        sizes: dict[object, tuple[int, int]] = {}
        for op in self.ops:
            if op.kind == "product":
                a, b = op.operands
                # A constant has as many bits as it adds to the product.
                size = (a.width, op.width - a.width + 1 if b.kind == "constant" else b.width)
                unit = self.turns[op].multiplier if self.turns else op
                most = sizes.get(unit, (0, 0))
                sizes[unit] = (max(most[0], size[0]), max(most[1], size[1]))
        return sum(blocks_of(*size) for size in sizes.values())

    @property
    def area(self) -> float:
        """Rough size in look-up tables, where a DSP block is as many as devices have for each."""
        delays = delays_of(self.target)
        tables = sum(
            len(op.rom.codes) * op.width for op in self.ops if op.rom is not None and not op.block
        )
        logic = sum(op.width for op in self.ops if op.kind in _IN_LOGIC)
        block = delays.crowding.multiplier if delays.crowding else 0.0
        return tables / (1 << delays.lut_inputs) + logic + self.dsp * block

    @property
    def latency_us(self) -> float:
        """Latency at `clock_mhz`, in microseconds."""
        return self.latency_cycles / self.clock_mhz

    def table(self) -> str:
        """Return how many operations of each kind are in each cycle, as text."""
        return picture.table(self)

    def gantt(self) -> str:
        """Return a Gantt chart of one time step as text: operation, unit, cycle."""
        return picture.gantt(self)

    def svg(self) -> str:
        """Return the Gantt chart as an SVG file."""
        return picture.svg(self)

    def _steps(self) -> int:
        if self.steps is None:
            raise ModelError(
                "the number of time steps is not known, and latency and initiation interval depend "
                "on it: load(..., steps=20) or generate(..., steps=20), or ask "
                "schedule.latency_of(20)"
            )
        return self.steps


@dataclass(frozen=True, eq=False)
class StateSchedule:
    """One state vector.

    Members
    -------
    state : lanes that read it
    following : lanes of its next value
    initial : codes at the start of a sequence
    written : the cycle from whose start the next value stands in the register
    read : the first cycle that reads the present value
    keeps : whether the step leaves the value as it is; None where none does
    offered : lanes of the input from which a step may begin in its place; none where it may not
    """

    state: tuple[Op, ...]
    following: tuple[Op, ...]
    initial: tuple[int, ...]
    written: int
    read: int
    keeps: Op | None = None
    offered: tuple[Op, ...] = ()
