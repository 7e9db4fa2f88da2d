"""The schedule of a design: which operation in which cycle, and the figures that follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from rnnrtl.errors import ModelError
from rnnrtl.graph.evaluate import plan
from rnnrtl.graph.trace import Graph, Loop
from rnnrtl.schedule import picture
from rnnrtl.schedule.array import candidates
from rnnrtl.schedule.delays import Delays, delays_of
from rnnrtl.schedule.expand import Choices, Expansion
from rnnrtl.schedule.linear import Sums
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.reuse import Reuse

_SPARES = (1, 0)  # adders in series that may buy fewer adders, where a loop has time for them
_FAR = 1000  # more cycles than what is between two loops takes


@dataclass(frozen=True, eq=False)
class Schedule:
    """When everything happens, for a time step's beat accepted at edge 0.

    Members
    -------
    ops : every operation with its cycle, operands first
    output : the lanes of the result
    states : state lanes -> (the lanes of what they become, the cycle from which that stands)
    fed : the vectors that return to an array for a dense layer, as if they were states
    beat_interval : least edges between two beats
    last_interval : least edges from a sequence's last beat to the next beat
    slots : independent sequences in flight, whose beats take turns
    cycles_per_step : length of the recurrence loop, h to next h, in clock edges (1 without a
        recurrence; on average where the steps of an unrolled network are not alike)
    steps_per_beat : time steps that one beat carries
    result_cycle : cycle in which the result of a step's beat is computed
    clock_mhz, target : what it was made for
    steps : time steps of a sequence, where known
    """

    ops: tuple[Op, ...]
    input: tuple[Op, ...]
    output: tuple[Op, ...]
    states: tuple["StateSchedule", ...]
    fed: tuple["StateSchedule", ...]
    beat_interval: int
    last_interval: int
    slots: int
    cycles_per_step: int
    steps_per_beat: int
    result_cycle: int
    clock_mhz: float
    target: str
    steps: int | None = None

    @property
    def tail_cycles(self) -> int:
        """Edges from the one that accepts the last beat to the one at which the result is valid."""
        return self.result_cycle + 2

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
        return (beats - 1) * self.slots * self.beat_interval + self.tail_cycles

    def interval_of(self, steps: int) -> int:
        """Return `initiation_interval` for sequences of `steps` time steps."""
        beats = steps // self.steps_per_beat
        return (beats - 1) * self.beat_interval + self.last_interval

    @property
    def multipliers(self) -> int:
        """Multipliers in hardware."""
        return sum(op.kind == "product" for op in self.ops)

    @property
    def dsp(self) -> int:
        """DSP blocks that the multipliers take at most; synthesis makes narrow ones of logic."""
        blocks = 0
        for op in self.ops:
            if op.kind == "product":
                first, *others = (operand.width for operand in op.operands)
                # A constant has as many bits as it adds to the product.
                blocks += delays_of(self.target).blocks(first, *others or [op.width - first + 1])
        return blocks

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
    """

    state: tuple[Op, ...]
    following: tuple[Op, ...]
    initial: tuple[int, ...]
    written: int
    read: int


