"""The core: a scheduled network behind two AXI4-Streams."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from rnnrtl.hardware.beats import Beats, free_name
from rnnrtl.hardware.datapath import Datapath
from rnnrtl.hardware.multipliers import Multipliers
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.schedule.schedule import Schedule


def ports(
    source: StreamFormat,
    sink: StreamFormat,
    *,
    stateful: bool = False,
    state: StreamFormat | None = None,
) -> dict[str, wiring.Member]:
    """Return the two AXI4-Streams as members of a component."""
    user = stateful + (state.beat_bits + 1 if state else 0)
    return {
        "s_axis_tdata": In(source.beat_bits),
        "s_axis_tvalid": In(1),
        "s_axis_tready": Out(1),
        "s_axis_tlast": In(1),
        **({"s_axis_tuser": In(user)} if user else {}),
        "m_axis_tdata": Out(sink.beat_bits),
        "m_axis_tvalid": Out(1),
        "m_axis_tready": In(1),
        "m_axis_tlast": Out(1),
        **({"m_axis_tuser": Out(state.beat_bits)} if state else {}),
    }


class Core(wiring.Component):
    """A network as a static pipeline.

    Nothing in the datapath ever waits: a beat is accepted only when the loop will be free for it
    and when there is room for its result, and from then on everything happens in the cycle that
    the schedule says.

    Latency
        `schedule.latency_cycles` edges from the first beat accepted to the result valid.
    Throughput
        One time step every `schedule.beat_interval` cycles, a last one `schedule.last_interval`.
        Where products share multipliers a cycle is several clock edges, at the last of which the
        pipeline moves on.

    Parameters
    ----------
    schedule : what to build
    input, output : how codes are packed on the two streams
    return_sequences : a result every step (True) or one a sequence (False)
    stateful : whether states live on after `tlast`, until a beat says that it begins anew
    state : how states are packed on the two streams' side signals, where they go in and out

    Members
    -------
    s_axis_* : In
        One beat a time step; `tlast` marks a sequence's last step. `tuser` is, from its low bits
        on, with `state`: the states that the beat brings, and whether its step begins from them;
        where stateful: whether the step begins from the initial state.
    m_axis_* : Out
        One beat a result; `tlast` marks a sequence's last. With `state`, `tuser` is the states
        after the step that the result is of.
    """

    def __init__(
        self,
        schedule: Schedule,
        input: StreamFormat,  # noqa: A002 - the stream's name
        output: StreamFormat,
        *,
        return_sequences: bool,
        stateful: bool = False,
        state: StreamFormat | None = None,
    ) -> None:
        self.schedule = schedule
        self.input = input
        self.output = output
        self.return_sequences = return_sequences
        self.stateful = stateful
        self.state = state
        super().__init__(ports(input, output, stateful=stateful, state=state))

    @property
    def result_slots(self) -> int:
        """Results that may be under way or waiting: enough that full speed never waits."""
        return (self.schedule.result_cycle + 3) // self.schedule.beat_interval + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accept = Signal()
        m.d.comb += accept.eq(self.s_axis_tvalid & self.s_axis_tready)
        schedule, state = self.schedule, self.state
        layers = {op.layer for op in schedule.ops}
        edge, at_end, pipeline = self._cycles(m)
        beats = Beats(
            pipeline,
            accept,
            self.s_axis_tlast,
            schedule.result_cycle,
            schedule.slots,
            self.s_axis_tuser[-1] if self.stateful else None,
            self.s_axis_tuser[state.beat_bits] if state else None,
            schedule.beat_interval,
            layers,
        )
        multipliers = Multipliers(m, schedule.turns, edge, schedule.edges_per_cycle)
        datapath = Datapath(pipeline, schedule, beats, multipliers, stateful=self.stateful)
        datapath.take(schedule.input, self.s_axis_tdata, self.input)
        if state:
            offered = [op for kept in schedule.states for op in kept.offered]
            datapath.take(offered, self.s_axis_tuser, state)
        datapath.build()
        result = Signal(self.output.beat_bits)
        pipeline.d.comb += result.eq(datapath.give(schedule.output, self.output))
        words, given_out = [result], [self.m_axis_tdata]
        if state:
            ended = Signal(state.beat_bits)
            pipeline.d.comb += ended.eq(datapath.give(schedule.ended, state))
            words, given_out = [result, ended], [self.m_axis_tdata, self.m_axis_tuser]
        datapath.connect()
        multipliers.connect()

        produces = Const(1) if self.return_sequences else self.s_axis_tlast
        width = sum(map(len, words)) + 1
        results = fifo.SyncFIFO(width=width, depth=self.result_slots)
        m.submodules[free_name("results", layers)] = results
        last_only = not self.return_sequences
        m.d.comb += [
            results.w_data.eq(Cat(words, beats.last(self.schedule.result_cycle))),
            results.w_en.eq(at_end(beats.valid(self.schedule.result_cycle, last_only))),
            Cat(given_out, self.m_axis_tlast).eq(results.r_data),
            self.m_axis_tvalid.eq(results.r_rdy),
            results.r_en.eq(self.m_axis_tready),
        ]

        # Accept a beat when the loop is free for it and its result is sure of a place.
        free_slots = Signal(range(self.result_slots + 1), init=self.result_slots)
        taken = Signal()
        given = Signal()
        m.d.comb += [
            taken.eq(accept & produces),
            given.eq(self.m_axis_tvalid & self.m_axis_tready),
        ]
        m.d.sync += free_slots.eq(free_slots - taken + given)
        if schedule.last_interval == 1:
            m.d.comb += self.s_axis_tready.eq(at_end(free_slots.any()))
            return m
        busy = Signal(range(schedule.last_interval))
        waits = (schedule.beat_interval - 1, schedule.last_interval - 1)
        with m.If(accept):
            wait = waits[0] if waits[0] == waits[1] else Mux(self.s_axis_tlast, waits[1], waits[0])
            m.d.sync += busy.eq(wait)
        with m.Elif(at_end(busy.any())):
            m.d.sync += busy.eq(busy - 1)
        m.d.comb += self.s_axis_tready.eq(at_end(~busy.any() & free_slots.any()))
        return m

    def _cycles(self, m: Module) -> tuple[Value, Callable[[Value], Value], Module]:
        """Return which edge of its cycle it is, how to wait for the last, and what moves then."""
        edges = self.schedule.edges_per_cycle
        if edges == 1:
            return Const(0), lambda condition: condition, m
        edge = Signal(range(edges))
        cycle_ends = Signal()
        pipeline = Module()
        m.d.comb += cycle_ends.eq(edge == edges - 1)
        m.d.sync += edge.eq(Mux(cycle_ends, 0, edge + 1))
        name = free_name("pipeline", {op.layer for op in self.schedule.ops})
        m.submodules[name] = EnableInserter(cycle_ends)(pipeline)
        return edge, lambda condition: condition & cycle_ends, pipeline
