"""Making a schedule: a graph is expanded anew until everything is as early as it can be."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from rnnrtl.graph.evaluate import plan
from rnnrtl.graph.graph import Graph, Loop
from rnnrtl.graph.masks import unmasked
from rnnrtl.schedule.array import candidates
from rnnrtl.schedule.delays import Delays, delays_of
from rnnrtl.schedule.expand import Choices, Expansion
from rnnrtl.schedule.linear import Sums
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.reuse import Reuse
from rnnrtl.schedule.schedule import Schedule, StateSchedule
from rnnrtl.schedule.sharing import edges_of, turns_of

_SPARES = (1, 0)  # adders in series that may buy fewer adders, where a loop has time for them
_SHARING = 4  # products that a multiplier is first planned for: choosing among more takes longer
_FAR = 1000  # more cycles than what is between two loops takes


def make_schedule(
    graph: Graph,
    *,
    clock_mhz: float,
    target: str,
    delays: Delays | None = None,
    mode: str = "static",
    steps: int | None = None,
    steps_per_beat: int = 1,
    strategy: Callable[[str], str] = lambda layer: "dsp",
    balanced: bool = True,
    reuse: Mapping[str, Reuse] = MappingProxyType({}),
    weight_storage: str = "auto",
    multipliers: int | None = None,
    interval: int = 1,
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
    says where weights that multipliers take in turn are: "logic", "block" or "auto". All products
    that are left share as many multipliers as `multipliers`, where that is given.

    For each recurrent layer the earliest start is chosen that makes its loop as short as it can
    be: starting earlier would make the loop wait for the input's products at every step.

    `interval` is the least of the cycles between two beats, where nothing sends them sooner; what
    has no loop takes so many.

    `delays` are used in place of the target's own (see `rnnrtl.schedule.crowding`).
    """
    maker = _Maker(graph, delays or delays_of(target), 1000 / clock_mhz)
    choices = Choices(
        strategy,
        reuse=reuse,
        heads=maker.heads(reuse) if mode == "static" else None,
        weight_storage=weight_storage,
        sharing=_SHARING if multipliers else 0,
    )
    interleaved = mode == "interleaved" and bool(graph.loops)
    # Sequences in flight take the units from each other as often as those are free.
    busy = max((r.cycles for r in reuse.values()), default=1)
    phases = None if mode == "unrolled" or not balanced else busy if interleaved else 0
    expansion, loop = maker.placed(choices, phases, interval)
    turns = turns_of(expansion.ops, multipliers)
    while edges_of(turns) > choices.sharing > 0:
        choices = replace(choices, sharing=edges_of(turns))
        expansion, loop = maker.placed(choices, phases, interval)
        turns = turns_of(expansion.ops, multipliers)
    if mode == "unrolled":
        expansion.postpone()
    states = tuple(_state_schedules(expansion, graph.loops))
    output = expansion.lanes[graph.output]
    ended = tuple(op for node in graph.ended for op in expansion.lanes[node])
    # A result that weights of zero make constant still waits for the states of its step.
    result_cycle = max(*(op.cycle for op in (*output, *ended)), *(s.written - 1 for s in states), 0)
    between = busy if interleaved else loop
    slots = -(-(loop + 1) // busy) if interleaved else 1
    step_cycles = slots * busy if interleaved else loop
    if mode == "unrolled":
        step_cycles = -(-result_cycle // steps_per_beat)
    heads = expansion.turns.heads
    return Schedule(
        ops=tuple(expansion.ops),
        input=expansion.lanes[graph.input],
        output=output,
        ended=ended,
        states=states,
        fed=tuple(
            StateSchedule(h.lanes, expansion.lanes[h.vector], (), h.lanes[0].cycle, 0)
            for h in heads
        ),
        beat_interval=between,
        last_interval=max([between, *(h.passed.end for h in heads)]),
        slots=slots,
        step_cycles=step_cycles,
        steps_per_beat=steps_per_beat,
        result_cycle=result_cycle,
        clock_mhz=clock_mhz,
        target=target,
        steps=steps,
        turns=turns,
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

    def placed(self, choices: Choices, phases: int | None, interval: int) -> tuple[Expansion, int]:
        """Return the whole graph, everything as early as can be, and the cycles of a loop.

        Sums that wait for no state take as many cycles as `phases` at most: with 0 as the loop
        does, with None one.
        """
        best, shortest = self.fastest_loops(choices)
        # Turns take their cycles also where weights of zero leave no loop.
        turns = [reuse.cycles for reuse in choices.reuse.values()]
        loop = max([interval, *shortest.values(), *turns])
        if phases is not None:
            best = replace(best, phases=phases or loop)
        return self.earliest(best, shortest), loop

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
        expansion = self._expanded(starts, choices)
        for loop in self._graph.loops:
            starts[loop.layer] = 0
            expansion = self._expanded(dict(starts), choices)
            while _interval(expansion, loop) > shortest[loop.layer]:
                starts[loop.layer] += 1
                expansion = self._expanded(dict(starts), choices)
        while True:
            expansion.finish()
            needed = expansion.turns.starts_needed()
            if needed == (choices.heads or ()):
                return expansion
            choices = replace(choices, heads=needed)
            expansion = self._expanded(starts, choices)


def _interval(expansion: Expansion, loop: Loop) -> int:
    # A state that only waits, as a window of what came in, may be written long before it is read.
    return max(1, *(s.written - s.read for s in _state_schedules(expansion, (loop,))))


def _state_schedules(expansion: Expansion, loops: tuple[Loop, ...]) -> list[StateSchedule]:
    readers: Mapping[Op, int] = _first_reads(expansion.ops)
    found = []
    for loop in loops:
        for state, following in loop.states:
            following, masked = unmasked(state, following)
            lanes, ends = expansion.lanes[state], expansion.lanes[following]
            keeps = expansion.lanes[masked] if masked else ()
            written = max(op.cycle for op in (*ends, *keeps)) + 1
            reads = [readers[op] for op in lanes if op in readers]
            # What only reads it after the loop, as of a window, may do so as soon as it stands.
            read = min(reads, default=lanes[0].cycle)
            offered = expansion.offered.get(state, ())
            kept = keeps[0] if keeps else None
            found.append(StateSchedule(lanes, ends, state.initial, written, read, kept, offered))
    return found


def _first_reads(ops: list[Op]) -> dict[Op, int]:
    first: dict[Op, int] = {}
    for op in ops:
        for operand in op.operands:
            if operand.kind == "state":
                first[operand] = min(first.get(operand, op.cycle), op.cycle)
    return first


__all__ = ["make_schedule"]
