"""Source, sink and monitor of an AXI4-Stream core, for Amaranth's simulator."""

import random
from collections import deque
from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple, NoReturn

import numpy as np
from amaranth.hdl import ClockDomain, Const
from numpy.typing import NDArray

from rnnrtl.errors import VerificationError
from rnnrtl.hardware.stream import StreamFormat


class Beat(NamedTuple):
    """An input beat: tdata, tlast, and what tuser says where the core has it.

    Members
    -------
    data, last : tdata and tlast
    first : the step begins from the initial state
    offers, states : the step begins from the states that the beat brings, and those
    """

    data: int
    last: bool
    first: bool
    offers: bool = False
    states: int = 0


class Bus:
    """Source, sink and monitor in one: everything that happens at a clock edge.

    A beat that waits for ready must stay as it is, and something must move. What the source drives
    while its beat is not valid is random. Amaranth's simulator knows no X.

    Attributes
    ----------
    context
        Of the testbench; set when it starts.
    phase : str
        What the errors say is being done.
    cycle : int
        Clock edges so far.
    accepted, delivered : list of int
        The cycles of the input and output beats since the last reset.
    source_pause, sink_pause : iterators of bool
        Whether to pause, cycle by cycle.
    watchdog_cycles : int
        So many cycles without a beat are a hang.
    """

    def __init__(
        self,
        component: Any,
        domain: ClockDomain,
        beats: int,
        interleave: int,
        output: StreamFormat,
        watchdog_cycles: int,
        state: StreamFormat | None = None,
    ) -> None:
        self.context: Any = None
        self.phase = ""
        self.cycle = 0
        self.queue: deque[Beat] = deque()
        self.accepted: list[int] = []
        self.delivered: list[int] = []
        self.frames: deque[NDArray[np.int64]] = deque()
        self.source_pause: Iterator[bool] = repeat(False)
        self.sink_pause: Iterator[bool] = repeat(False)
        self._core = component
        self._domain = domain
        self._user = getattr(component, "s_axis_tuser", None)
        self._state = state
        self._beats = beats
        self._interleave = interleave
        self._output = output
        self.watchdog_cycles = watchdog_cycles
        self._junk = random.Random(0)
        self._offering = False
        self._ready = False
        self._waiting: tuple[int, int, int] | None = None
        self._collected: list[tuple[int, int]] = []

    def fail(self, message: str) -> NoReturn:
        """End the simulation with an error."""
        raise VerificationError(f"amaranth, {self.phase}: {message}")

    def offer(self, burst: list[Beat]) -> None:
        """Queue a burst of beats."""
        self.queue.extend(burst)

    async def receive(self) -> NDArray[np.int64]:
        """Wait for the output of one burst: codes (beats, lanes), states after the results'."""
        moved, idle = (-1, -1), 0
        while not self.frames:
            await self.edge()
            counts = (len(self.accepted), len(self.delivered))
            # A sink that pauses holds the core up: that is no hang.
            idle = idle + 1 if counts == moved and self._waiting is None else 0
            moved = counts
            if idle > self.watchdog_cycles:
                self.fail(
                    f"no beat for {self.watchdog_cycles} cycles, after {counts[0]} input and "
                    f"{counts[1]} output beats: the core hangs or has lost a beat"
                )
        return self.frames.popleft()

    async def blocked(self, cycles: int) -> None:
        """Wait until the core has taken no input for so many cycles."""
        count, idle = len(self.accepted), 0
        while idle <= cycles:
            await self.edge()
            idle = idle + 1 if len(self.accepted) == count else 0
            count = len(self.accepted)

    async def quiet(self, cycles: int) -> None:
        """Check that the core gives nothing more in so many cycles."""
        count = len(self.delivered)
        for _ in range(cycles):
            await self.edge()
        if len(self.delivered) != count or self._waiting is not None:
            self.fail("an output beat came that belongs to no sequence")

    async def reset(self) -> None:
        """Reset the core at once, and forget everything that is under way."""
        self.queue.clear()
        self.context.set(self._core.s_axis_tvalid, 0)
        self.context.set(self._core.m_axis_tready, 0)
        self.context.set(self._domain.rst, 1)
        for _ in range(2):
            await self.context.tick()
            self.cycle += 1
        self.context.set(self._domain.rst, 0)
        self._offering = self._ready = False
        self._waiting = None
        for record in (self.frames, self.accepted, self.delivered, self._collected):
            record.clear()

    async def edge(self) -> None:
        """Let one clock edge pass: check and record what it transfers, then drive the next."""
        core, context = self._core, self.context
        _, _, ready, valid, data, last, user = await context.tick().sample(
            core.s_axis_tready,
            core.m_axis_tvalid,
            core.m_axis_tdata,
            core.m_axis_tlast,
            core.m_axis_tuser if self._state else Const(0),
        )
        self.cycle += 1
        if self._offering and ready:
            self.accepted.append(self.cycle)
            self._offering = False
        if valid:
            beat = (data, last, user)
            if self._waiting not in (None, beat):
                self.fail("m_axis_tdata, tlast or tuser changed while the beat waited for tready")
            self._waiting = None if self._ready else beat
            if self._ready:
                self._deliver(data, last, user)
        elif self._waiting is not None:
            self.fail("m_axis_tvalid fell before the beat was taken")

        if not self._offering:
            self._offering = bool(self.queue) and not next(self.source_pause)
            context.set(core.s_axis_tvalid, self._offering)
            if self._offering:
                self._drive(self.queue.popleft())
            else:
                self._drive_junk()
        self._ready = not next(self.sink_pause)
        context.set(core.m_axis_tready, self._ready)

    def _drive(self, beat: Beat) -> None:
        core, context = self._core, self.context
        context.set(core.s_axis_tdata, beat.data)
        context.set(core.s_axis_tlast, beat.last)
        if self._user is not None:
            bits = 0 if self._state is None else self._state.beat_bits + 1
            brought = beat.states | beat.offers << max(bits - 1, 0)
            context.set(self._user, brought | beat.first << bits)

    def _drive_junk(self) -> None:
        """Drive anything: what is not valid must not matter."""
        core = self._core
        signals = [core.s_axis_tdata, core.s_axis_tlast]
        for signal in signals if self._user is None else [*signals, self._user]:
            self.context.set(signal, self._junk.getrandbits(len(signal)))

    def _deliver(self, data: int, last: int, user: int) -> None:
        self.delivered.append(self.cycle)
        self._collected.append((data, user))
        if last != (len(self._collected) > self._beats - self._interleave):
            self.fail(
                f"tlast is {last} in output beat {len(self._collected)} of {self._beats} "
                "of a sequence"
            )
        if len(self._collected) == self._beats:
            words = zip(*self._collected, strict=True)
            forms = [self._output] if self._state is None else [self._output, self._state]
            try:
                codes = [_unpacked(word, form) for word, form in zip(words, forms, strict=False)]
            except VerificationError as error:
                self.fail(str(error))
            self.frames.append(np.concatenate(codes, axis=-1))
            self._collected.clear()


def _unpacked(words: tuple[int, ...], form: StreamFormat) -> NDArray[np.int64]:
    """Return the codes (beats, lanes) of words, a beat each."""
    raw = b"".join(word.to_bytes(form.beat_bytes, "little") for word in words)
    return form.unpack(np.frombuffer(raw, np.uint8).reshape(-1, form.beat_bytes))
