"""Which beat is where in the pipeline."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


class Beats:
    """What is known of the beat in each cycle of the pipeline; cycle -1 is before the edge.

    With several slots, the sequences that beats belong to take turns.

    Parameters
    ----------
    m : module to build in
    accept, last : whether a beat is taken at this edge, and whether its `tlast` is set
    cycles : the last cycle of the pipeline
    slots : independent sequences in flight
    """

    def __init__(self, m: Module, accept: Value, last: Value, cycles: int, slots: int) -> None:
        self._m = m
        self._phases: dict[tuple[int, int], Signal] = {}
        self._valid = self._delayed(m, accept, "", cycles, resets=True)
        self._last = self._delayed(m, last, "_last", cycles)
        self._slot: list[Value] = [Const(0)] * (cycles + 2)
        self._first: list[Value] = [Const(0)] * (cycles + 2)
        if slots > 1:
            slot = Signal(range(slots))
            # Whether each sequence is at its start, the one whose turn it is first.
            starts = Signal(slots, init=(1 << slots) - 1)
            with m.If(accept):
                m.d.sync += [slot.eq(slot + 1), starts.eq(Cat(starts[1:], last))]
                with m.If(slot == slots - 1):
                    m.d.sync += slot.eq(0)
            self._slot = self._delayed(m, slot, "_slot", cycles)
            self._first = self._delayed(m, starts[0], "_first", cycles)

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

    def valid(self, cycle: int, last_only: bool = False) -> Value:
        """Whether a beat is in `cycle` (and is its sequence's last)."""
        valid = self._valid[cycle + 1]
        return valid & self._last[cycle + 1] if last_only else valid

    def phase(self, cycle: int, phases: int) -> Value:
        """How many cycles ago a beat was in `cycle`, for as many cycles as `phases`."""
        width = (phases - 1).bit_length()
        if (cycle, width) not in self._phases:
            phase = Signal(width, name=f"phase_{cycle}")
            self._m.d.sync += phase.eq(Mux(self.valid(cycle - 1), 0, phase + 1))
            self._phases[cycle, width] = phase
        return self._phases[cycle, width]

    def last(self, cycle: int) -> Value:
        """Whether the beat in `cycle` is its sequence's last."""
        return self._last[cycle + 1]

    def first(self, cycle: int) -> Value:
        """Whether the beat in `cycle` is its sequence's first; known with several slots only."""
        return self._first[cycle + 1]

    def slot(self, cycle: int) -> Value:
        """Which of the sequences in flight the beat in `cycle` belongs to."""
        return self._slot[cycle + 1]