def make_schedule(
    graph: Graph,
    *,
    clock_mhz: float,
    target: str,
    mode: str = "static",
    steps: int | None = None,
    steps_per_beat: int = 1,
    strategy: Callable[[str], str] = lambda layer: "dsp",
    balanced: bool = True,
    reuse: Mapping[str, Reuse] = MappingProxyType({}),
    weight_storage: str = "auto",
) -> Schedule:
    """Place every operation of a graph for a clock on a target.

    In mode "static" a beat waits for the loop. In mode "interleaved" the beats of independent
    sequences follow each other at every edge, as many sequences as the loop has stages; one
    stage more than in "static" is the memory that keeps their states apart. In mode "unrolled"
    the graph is that of a whole sequence. `strategy` says for each layer how its products by
    constants are made. Where `balanced`, sums that wait for no state take as many cycles as a
    step does, on less hardware (in mode "static": else all hardware works in every cycle).

    The products of the recurrent layers in `reuse` share multipliers in turns; so do, in mode
    "static", those of the dense layers after the last of them, once it is free. `weight_storage`
    says where weights that multipliers take in turn are: "logic", "block" or "auto".

    For each recurrent layer the earliest start is chosen that makes its loop as short as it can
    be: starting earlier would make the loop wait for the input's products at every step.
    """
    maker = _Maker(graph, delays_of(target), 1000 / clock_mhz)
    best, shortest = maker.fastest_loops(
        Choices(
            strategy,
            reuse=reuse,
            heads=maker.heads(reuse) if mode == "static" else None,
            weight_storage=weight_storage,
        )
    )
    loop = max(shortest.values(), default=1)
    # Sequences in flight take the units from each other as often as those are free.
    busy = max((r.cycles for r in reuse.values()), default=1)
    interleaved = mode == "interleaved" and bool(graph.loops)
    interval = busy if interleaved else loop
    if balanced and mode != "unrolled":
        best = replace(best, phases=interval)
    expansion = maker.earliest(best, shortest)
    if mode == "unrolled":
        expansion.postpone()
    states = tuple(_state_schedules(expansion, graph.loops))
    output = expansion.lanes[graph.output]
    # A result that weights of zero make constant still waits for the states of its step.
    result_cycle = max(*(op.cycle for op in output), *(s.written - 1 for s in states), 0)
    slots = -(-(loop + 1) // busy) if interleaved else 1
    cycles_per_step = slots * busy if interleaved else loop
    if mode == "unrolled":
        cycles_per_step = -(-result_cycle // steps_per_beat)
    heads = expansion.turns.heads
    return Schedule(
        ops=tuple(expansion.ops),
        input=expansion.lanes[graph.input],
        output=output,
        states=states,
        fed=tuple(
            StateSchedule(h.lanes, expansion.lanes[h.vector], (), h.lanes[0].cycle, 0)
            for h in heads
        ),
        beat_interval=interval,
        last_interval=max([interval, *(h.passed.end for h in heads)]),
        slots=slots,
        cycles_per_step=cycles_per_step,
        steps_per_beat=steps_per_beat,
        result_cycle=result_cycle,
        clock_mhz=clock_mhz,
        target=target,
        steps=steps,
    )


class _Maker:
    """Expands a graph again and again, until everything is as early as it can be."""

    def __init__(self, graph: Graph, delays: Delays, period: float) -> None:
        self._graph = graph
        self._plan = plan(graph)
        self._delays = delays
        self._period = period

    def _expanded(self, starts: Mapping[str, int], choices: Choices) -> Expansion:
        return Expansion(self._graph, self._plan, self._delays, self._period, starts, choices)

    def heads(self, reuse: Mapping[str, Reuse]) -> tuple[int, ...] | None:
        """Return a guess of when dense layers may use the array of the last recurrent layer.

        None where they cannot, or where nothing takes turns there.
        """
        last = reuse.get(self._graph.loops[-1].layer) if self._graph.loops else None
        count = len(candidates(self._graph, Sums(self._graph, self._plan.recurrent)))
        if last is None or not count:
            return None
        return tuple(2 * last.cycles * n for n in range(1, count + 1))

    def fastest_loops(self, plain: Choices) -> tuple[Choices, dict[str, int]]:
        """Return the choices that make the loops shortest, and the cycles that each takes."""
        loops = self._graph.loops
        if not loops:
            return replace(plain, spare=_SPARES[0]), {}
        # Each layer so far behind the one before it that nothing ahead of its loop is late.
        waiting = {loop.layer: _FAR * n for n, loop in enumerate(loops, start=1)}

        def lengths(expansion: Expansion) -> dict[str, int]:
            return {loop.layer: _interval(expansion, loop) for loop in loops}

        # Sums in turns have no adders to spare.
        spares = _SPARES if len(plain.reuse) < len(loops) else _SPARES[-1:]
        at_leisure = {s: self._expanded(waiting, replace(plain, spare=s)) for s in spares}
        found = {spare: lengths(expansion) for spare, expansion in at_leisure.items()}
        spare = min(spares, key=lambda s: max(found[s].values()))
        best, shortest = replace(plain, spare=spare), found[spare]
        for table in at_leisure[spare].tables_with_time():
            also = replace(best, blocks=best.blocks | {table})
            if lengths(self._expanded(waiting, also)) == shortest:
                best = also
        return best, shortest

    def earliest(self, choices: Choices, shortest: Mapping[str, int]) -> Expansion:
        """Return the expansion in which every loop, and then every dense layer, is earliest.

        Starting earlier would make a loop wait for the input's products at every step.
        """
        starts: dict[str, int] = {}
        for loop in self._graph.loops:
            start = 0
            while True:
                expansion = self._expanded({**starts, loop.layer: start}, choices)
                if _interval(expansion, loop) <= shortest[loop.layer]:
                    break
                start += 1
            starts[loop.layer] = start
        while True:
            expansion = self._expanded(starts, choices)
            expansion.finish()
            needed = expansion.turns.starts_needed()
            if needed == (choices.heads or ()):
                return expansion
            choices = replace(choices, heads=needed)


def _interval(expansion: Expansion, loop: Loop) -> int:
    return max(s.written - s.read for s in _state_schedules(expansion, (loop,)))


def _state_schedules(expansion: Expansion, loops: tuple[Loop, ...]) -> list[StateSchedule]:
    readers: Mapping[Op, int] = _first_reads(expansion.ops)
    found = []
    for loop in loops:
        for state, following in loop.states:
            lanes, ends = expansion.lanes[state], expansion.lanes[following]
            written = max(op.cycle for op in ends) + 1
            reads = [readers[op] for op in lanes if op in readers]
            found.append(
                StateSchedule(lanes, ends, state.initial, written, min(reads, default=written - 1))
            )
    return found


def _first_reads(ops: list[Op]) -> dict[Op, int]:
    first: dict[Op, int] = {}
    for op in ops:
        for operand in op.operands:
            if operand.kind == "state":
                first[operand] = min(first.get(operand, op.cycle), op.cycle)
    return first


__all__ = ["Schedule", "StateSchedule", "make_schedule"]
