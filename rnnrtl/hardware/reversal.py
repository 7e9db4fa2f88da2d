"""A memory that plays sequences from both ends at once."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rnnrtl.graph.memories import Reversal


class ReversalMemory(wiring.Component):
    """Two banks, each of which holds a sequence: one is filled while the other is played.

    Beat t of a sequence of T steps becomes the pair of words t and T - 1 - t, of each the lanes
    that are wanted. Each direction has a memory of its own, with one port to write and one to
    read, as block RAM has.

    Latency
        `Reversal.cycles` edges from a sequence's last beat in to its first
        beat out.
    Throughput
        One beat a cycle, without a gap between sequences.

    A sequence of more than `steps` beats, rounded up to a power of two, overwrites its own first
    words; the one after it is whole again.

    Parameters
    ----------
    reversal : which lanes are played in which direction
    width : bits of a lane
    steps : of the longest sequence

    Members
    -------
    i : In(stream.Signature(StructLayout({"word", "last"})))
        A step's lanes, the first in the low bits.
    o : Out(stream.Signature(StructLayout({"word", "last"})))
        The lanes from the first step on, then those from the last step on.
    """

    def __init__(self, reversal: Reversal, width: int, steps: int) -> None:
        self.reversal = reversal
        self.width = width
        self.steps = steps
        played = len(reversal.forwards) + len(reversal.backwards)
        super().__init__(
            {
                "i": In(stream.Signature(beat(reversal.lanes * width))),
                "o": Out(stream.Signature(beat(played * width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        filled = Signal(2)
        ends = [Signal(range(self.steps), name=f"end_{bank}") for bank in range(2)]
        fills, plays = Signal(2), Signal(2)  # which bank becomes full, and which free
        m.d.sync += filled.eq((filled | fills) & ~plays)

        bank, step = Signal(), Signal(range(self.steps))
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq(~filled.bit_select(bank, 1)),
            taken.eq(self.i.valid & self.i.ready),
        ]
        with m.If(taken):
            m.d.sync += step.eq(step + 1)
            with m.If(self.i.payload.last):
                m.d.comb += fills.eq(Mux(bank, 0b10, 0b01))
                m.d.sync += [bank.eq(~bank), step.eq(0)]
        for number, end in enumerate(ends):
            with m.If(fills[number]):
                m.d.sync += end.eq(step)

        from_bank, from_step = Signal(), Signal(range(self.steps))
        plays_on = Signal()
        end = Signal(range(self.steps))
        m.d.comb += [
            end.eq(Mux(from_bank, ends[1], ends[0])),
            plays_on.eq(filled.bit_select(from_bank, 1) & (~self.o.valid | self.o.ready)),
        ]
        with m.If(plays_on):
            m.d.sync += [
                from_step.eq(from_step + 1),
                self.o.payload.last.eq(from_step == end),
                self.o.valid.eq(1),
            ]
            with m.If(from_step == end):
                m.d.comb += plays.eq(Mux(from_bank, 0b10, 0b01))
                m.d.sync += [from_bank.eq(~from_bank), from_step.eq(0)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        words = []
        for name, lanes, address in (
            ("forwards", self.reversal.forwards, from_step),
            ("backwards", self.reversal.backwards, (end - from_step)[: len(end)]),
        ):
            if not lanes:
                continue
            kept = memory.Memory(
                shape=unsigned(len(lanes) * self.width), depth=2 << len(step), init=[]
            )
            m.submodules[name] = kept
            write, read = kept.write_port(), kept.read_port(domain="sync")
            m.d.comb += [
                write.addr.eq(Cat(step, bank)),
                write.data.eq(Cat(self._lane(lane) for lane in lanes)),
                write.en.eq(taken),
                read.addr.eq(Cat(address, from_bank)),
                read.en.eq(plays_on),
            ]
            words.append(read.data)
        m.d.comb += self.o.payload.word.eq(Cat(words))
        return m

    def _lane(self, number: int) -> Value:
        word: Value = self.i.payload.word
        return word[number * self.width : (number + 1) * self.width]


def beat(bits: int) -> data.StructLayout:
    """Return what a memory takes or gives at a time: a word, and whether a sequence ends."""
    return data.StructLayout({"word": unsigned(bits), "last": 1})
