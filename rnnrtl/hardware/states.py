"""Where a recurrent layer keeps its state from one time step to the next."""

from collections.abc import Callable
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory

from rnnrtl.hardware.beats import Beats
from rnnrtl.hardware.registers import shape_of
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.schedule import StateSchedule

At = Callable[[Op, int], Value]
"""(operation, cycle) -> its value in that cycle."""


class State(Protocol):
    """Where a vector is kept: its lanes, and the last cycle of a beat in which they stand."""

    lanes: tuple[Signal, ...]
    since: int

    def connect(self, m: Module, beats: Beats, at: At) -> None:
        """Drive the lanes."""


class HeldState:
    """A register for one sequence at a time.

    It loads when a step ends; the last step leaves the initial state, so that no multiplexer is
    in the loop. Where the state lives on, the initial one is loaded at the edge before a beat that
    begins anew reads it, which is at the earliest the one that ends the step before. So is a state
    that a beat brings.
    """

    def __init__(self, state: StateSchedule, *, stateful: bool) -> None:
        self._state = state
        self._stateful = stateful
        self.lanes = tuple(
            Signal(shape_of(op), name=op.name, init=initial)
            for op, initial in zip(state.state, state.initial, strict=True)
        )
        self.since = state.written - 1

    def connect(self, m: Module, beats: Beats, at: At) -> None:
        """Load the next state."""
        cycle, before = self._state.written - 1, self._state.read - 1
        lanes = list(zip(self.lanes, self._state.following, self._state.initial, strict=True))
        loads = beats.valid(cycle)
        if self._state.keeps is not None:
            kept = at(self._state.keeps, cycle)
            loads &= ~kept if self._stateful else ~kept | beats.last(cycle)
        with m.If(loads):
            for lane, following, initial in lanes:
                value = at(following, cycle)
                if not self._stateful:
                    value = Mux(beats.last(cycle), initial, value)
                m.d.sync += lane.eq(value)
        if self._stateful:
            # Last, so that at the same edge it counts.
            with m.If(beats.valid(before) & beats.first(before)):
                m.d.sync += [lane.eq(initial) for lane, _, initial in lanes]
        if self._state.offered:
            with m.If(beats.valid(before) & beats.offers(before)):
                m.d.sync += [
                    lane.eq(at(op, before))
                    for lane, op in zip(self.lanes, self._state.offered, strict=True)
                ]


class SlotState:
    """A memory with a place for every sequence in flight.

    It is written when a step ends and read in the cycle before the next step of that sequence
    needs it. A sequence's first step reads the initial state instead: a memory has no reset. Where
    steps may leave it as it is, a bit beside it says whether a step has written it since. A step
    that brings a state reads that.
    """

    def __init__(self, state: StateSchedule, slots: int, interval: int) -> None:
        self._state = state
        self._slots = slots
        self.lanes = tuple(
            Signal(shape_of(op), name=op.name, reset_less=True) for op in state.state
        )
        self.since = state.read + interval - 1

    def connect(self, m: Module, beats: Beats, at: At) -> None:
        """Write the next state and read the present one."""
        state = self._state
        masks = state.keeps is not None
        width = sum(len(lane) for lane in self.lanes) + masks
        name = f"{state.state[0].name.rsplit('_', 1)[0]}_slots"
        m.submodules[name] = kept = memory.Memory(shape=unsigned(width), depth=self._slots, init=[])
        write, read = kept.write_port(), kept.read_port(domain="comb")
        cycle = state.written - 1
        following = [Signal(shape_of(op), name=f"{op.name}_kept") for op in state.state]
        m.d.comb += [
            kept_lane.eq(at(op, cycle))
            for kept_lane, op in zip(following, state.following, strict=True)
        ]
        first = beats.first(state.read - 1)
        written, enable = Cat(following), beats.valid(cycle)
        if state.keeps is not None:
            keeps = at(state.keeps, cycle)
            written, enable = Cat(written, ~keeps), enable & (~keeps | beats.first(cycle))
            first |= ~read.data[-1]
        m.d.comb += [
            write.en.eq(enable),
            write.addr.eq(beats.slot(cycle)),
            write.data.eq(written),
            read.addr.eq(beats.slot(state.read - 1)),
        ]
        start = 0
        with m.If(beats.loads(state.read - 1)):
            for lane, initial in zip(self.lanes, state.initial, strict=True):
                value = read.data[start : start + len(lane)]
                m.d.sync += lane.eq(Mux(first, Const(initial, lane.shape()), value))
                start += len(lane)
        if state.offered:
            before = state.read - 1
            with m.If(beats.loads(before) & beats.offers(before)):
                m.d.sync += [
                    lane.eq(at(op, before))
                    for lane, op in zip(self.lanes, state.offered, strict=True)
                ]


class FedState:
    """A register for a vector of a sequence's last step, for the array to read.

    It stands until the next sequence's comes, at least as long as the array is busy with it.
    """

    def __init__(self, state: StateSchedule, interval: int) -> None:
        self._state = state
        self.lanes = tuple(
            Signal(shape_of(op), name=op.name, reset_less=True) for op in state.state
        )
        self.since = state.written + interval - 1

    def connect(self, m: Module, beats: Beats, at: At) -> None:
        """Load the vector."""
        cycle = self._state.written - 1
        with m.If(beats.valid(cycle, last_only=True)):
            m.d.sync += [
                lane.eq(at(op, cycle))
                for lane, op in zip(self.lanes, self._state.following, strict=True)
            ]
