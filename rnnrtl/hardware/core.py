"""The core: a scheduled network behind two AXI4-Streams."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import fifo, memory, wiring
from amaranth.lib.wiring import In, Out

from rnnrtl.hardware.registers import Registers, shape_of
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.lut.table import Rom
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.schedule import Schedule, StateSchedule

# Read by all lanes in the cycle of the address, which no RAM block can do: without the attribute
# Yosys looks for one, and fails.
_IN_LOGIC = {"rom_style": "logic"}


class Core(wiring.Component):
    """A network as a static pipeline.

    Nothing in the datapath ever waits: a beat is accepted only when the loop will be free for it
    and when there is room for its result, and from then on everything happens in the cycle that
    the schedule says.

    Latency
        `schedule.latency_cycles` edges from the first beat accepted to the result valid.
    Throughput
        One time step every `schedule.beat_interval` cycles.

    Parameters
    ----------
    schedule : what to build
    input, output : how codes are packed on the two streams
    return_sequences : a result every step (True) or one a sequence (False)

    Members
    -------
    s_axis_* : In
        One beat a time step; `tlast` marks a sequence's last step.
    m_axis_* : Out
        One beat a result; `tlast` marks a sequence's last.
    """

    def __init__(
        self,
        schedule: Schedule,
        input: StreamFormat,  # noqa: A002 - the stream's name
        output: StreamFormat,
        *,
        return_sequences: bool,
    ) -> None:
        self.schedule = schedule
        self.input = input
        self.output = output
        self.return_sequences = return_sequences
        super().__init__(
            {
                "s_axis_tdata": In(input.beat_bits),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(output.beat_bits),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
            }
        )

    @property
    def result_slots(self) -> int:
        """Results that may be under way or waiting: enough that full speed never waits."""
        return (self.schedule.result_cycle + 3) // self.schedule.beat_interval + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accept = Signal()
        m.d.comb += accept.eq(self.s_axis_tvalid & self.s_axis_tready)
        beats = _Beats(m, accept, self.s_axis_tlast, self.schedule.result_cycle)
        _Datapath(m, self.schedule, self.input, self.s_axis_tdata, beats).build(
            result := Signal(self.output.beat_bits), self.output
        )

        produces = Const(1) if self.return_sequences else self.s_axis_tlast
        results = fifo.SyncFIFO(width=self.output.beat_bits + 1, depth=self.result_slots)
        name = "results"
        while name in {op.layer for op in self.schedule.ops}:  # a layer may be called that
            name += "_"
        m.submodules[name] = results
        last_only = not self.return_sequences
        m.d.comb += [
            results.w_data.eq(Cat(result, beats.last(self.schedule.result_cycle))),
            results.w_en.eq(beats.valid(self.schedule.result_cycle, last_only)),
            Cat(self.m_axis_tdata, self.m_axis_tlast).eq(results.r_data),
            self.m_axis_tvalid.eq(results.r_rdy),
            results.r_en.eq(self.m_axis_tready),
        ]

        # Accept a beat when the loop is free for it and its result is sure of a place.
        free_slots = Signal(range(self.result_slots + 1), init=self.result_slots)
        taken = Signal()
        given = Signal()
        m.d.comb += [
            taken.eq(accept & produces),
            given.eq(self.m_axis_tvalid & self.m_axis_tready),
        ]
        m.d.sync += free_slots.eq(free_slots - taken + given)
        if self.schedule.beat_interval == 1:
            m.d.comb += self.s_axis_tready.eq(free_slots.any())
            return m
        busy = Signal(range(self.schedule.beat_interval))
        with m.If(accept):
            m.d.sync += busy.eq(self.schedule.beat_interval - 1)
        with m.Elif(busy.any()):
            m.d.sync += busy.eq(busy - 1)
        m.d.comb += self.s_axis_tready.eq(~busy.any() & free_slots.any())
        return m


class _Beats:
    """Which cycles of the pipeline hold a beat, and whether it is its sequence's last."""

    def __init__(self, m: Module, accept: Value, last: Value, cycles: int) -> None:
        self._valid: list[Value] = [accept]  # index 0 is cycle -1, the one before the edge
        self._last: list[Value] = [last]
        for cycle in range(cycles + 1):
            valid = Signal(name=f"beat_{cycle}")
            tail = Signal(name=f"beat_{cycle}_last", reset_less=True)
            m.d.sync += [valid.eq(self._valid[-1]), tail.eq(self._last[-1])]
            self._valid.append(valid)
            self._last.append(tail)

    def valid(self, cycle: int, last_only: bool = False) -> Value:
        valid = self._valid[cycle + 1]
        return valid & self._last[cycle + 1] if last_only else valid

    def last(self, cycle: int) -> Value:
        return self._last[cycle + 1]


