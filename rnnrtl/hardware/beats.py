"""Which beat is where in the pipeline."""

from collections.abc import Mapping, Set
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory

_FEW_CYCLES = 64
_FAR_APART = 8
"""A pipeline of more cycles, whose beats are so far apart, has a counter a beat, not a chain."""


def free_name(name: str, taken: Set[str]) -> str:
    """Return a name for a submodule that no layer has."""
    while name in taken:
        name += "_"
    return name


class _Tracking(Protocol):
    """Beats with what is known of each; cycle -1 is before the edge."""

    def valid(self, cycle: int) -> Value:
        """Whether a beat is in a cycle."""

    def known(self, name: str, cycle: int) -> Value:
        """Return what is known of the beat in a cycle, if there is one."""


class _Chain:
    """A register for every cycle of the pipeline."""

    def __init__(self, m: Module, accept: Value, known: Mapping[str, Value], cycles: int) -> None:
        self._chains = {
            name: self._delayed(m, value, f"_{name}", cycles) for name, value in known.items()
        }
        self._valid = self._delayed(m, accept, "", cycles, resets=True)

    @staticmethod
    def _delayed(
        m: Module, value: Value, suffix: str, cycles: int, *, resets: bool = False
    ) -> list[Value]:
        chain: list[Value] = [value]
        for cycle in range(cycles + 1):
            following = Signal(value.shape(), name=f"beat_{cycle}{suffix}", reset_less=not resets)
            m.d.sync += following.eq(chain[-1])
            chain.append(following)
        return chain

    def valid(self, cycle: int) -> Value:
        return self._valid[cycle + 1]

    def known(self, name: str, cycle: int) -> Value:
        return self._chains[name][cycle + 1]


