"""Cores in series, with memories before some of them."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring

from rnnrtl.graph.memories import Gathering, Memory, Queue, Reversal, Scattering
from rnnrtl.graph.stages import Stage
from rnnrtl.hardware.core import Core, ports
from rnnrtl.hardware.reshaping import GatheringMemory, ScatteringMemory
from rnnrtl.hardware.reversal import ReversalMemory
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.schedule.series import Series


class Pipeline(wiring.Component):
    """A network that reads sequences in reverse or changes their steps: a core a stage.

    Latency, throughput
        Those of `rnnrtl.schedule.series.Series`.

    Parameters
    ----------
    stages : the memory before each core, if there is one, the steps of the longest sequence that it
        takes, and the core; a `Queue` is that of the results of the core before it
    input, output : how codes are packed on the two streams

    Members
    -------
    Those of `Core`.
    """

    def __init__(
        self,
        stages: Sequence[tuple[Memory | None, int | None, Core]],
        input: StreamFormat,  # noqa: A002 - the stream's name
        output: StreamFormat,
        *,
        stateful: bool = False,
    ) -> None:
        self._stages = tuple(stages)
        self._input = input
        self._stateful = stateful
        super().__init__(ports(input, output, stateful=stateful))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word: Value = self.s_axis_tdata
        valid, last, ready = self.s_axis_tvalid, self.s_axis_tlast, self.s_axis_tready
        form = self._input
        for number, (kept, steps, core) in enumerate(self._stages):
            if kept is not None and not isinstance(kept, Queue):
                memory = _built(kept, form.width, steps)
                m.submodules[f"memory_{number}"] = memory
                # Of padded lanes the codes alone.
                codes = [
                    word[start : start + form.width]
                    for start in range(0, form.beat_bits, form.lane_bits)
                ]
                m.d.comb += [
                    memory.i.payload.word.eq(Cat(codes)),
                    memory.i.payload.last.eq(last),
                    memory.i.valid.eq(valid),
                    ready.eq(memory.i.ready),
                ]
                word, last = memory.o.payload.word, memory.o.payload.last
                valid, ready = memory.o.valid, memory.o.ready
            m.submodules[f"stage_{number}"] = core
            if core.stateful:
                m.d.comb += core.s_axis_tuser.eq(self.s_axis_tuser)
            m.d.comb += [
                core.s_axis_tdata.eq(word),
                core.s_axis_tlast.eq(last),
                core.s_axis_tvalid.eq(valid),
                ready.eq(core.s_axis_tready),
            ]
            word, last = core.m_axis_tdata, core.m_axis_tlast
            valid, ready = core.m_axis_tvalid, core.m_axis_tready
            form = core.output
        m.d.comb += [
            self.m_axis_tdata.eq(word),
            self.m_axis_tlast.eq(last),
            self.m_axis_tvalid.eq(valid),
            ready.eq(self.m_axis_tready),
        ]
        return m


def in_stages(
    stages: Sequence[Stage],
    schedule: Series,
    input: StreamFormat,  # noqa: A002 - the stream's name
    output: StreamFormat,
    *,
    stateful: bool = False,
) -> Pipeline:
    """Return the cores of stages; between two of them codes stand side by side.

    Where states live on, all of them are in the first.
    """
    cores = []
    source, steps = input, schedule.steps
    for stage, part in zip(stages, schedule.parts, strict=True):
        graph = stage.graph
        if stage.memory is not None:
            source = StreamFormat(graph.input.size, source.width, padded=False)
        sink = output
        if stage is not stages[-1]:
            sink = StreamFormat(graph.output.size, graph.output_format.width, padded=False)
        lives_on = stateful and stage is stages[0]
        core = Core(part, source, sink, return_sequences=graph.return_sequences, stateful=lives_on)
        cores.append((stage.memory, steps, core))
        source, steps = sink, part.steps
    return Pipeline(cores, input, output, stateful=stateful)


def _built(
    memory: Memory, width: int, steps: int | None
) -> ReversalMemory | GatheringMemory | ScatteringMemory:
    """Return a memory in hardware, for lanes of so many bits and sequences of at most `steps`."""
    if isinstance(memory, Gathering):
        return GatheringMemory(memory, width)
    if isinstance(memory, Scattering):
        return ScatteringMemory(memory, width)
    assert isinstance(memory, Reversal)
    assert steps is not None
    return ReversalMemory(memory, width, steps)
