"""The operations of a schedule as signals."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from rnnrtl.hardware.beats import Beats
from rnnrtl.hardware.constants import Constants
from rnnrtl.hardware.multipliers import Multipliers
from rnnrtl.hardware.registers import Registers, extended, shape_of
from rnnrtl.hardware.roms import Roms
from rnnrtl.hardware.states import FedState, HeldState, SlotState, State
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.schedule import Schedule


class Datapath:
    """Every operation of a schedule as a signal, each layer in a module of its own."""

    def __init__(
        self,
        m: Module,
        schedule: Schedule,
        beats: Beats,
        multipliers: Multipliers,
        *,
        stateful: bool,
    ) -> None:
        self._m = m
        self._schedule = schedule
        self._beats = beats
        self._multipliers = multipliers
        self._stateful = stateful
        self._layers: dict[str, Module] = {"": m}
        self._registers = Registers(schedule, self._module, beats.valid)
        self._constants = Constants(beats)
        self._values: dict[Op, Value] = {}
        self._since: dict[Op, int] = {}
        self._roms = Roms(self._module)

    def take(self, ops: Sequence[Op], word: Value, stream: StreamFormat) -> None:
        """Let operations be the lanes of a beat that is accepted."""
        for lane, op in enumerate(ops):
            start = lane * stream.lane_bits
            width = min(op.width, stream.width)
            self._values[op], self._since[op] = word[start : start + width].as_signed(), -1

    def build(self) -> None:
        """Drive everything that the schedule has."""
        schedule = self._schedule
        states: list[State] = [
            SlotState(state, schedule.slots, schedule.beat_interval)
            if schedule.slots > 1
            else HeldState(state, stateful=self._stateful)
            for state in schedule.states
        ]
        states += [FedState(fed, schedule.last_interval) for fed in schedule.fed]
        described = schedule.states + schedule.fed
        for state, kept in zip(described, states, strict=True):
            for op, lane in zip(state.state, kept.lanes, strict=True):
                self._values[op], self._since[op] = lane, kept.since
        for op in self._schedule.ops:
            if op not in self._values:
                self._add(op)
        for state, kept in zip(described, states, strict=True):
            kept.connect(self._module(state.state[0].layer), self._beats, self._at)

    def give(self, ops: Sequence[Op], stream: StreamFormat) -> Value:
        """Return the word that operations make in the schedule's result cycle."""
        lanes = [self._at(op, self._schedule.result_cycle) for op in ops]
        return Cat(extended(lane, stream.lane_bits) for lane in lanes)

    def connect(self) -> None:
        """Load the registers and memories that were asked for."""
        self._registers.connect()
        self._constants.connect(self._module)

    def _module(self, layer: str) -> Module:
        if layer not in self._layers:
            self._layers[layer] = self._m.submodules[layer] = Module()
        return self._layers[layer]

    def _at(self, op: Op, cycle: int) -> Value:
        if op.kind == "constant":
            return Const(op.lowest, shape_of(op))
        return self._registers.read(op, self._values[op], self._since[op], cycle)

    def _add(self, op: Op) -> None:
        signal = Signal(shape_of(op), name=op.name)
        self._values[op], self._since[op] = signal, op.cycle
        m = self._module(op.layer)
        if op.values:
            self._constants.read(op, signal)
            return
        if op.select:
            self._choose(m, op, signal, [self._chosen(op, p) for p in range(op.phases)])
            return
        if op.rom is not None:
            m.d.comb += signal.eq(self._read(op))
            return
        operands = [self._operand(op, operand) for operand in op.operands]
        if op.carry is not None:
            carried = Signal(shape_of(op), name=f"{op.name}_carried")
            kept = self._registers.stream(op, signal, 1)
            m.d.comb += carried.eq(Mux(self._begins(op), operands[-1], op.carry(kept)))
            operands[-1] = carried
        if op in self._schedule.turns:
            value = self._multipliers.product(op, *operands)
        else:
            assert op.compute is not None
            value = op.compute(*operands)
        m.d.comb += signal.eq(value)

    def _read(self, op: Op) -> Value:
        """Return what a table gives."""
        if not op.block:
            return self._roms.read(op, self._operand(op, op.operands[0]), Const(1))
        # Later cycles read it from a register: the RAM's output stays, but takes longer to come.
        before = op.cycle - 1
        return self._roms.read(op, self._at(op.operands[0], before), self._beats.loads(before))

    def _operand(self, op: Op, operand: Op) -> Value:
        """Return what an operation reads of an operand, in all its phases."""
        if operand.phases > 1:
            # An operation of one phase reads the one that is due in its own cycle.
            delay = op.cycle - operand.cycle if op.phases > 1 else 0
            return self._registers.stream(operand, self._values[operand], delay)
        if operand.kind == "constant":
            return self._at(operand, op.cycle)
        values = [self._at(operand, op.cycle + phase) for phase in range(op.phases)]
        if all(value is values[0] for value in values):
            return values[0]
        # A register that holds until the next beat is followed by another one for what is late.
        held = Signal(shape_of(operand), name=f"{op.name}_{operand.name}")
        self._choose(self._module(op.layer), op, held, list(values))
        return held

    def _chosen(self, op: Op, phase: int) -> Value | None:
        """Return what a choice takes in a phase, or None where that is never read."""
        number = op.select[phase]
        return None if number is None else self._at(op.operands[number], op.cycle + phase)

    def _begins(self, op: Op) -> Value:
        """Whether an accumulator begins anew."""
        if not op.adds:
            return self._beats.valid(op.cycle, op.last_only)
        begins = Signal(name=f"{op.name}_begins")
        values = [Const(not add, 1) for add in op.adds]
        self._choose(self._module(op.layer), op, begins, list(values))
        return begins

    def _choose(self, m: Module, op: Op, signal: Signal, values: list[Value | None]) -> None:
        """Drive a signal with another value in each phase of an operation."""
        chosen: dict[int, tuple[int, Value]] = {}
        numbers: list[int] = []
        for value in values:
            if value is None:  # never read: as in the phase before
                numbers.append(numbers[-1] if numbers else 0)
                continue
            key = value.value if isinstance(value, Const) else -1 - id(value)
            numbers.append(chosen.setdefault(key, (len(chosen), value))[0])
        *others, (_, last) = chosen.values()
        if not others:
            m.d.comb += signal.eq(last)
            return
        with m.Switch(self._beats.selection(op.cycle, tuple(numbers), op.last_only)):
            for number, value in others:
                with m.Case(number):
                    m.d.comb += signal.eq(value)
            with m.Default():
                m.d.comb += signal.eq(last)