class _Ages:
    """A counter for every beat that the pipeline may hold, the youngest first."""

    def __init__(
        self, m: Module, accept: Value, known: Mapping[str, Value], cycles: int, interval: int
    ) -> None:
        self._m = m
        self._accept = accept
        self._interval = interval
        self._found: dict[tuple[str, int], Signal] = {}
        count = cycles // interval + 1
        self._none = none = cycles + 1
        self._ages = [Signal(range(none + 1), init=none, name=f"age_{n}") for n in range(count)]
        self._known = {
            name: [value]
            + [Signal(value.shape(), name=f"age_{n}_{name}", reset_less=True) for n in range(count)]
            for name, value in known.items()
        }
        older = [Mux(age == none, none, age + 1) for age in self._ages]
        for n, age in enumerate(self._ages):
            m.d.sync += age.eq(Mux(accept, older[n - 1] if n else 0, older[n]))
        with m.If(accept):
            m.d.sync += [
                to.eq(value)
                for values in self._known.values()
                for to, value in zip(values[1:], values[:-1], strict=True)
            ]

    def _here(self, cycle: int) -> list[Value]:
        """Return for each beat that may be in a cycle whether it is."""
        assert cycle < self._none, "no beat is known to be there"
        # A beat that others follow is so many intervals older than the youngest at least.
        return [age == cycle for age in self._ages[: cycle // self._interval + 1]]

    def valid(self, cycle: int) -> Value:
        if cycle < 0:
            return self._accept
        if ("", cycle) not in self._found:
            self._found["", cycle] = found = Signal(name=f"beat_{cycle}")
            self._m.d.comb += found.eq(Cat(self._here(cycle)).any())
        return self._found["", cycle]

    def known(self, name: str, cycle: int) -> Value:
        if cycle < 0:
            return self._known[name][0]
        if (name, cycle) not in self._found:
            values = self._known[name][1:]
            self._found[name, cycle] = found = Signal(
                values[0].shape(), name=f"beat_{cycle}_{name}"
            )
            total: Value = Const(0, values[0].shape())
            for here, value in zip(self._here(cycle), values, strict=False):
                total = total | Mux(here, value, 0)
            self._m.d.comb += found.eq(total)
        return self._found[name, cycle]


class Beats:
    """What is known of the beat in each cycle of the pipeline; cycle -1 is before the edge.

    With several slots, the sequences that beats belong to take turns.

    Parameters
    ----------
    m : module to build in
    accept, last : whether a beat is taken at this edge, and whether its `tlast` is set
    cycles : the last cycle of the pipeline
    slots : independent sequences in flight
    clear : where states live on after `last`, whether the beat that is taken begins anew
    offers : where beats may bring states, whether the one that is taken begins from its own
    interval : least cycles between two beats
    taken : names of other submodules
    """

    def __init__(
        self,
        m: Module,
        accept: Value,
        last: Value,
        cycles: int,
        slots: int,
        clear: Value | None,
        offers: Value | None,
        interval: int,
        taken: Set[str],
    ) -> None:
        self._m = m
        self._taken = taken
        self._interval = interval
        self._phases: dict[tuple[int, int, bool], tuple[Value, Value]] = {}
        self._selections: dict[tuple[int, tuple[int, ...], bool], Value] = {}
        known = {"last": last}
        if clear is not None:
            known["first"] = clear
        if offers is not None:
            known["offers"] = offers
        if slots > 1:
            slot = Signal(range(slots))
            # Whether each sequence is at its start, the one whose turn it is first.
            starts = Signal(slots, init=(1 << slots) - 1)
            again = last if clear is None else Const(0)
            with m.If(accept):
                m.d.sync += [slot.eq(slot + 1), starts.eq(Cat(starts[1:], again))]
                with m.If(slot == slots - 1):
                    m.d.sync += slot.eq(0)
            first = starts[0] if clear is None else starts[0] | clear
            known |= {"slot": slot, "first": first}
        self._beats: _Tracking
        if cycles >= _FEW_CYCLES and interval >= _FAR_APART:
            self._beats = _Ages(m, accept, known, cycles, interval)
        else:
            self._beats = _Chain(m, accept, known, cycles)

    def valid(self, cycle: int, last_only: bool = False) -> Value:
        """Whether a beat is in `cycle` (and is its sequence's last)."""
        valid = self._beats.valid(cycle)
        return valid & self.last(cycle) if last_only else valid

    def loads(self, cycle: int) -> Value:
        """Return what enables a register that holds the beat of `cycle` until the next one.

        Where beats follow each other at every edge nothing is held.
        """
        return self.valid(cycle) if self._interval > 1 else Const(1)

    def phase(self, cycle: int, phases: int, last_only: bool = False) -> Value:
        """How many cycles ago a beat was in `cycle`, for as many cycles as `phases`."""
        return self._counter(cycle, phases, last_only)[1]

    def selection(self, cycle: int, numbers: tuple[int, ...], last_only: bool = False) -> Value:
        """Another number in each phase, from a register: what it selects does not wait for it."""
        if numbers == tuple(range(len(numbers))):
            return self.phase(cycle, len(numbers), last_only)
        key = (cycle, numbers, last_only)
        if key not in self._selections:
            table = memory.Memory(
                shape=unsigned(max(max(numbers).bit_length(), 1)),
                depth=len(numbers),
                init=numbers,
                attrs={"rom_style": "logic"},
            )
            name = f"selection_{cycle}_{len(self._selections)}"
            self._m.submodules[free_name(name, self._taken)] = table
            port = table.read_port(domain="sync")
            self._m.d.comb += port.addr.eq(self.coming_phase(cycle, len(numbers), last_only))
            self._selections[key] = port.data
        return self._selections[key]

    def coming_phase(self, cycle: int, phases: int, last_only: bool = False) -> Value:
        """Return what `phase` will be after the edge: the address of a memory with a register."""
        return self._counter(cycle, phases, last_only)[0]

    def _counter(self, cycle: int, phases: int, last_only: bool) -> tuple[Value, Value]:
        key = (cycle, phases, last_only)
        if key not in self._phases:
            phase = Signal(range(phases), name=f"phase_{cycle}")
            coming = Signal(range(phases), name=f"coming_phase_{cycle}")
            following = phase + 1
            if phases & (phases - 1):  # what it addresses has no more than so many words
                following = Mux(phase == phases - 1, phase, following)
            begins = self.valid(cycle - 1, last_only)
            self._m.d.comb += coming.eq(Mux(begins, 0, following))
            self._m.d.sync += phase.eq(coming)
            self._phases[key] = (coming, phase)
        return self._phases[key]

    def last(self, cycle: int) -> Value:
        """Whether the beat in `cycle` is its sequence's last."""
        return self._beats.known("last", cycle)

    def first(self, cycle: int) -> Value:
        """Whether the beat in `cycle` is its sequence's first.

        Known with several slots, or where states live on: there it is what the beat says of itself.
        """
        return self._beats.known("first", cycle)

    def offers(self, cycle: int) -> Value:
        """Whether the beat in `cycle` begins from states that it brings."""
        return self._beats.known("offers", cycle)

    def slot(self, cycle: int) -> Value:
        """Which of the sequences in flight the beat in `cycle` belongs to."""
        return self._beats.known("slot", cycle)
