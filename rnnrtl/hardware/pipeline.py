"""Cores in series, with memories of whole sequences before some of them."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring

from rnnrtl.graph.stages import Reversal, Stage
from rnnrtl.hardware.core import Core, ports
from rnnrtl.hardware.reversal import ReversalMemory
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.schedule.series import Series


class Pipeline(wiring.Component):
    """A network that reads sequences in reverse: a core a stage.

    Latency, throughput
        Those of `rnnrtl.schedule.series.Series`.

    Parameters
    ----------
    stages : the memory before each core, if there is one, and the core
    input, output : how codes are packed on the two streams
    steps : of the longest sequence, which the memories have room for

    Members
    -------
    Those of `Core`.
    """

    def __init__(
        self,
        stages: Sequence[tuple[Reversal | None, Core]],
        input: StreamFormat,  # noqa: A002 - the stream's name
        output: StreamFormat,
        steps: int,
    ) -> None:
        self._stages = tuple(stages)
        self._input = input
        self._steps = steps
        super().__init__(ports(input, output))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word: Value = self.s_axis_tdata
        valid, last, ready = self.s_axis_tvalid, self.s_axis_tlast, self.s_axis_tready
        form = self._input
        for number, (reversal, core) in enumerate(self._stages):
            if reversal is not None:
                memory = ReversalMemory(reversal, form.width, self._steps)
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
) -> Pipeline:
    """Return the cores of stages; between two of them codes stand side by side."""
    cores = []
    source = input
    for stage, part in zip(stages, schedule.parts, strict=True):
        graph = stage.graph
        if stage.reversal is not None:
            source = StreamFormat(graph.input.size, source.width, padded=False)
        sink = output
        if stage is not stages[-1]:
            sink = StreamFormat(graph.output.size, graph.output_format.width, padded=False)
        core = Core(part, source, sink, return_sequences=graph.return_sequences)
        cores.append((stage.reversal, core))
        source = sink
    assert schedule.steps is not None
    return Pipeline(cores, input, output, schedule.steps)
