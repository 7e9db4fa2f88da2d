"""A small core with AXI4-Stream ports for the tests of the simulators, whole or with one fault."""

from enum import Enum, auto
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Cat, Const, Instance, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.simulate import Hardware

LANES = 3
INPUT = StreamFormat(lanes=LANES, width=12)
OUTPUT = StreamFormat(lanes=LANES, width=20)

#: What `Fault.UNKNOWN` and `Fault.UNDRIVEN` instantiate.
UNKNOWN = "module unknown(output reg q); initial q = 1'bx; endmodule\n"
UNDRIVEN = "module unknown(output wire q); endmodule\n"


class Fault(Enum):
    """What is wrong with the core."""

    WRONG_BIT = auto()
    UNKNOWN = auto()
    BEAT_LOST_WHEN_FULL = auto()
    DATA_CHANGES_WHILE_WAITING = auto()
    VALID_FALLS_WHILE_WAITING = auto()
    STATE_SURVIVES_RESET = auto()
    OUTPUT_SURVIVES_RESET = auto()
    STATE_SURVIVES_SEQUENCE = auto()
    INTERVAL_VARIES = auto()
    HANGS = auto()
    NO_LAST = auto()
    NO_SIGN_EXTENSION = auto()
    EXTRA_BEAT = auto()


class RunningSum(wiring.Component):
    """Add up the steps of a sequence, lane by lane, with a queue of two beats at the output.

    Latency: `(steps - 1) * (gap + 1) + 1` cycles. Initiation interval: `steps * (gap + 1)`.
    """

    def __init__(
        self, *, return_sequences: bool = False, gap: int = 2, fault: Fault | None = None
    ) -> None:
        self._return_sequences = return_sequences
        self._gap = gap
        self._fault = fault
        super().__init__(
            {
                "s_axis_tdata": In(INPUT.beat_bits),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(OUTPUT.beat_bits),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        fault = self._fault
        bits, wide = INPUT.lane_bits, OUTPUT.lane_bits
        steps = [self.s_axis_tdata[bits * k : bits * k + bits].as_signed() for k in range(LANES)]
        kept = fault is Fault.STATE_SURVIVES_RESET
        sums = [Signal(signed(20), name=f"sum_{k}", reset_less=kept) for k in range(LANES)]
        totals = [Signal(signed(20), name=f"total_{k}") for k in range(LANES)]
        m.d.comb += [total.eq(a + b) for total, a, b in zip(totals, sums, steps, strict=True)]

        level = Signal(range(3), reset_less=fault is Fault.OUTPUT_SURVIVES_RESET)
        heads = [Signal(OUTPUT.beat_bits + 1, name=f"head_{k}") for k in range(2)]
        busy = Signal(range(self._gap + 3))
        sequences = Signal(2)
        take, give, push = Signal(), Signal(), Signal()
        room = level < 2 if fault is not Fault.BEAT_LOST_WHEN_FULL else Const(1)
        hung = sequences == 3 if fault is Fault.HANGS else Const(0)
        emit = self._return_sequences | self.s_axis_tlast
        m.d.comb += [
            self.s_axis_tready.eq((busy == 0) & room & ~hung),
            take.eq(self.s_axis_tvalid & self.s_axis_tready),
            give.eq(self.m_axis_tvalid & self.m_axis_tready),
            push.eq(take & emit & (level < 2)),
        ]
        with m.If(busy != 0):
            m.d.sync += busy.eq(busy - 1)
        with m.If(take):
            m.d.sync += busy.eq(self._gap)
            m.d.sync += [s.eq(t) for s, t in zip(sums, totals, strict=True)]
            with m.If(self.s_axis_tlast):
                m.d.sync += sequences.eq(sequences + 1)
                if fault is Fault.INTERVAL_VARIES:
                    m.d.sync += busy.eq(self._gap + sequences[0])
                if fault is not Fault.STATE_SURVIVES_SEQUENCE:
                    m.d.sync += [s.eq(0) for s in sums]

        beat = self._pack(totals, wide)
        remaining = Signal(range(3))
        m.d.comb += remaining.eq(level - give)
        m.d.sync += level.eq(remaining + push)
        with m.If(give):
            m.d.sync += heads[0].eq(heads[1])
        for k, head in enumerate(heads):
            with m.If(push & (remaining == k)):
                m.d.sync += head.eq(Cat(beat, self.s_axis_tlast))
        m.d.comb += [
            Cat(self.m_axis_tdata, self.m_axis_tlast).eq(heads[0]),
            self.m_axis_tvalid.eq(level != 0),
        ]
        self._break_output(m, heads[0], level)
        return m

    def _pack(self, totals: list[Signal], wide: int) -> Any:
        if self._fault is Fault.NO_SIGN_EXTENSION:
            return Cat(*(Cat(total, Const(0, wide - 20)) for total in totals))
        return Cat(*(Cat(total, total[-1].replicate(wide - 20)) for total in totals))

    def _break_output(self, m: Module, head: Signal, level: Signal) -> None:
        """Put the faults of the output side in."""
        waited = Signal()
        m.d.sync += waited.eq(self.m_axis_tvalid & ~self.m_axis_tready)
        if self._fault is Fault.WRONG_BIT:
            m.d.comb += self.m_axis_tdata[0].eq(~head[0])
        elif self._fault is Fault.UNKNOWN:
            unknown = Signal()
            m.submodules.unknown = Instance("unknown", o_q=unknown)
            m.d.comb += self.m_axis_tdata[5].eq(unknown)
        elif self._fault is Fault.DATA_CHANGES_WHILE_WAITING:
            m.d.comb += self.m_axis_tdata[0].eq(head[0] ^ (waited & ~self.m_axis_tready))
        elif self._fault is Fault.VALID_FALLS_WHILE_WAITING:
            m.d.comb += self.m_axis_tvalid.eq((level != 0) & ~waited)
        elif self._fault is Fault.NO_LAST:
            m.d.comb += self.m_axis_tlast.eq(0)
        elif self._fault is Fault.EXTRA_BEAT:
            done = Signal()
            with m.If(self.m_axis_tvalid & self.m_axis_tready & self.m_axis_tlast):
                m.d.sync += done.eq(level == 1)
            with m.Else():
                m.d.sync += done.eq(0)
            m.d.comb += self.m_axis_tvalid.eq((level != 0) | done)


def hardware(component: RunningSum, *, return_sequences: bool = False, more: str = "") -> Hardware:
    """Convert a core to Verilog; `more` is appended to the file."""
    text = verilog.convert(component, name="running_sum", emit_src=False, strip_internal_attrs=True)
    return Hardware(text + more, "running_sum", INPUT, OUTPUT, return_sequences)


def vectors(
    batch: int, steps: int, *, return_sequences: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return input codes (batch, steps, lanes), and what they add up to."""
    codes = np.random.default_rng(1).integers(-2048, 2048, (batch, steps, LANES))
    sums = np.cumsum(codes, axis=1)
    return codes, sums if return_sequences else sums[:, -1]
