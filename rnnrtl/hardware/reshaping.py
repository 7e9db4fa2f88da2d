"""Memories that make one word of a sequence, and a sequence of one word."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rnnrtl.graph.memories import Gathering, Scattering
from rnnrtl.hardware.reversal import beat


class GatheringMemory(wiring.Component):
    """A shift register that gives all words of a sequence as one.

    Latency
        1 edge from a sequence's last beat in to its word out.
    Throughput
        One beat a cycle, without a gap between sequences where the word is taken at once.

    Parameters
    ----------
    memory : how many words of how many lanes
    width : bits of a lane

    Members
    -------
    i : In(stream.Signature(StructLayout({"word", "last"})))
        A step's lanes, the first in the low bits.
    o : Out(stream.Signature(StructLayout({"word", "last"})))
        The lanes of all steps, those of the first step in the low bits; `last` is always set.
    """

    def __init__(self, memory: Gathering, width: int) -> None:
        self._bits = memory.lanes * width
        self._steps = memory.steps
        super().__init__(
            {
                "i": In(stream.Signature(beat(self._bits))),
                "o": Out(stream.Signature(beat(self._bits * memory.steps))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = Signal(self._bits * self._steps, reset_less=True)
        full = Signal()
        m.d.comb += [
            self.o.payload.word.eq(words),
            self.o.payload.last.eq(1),
            self.o.valid.eq(full),
            self.i.ready.eq(~full | self.o.ready),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                words.eq(Cat(words, self.i.payload.word)[self._bits :]),
                full.eq(self.i.payload.last),
            ]
        return m


class ScatteringMemory(wiring.Component):
    """A register that gives lanes of a word step by step.

    Latency
        1 edge from a word in to its first step out.
    Throughput
        A step a cycle, without a gap between words.

    Parameters
    ----------
    memory : which lanes at each step
    width : bits of a lane

    Members
    -------
    i : In(stream.Signature(StructLayout({"word", "last"})))
        A word, the first lane in the low bits; `last` is of no account.
    o : Out(stream.Signature(StructLayout({"word", "last"})))
        The lanes of a step; `last` marks the last one.
    """

    def __init__(self, memory: Scattering, width: int) -> None:
        self._memory = memory
        self._width = width
        super().__init__(
            {
                "i": In(stream.Signature(beat(memory.lanes * width))),
                "o": Out(stream.Signature(beat(len(memory.order[0]) * width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        order, width = self._memory.order, self._width
        alike = len(set(order)) == 1
        # What is repeated stays where it is; anything else moves on, a step at a time.
        rows = order[:1] if alike else order
        lanes = [self.i.payload.word.word_select(n, width) for row in rows for n in row]
        kept = Signal(len(lanes) * width, reset_less=True)
        step, full = Signal(range(len(order))), Signal()
        given = len(self.o.payload.word)
        m.d.comb += [
            self.o.payload.word.eq(kept[:given]),
            self.o.payload.last.eq(step == len(order) - 1),
            self.o.valid.eq(full),
            self.i.ready.eq(~full | (self.o.ready & self.o.payload.last)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += step.eq(step + 1)
            if not alike:
                m.d.sync += kept.eq(kept[given:])
        with m.If(self.i.ready):
            m.d.sync += [step.eq(0), full.eq(self.i.valid), kept.eq(Cat(lanes))]
        return m
