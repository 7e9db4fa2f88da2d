"""The core in its test harness: clock, reset, AXI4-Stream bus models, and a monitor of the bus."""

import logging
import time
from typing import Any, NoReturn

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from numpy.typing import NDArray

from .vectors import Manifest, Results

_CLOCK_NS = 10
_RESET_CYCLES = 3


class BusError(AssertionError):
    """The core broke a rule of the bus, hangs, or gave wrong bits."""


class Harness:
    """A core with a source at its input, a sink at its output, and a monitor that never looks away.

    Every clock edge the monitor checks that valid, ready, and the data of a valid beat are known
    (no X or Z), that a beat that waits for ready stays as it is, and that something still moves. It
    records the cycle of every beat on either side.

    Attributes
    ----------
    cycle : int
        Clock edges so far.
    accepted, delivered : list of int
        The cycles of the input and output beats since the last reset.
    """

    def __init__(self, dut: Any, manifest: Manifest, results: Results, phase: str) -> None:
        self.dut = dut
        self.cycle = 0
        self.accepted: list[int] = []
        self.delivered: list[int] = []
        self._manifest = manifest
        self._results = results
        self._phase = phase
        self._in_reset = True
        self._expecting = False
        self._moved = 0
        # Verilator knows only 0 and 1, and there looking for X would cost most of the time.
        self._four_state = "verilator" not in cocotb.SIM_NAME.lower()
        self._before = (results.values["cycles"], results.values["seconds"])
        self._started = time.monotonic()
        # cocotbext-axi logs every frame, byte by byte, even where a reset is meant to drop it.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)

    async def start(self) -> None:
        """Start the clock, reset the core and connect the bus models."""
        Clock(self.dut.clk, _CLOCK_NS, unit="ns").start()
        # Low first: under -g2012 Icarus runs no `always @*` at time 0, so that a reset that is high
        # from the beginning would send X down the pipeline.
        self.dut.rst.value = 0
        await Timer(1, unit="ns")
        cocotb.start_soon(self._monitor())
        dut = self.dut
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        await self.reset()

    async def reset(self) -> None:
        """Reset the core at once, and forget everything that is under way."""
        self._in_reset = True
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, _RESET_CYCLES)
        self.dut.rst.value = 0
        self.source.clear()
        self.sink.clear()
        self.accepted.clear()
        self.delivered.clear()
        self._in_reset = False

    async def next_cycle(self) -> None:
        """Wait for the next clock edge."""
        await RisingEdge(self.dut.clk)

    def offer(self, frames: list[tuple[bytes, list[int]]]) -> None:
        """Queue one burst at the source: bytes, and tuser for each of them."""
        self._moved = self.cycle
        self._expecting = True
        for data, user in frames:
            self.source.send_nowait(AxiStreamFrame(data, tuser=user))

    async def blocked(self, cycles: int) -> None:
        """Wait until the core has taken no input for so many cycles."""
        while self.cycle - self._moved <= cycles:
            await self.next_cycle()

    async def receive(self) -> NDArray[np.int64]:
        """Wait for one burst's output: codes (output beats, lanes), states after the results'."""
        side, state, received, states = self._manifest.output, self._manifest.state, [], []
        for beats in self._manifest.output_frames:
            frame = await self.sink.recv(compact=False)
            data = bytes(frame.tdata)
            if len(data) != beats * side.beat_bytes:
                self.fail(
                    "protocol",
                    f"tlast came with output beat {len(data) // side.beat_bytes} of a sequence "
                    f"instead of beat {beats}",
                )
            received.append(data)
            # The sink tells tuser for each byte of tdata.
            states += frame.tuser[:: side.beat_bytes]
        self._results.sequence_done()
        try:
            codes = side.unpack(b"".join(received))
            if state is None:
                return codes
            size = state.beat_bytes
            brought = state.unpack(b"".join(value.to_bytes(size, "little") for value in states))
            return np.concatenate([codes, brought], axis=-1)
        except ValueError as error:
            self.fail("protocol", f"an output beat is packed wrongly: {error}")

    async def quiet(self, cycles: int) -> None:
        """Check that the core gives nothing more in so many cycles."""
        self._expecting = False
        count = len(self.delivered)
        self.sink.pause = False
        await ClockCycles(self.dut.clk, cycles)
        if len(self.delivered) != count or not self.sink.idle():
            self.fail("state", "an output beat came that belongs to no sequence")

    def finish(self, **values: Any) -> None:
        """Write what this phase measured."""
        cycles, seconds = self._before
        self._results.record(
            cycles=cycles + self.cycle,
            seconds=seconds + time.monotonic() - self._started,
            **values,
        )

    def fail(self, kind: str, message: str) -> NoReturn:
        """Record a failure of this phase, and end it."""
        self.finish()
        self._results.fail(self._phase, kind, message)
        raise BusError(message)

    async def _monitor(self) -> None:
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        s_valid, s_ready = dut.s_axis_tvalid, dut.s_axis_tready
        m_valid, m_ready = dut.m_axis_tvalid, dut.m_axis_tready
        given = [dut.m_axis_tlast, dut.m_axis_tdata]
        if self._manifest.state:
            given.append(dut.m_axis_tuser)
        watchdog = self._watchdog()
        waiting: list[str] | None = None
        while True:
            await edge
            self.cycle += 1
            if self._in_reset:
                waiting = None
                continue
            if self._four_state:
                self._check_known(s_ready, m_valid)
            if s_valid.value and s_ready.value:
                self.accepted.append(self.cycle)
                self._moved = self.cycle
            if m_valid.value:
                if self._four_state:
                    self._check_known(*given)
                ready = bool(m_ready.value)
                if waiting is not None or not ready:
                    beat = [str(signal.value) for signal in given]
                    if waiting is not None and beat != waiting:
                        self.fail(
                            "protocol",
                            "m_axis_tdata, tlast or tuser changed while the beat waited for tready",
                        )
                    waiting = None if ready else beat
                if ready:
                    self.delivered.append(self.cycle)
                    self._moved = self.cycle
            elif waiting is not None:
                self.fail("protocol", "m_axis_tvalid fell before the beat was taken")
            # A sink that pauses holds the core up: that is no hang.
            elif self._expecting and not self.sink.pause and self.cycle - self._moved > watchdog:
                self.fail(
                    "hang",
                    f"no beat for {watchdog} cycles, after {len(self.accepted)} input and "
                    f"{len(self.delivered)} output beats: the core hangs or has lost a beat",
                )

    def _watchdog(self) -> int:
        """Return the cycles without a beat after which the core counts as hung."""
        if self._manifest.watchdog_cycles is not None:
            return self._manifest.watchdog_cycles
        known = self._results.values.get("latency_cycles") or self._manifest.latency_cycles
        # Random stalls make no pause as long as this.
        return 20_000 if known is None else 8 * known + 1000

    def _check_known(self, *signals: Any) -> None:
        for signal in signals:
            value = str(signal.value)
            if not set(value) <= {"0", "1"}:
                self.fail("unknown", f"{signal._name} is {value} in cycle {self.cycle}")