class _Datapath:
    """Every operation of a schedule as a signal, each layer in a module of its own."""

    def __init__(
        self, m: Module, schedule: Schedule, stream: StreamFormat, data: Value, beats: _Beats
    ) -> None:
        self._m = m
        self._schedule = schedule
        self._stream = stream
        self._data = data
        self._beats = beats
        self._layers: dict[str, Module] = {"": m}
        self._registers = Registers(schedule.beat_interval, self._module, beats.valid)
        self._values: dict[Op, Value] = {}
        self._since: dict[Op, int] = {}
        self._memories: dict[tuple[str, str, Rom], memory.Memory] = {}

    def build(self, result: Signal, stream: StreamFormat) -> None:
        """Drive `result` with the packed output in the schedule's result cycle."""
        for lane, op in enumerate(self._schedule.input):
            start = lane * self._stream.lane_bits
            code = self._data[start : start + self._stream.width].as_signed()
            self._values[op], self._since[op] = code, -1
        for state in self._schedule.states:
            self._add_state(state)
        for op in self._schedule.ops:
            if op not in self._values:
                self._add(op)
        for state in self._schedule.states:
            self._connect_state(state)
        cycle = self._schedule.result_cycle
        lanes = [self._at(op, cycle) for op in self._schedule.output]
        self._m.d.comb += result.eq(Cat(_extended(lane, stream.lane_bits) for lane in lanes))
        self._registers.connect()

    def _module(self, layer: str) -> Module:
        if layer not in self._layers:
            self._layers[layer] = self._m.submodules[layer] = Module()
        return self._layers[layer]

    def _at(self, op: Op, cycle: int) -> Value:
        if op.kind == "constant":
            return Const(op.lowest, shape_of(op))
        return self._registers.read(op, self._values[op], self._since[op], cycle)

    def _add(self, op: Op) -> None:
        operands = [self._at(operand, op.cycle) for operand in op.operands]
        signal = Signal(shape_of(op), name=op.name)
        if op.rom is not None:
            value = self._read(op, op.rom, operands[0])
        else:
            assert op.compute is not None
            value = op.compute(*operands)
        self._module(op.layer).d.comb += signal.eq(value)
        self._values[op], self._since[op] = signal, op.cycle

    def _read(self, op: Op, rom: Rom, m: Value) -> Value:
        """Return the output of one read port of the ROM that all lanes of a table share."""
        if len(rom.codes) == 1:  # a memory would have an address of no bits
            return Const(rom.codes[0], shape_of(op))
        key = (op.layer, op.title, rom)
        if key not in self._memories:
            shape = shape_of(Op("", "", min(rom.codes), max(rom.codes), (), None, 0, 0.0))
            self._memories[key] = table = memory.Memory(
                shape=shape, depth=len(rom.codes), init=rom.codes, attrs=_IN_LOGIC
            )
            names = self._module(op.layer).submodules
            title = f"{op.title}_table"
            taken = sum(k[:2] == key[:2] for k in self._memories) - 1
            names[f"{title}_{taken}" if taken else title] = table
        port = self._memories[key].read_port(domain="comb")
        bits = Cat(m[rom.dropped : rom.dropped + rom.low], m[rom.dropped + rom.low + rom.skipped :])
        self._module(op.layer).d.comb += port.addr.eq(bits)
        data: Value = port.data
        return data

    def _add_state(self, state: StateSchedule) -> None:
        for op, initial in zip(state.state, state.initial, strict=True):
            self._values[op] = Signal(shape_of(op), name=op.name, init=initial)
            self._since[op] = state.written - 1

    def _connect_state(self, state: StateSchedule) -> None:
        """Load a state register when its step ends; the last step leaves the initial state."""
        cycle = state.written - 1
        m = self._module(state.state[0].layer)
        with m.If(self._beats.valid(cycle)):
            for op, following, initial in zip(
                state.state, state.following, state.initial, strict=True
            ):
                value = Mux(self._beats.last(cycle), initial, self._at(following, cycle))
                m.d.sync += self._values[op].eq(value)


def _extended(code: Value, bits: int) -> Value:
    """Return a code extended to `bits`, by its sign where it has one."""
    missing = bits - len(code)
    sign = code[-1] if code.shape().signed else Const(0, 1)
    return Cat(code, sign.replicate(missing))
