"""Pipeline registers: any value of a schedule, in any cycle that something needs it."""

from collections import defaultdict
from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned

from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.schedule import Schedule


def shape_of(op: Op) -> Shape:
    """Return the tightest shape of an operation's value."""
    return signed(op.width) if op.lowest < 0 else unsigned(op.width)


def extended(code: Value, bits: int) -> Value:
    """Return a code extended to `bits`, by its sign where it has one."""
    missing = bits - len(code)
    sign = code[-1] if code.shape().signed else Const(0, 1)
    return Cat(code, sign.replicate(missing))


class Registers:
    """Holds values from the cycle of their computation to the cycles of their use.

    A beat's value is loaded when its beat passes, not at every clock, and so it stands until the
    next beat, at least `interval` cycles later: a value that lives for n cycles takes
    ceil(n / interval) registers. What is read in the next cycle only is loaded at every clock:
    an enable for all registers of a cycle would be a wire across the device.

    Parameters
    ----------
    schedule : how far beats, and sequences' last beats, are apart
    module : layer name -> the module that the layer's signals belong to
    enable : (cycle, last_only) -> whether a beat is in that cycle (and is a sequence's last)
    """

    def __init__(
        self,
        schedule: Schedule,
        module: Callable[[str], Module],
        enable: Callable[[int, bool], Value],
    ) -> None:
        # (not) last_only -> least cycles between two beats that matter
        self._intervals = {False: schedule.beat_interval, True: schedule.last_interval}
        self._module = module
        self._enable = enable
        self._chains: dict[Op, list[Signal]] = {}
        self._streams: dict[Op, list[Value]] = {}
        self._loads: dict[tuple[str, int, bool], list[tuple[Signal, Value]]] = defaultdict(list)
        self._held: set[int] = set()  # those read later than in the next cycle, by id

    def read(self, op: Op, computed: Value, since: int, cycle: int) -> Value:
        """Return in `cycle` what `op` was when `computed` held it, in cycle `since`."""
        if cycle <= since:
            return computed
        interval = self._intervals[op.last_only]
        needed = -(-(cycle - since) // interval)
        chain = self._chains.setdefault(op, [])
        while len(chain) < needed:
            # Not reset: a value without its beat is never read.
            register = Signal(shape_of(op), name=f"{op.name}_q{len(chain) or ''}", reset_less=True)
            source = chain[-1] if chain else computed
            loaded = since + len(chain) * interval
            self._loads[op.layer, loaded, op.last_only].append((register, source))
            chain.append(register)
        if interval > 1:
            self._held.update(id(register) for register in chain[: needed - 1])
        if cycle - since - (needed - 1) * interval > 1:
            self._held.add(id(chain[needed - 1]))
        return chain[needed - 1]

    def stream(self, op: Op, computed: Value, delay: int) -> Value:
        """Return what an operation of several phases was `delay` cycles ago."""
        chain = self._streams.setdefault(op, [computed])
        while len(chain) <= delay:
            register = Signal(
                shape_of(op), name=f"{op.name}_q{len(chain) - 1 or ''}", reset_less=True
            )
            self._loads[op.layer, op.cycle, False].append((register, chain[-1]))
            chain.append(register)
        return chain[delay]

    def connect(self) -> None:
        """Load every register that was asked for."""
        for (layer, cycle, last_only), loads in self._loads.items():
            m = self._module(layer)
            # Without an enable a long delay can become a shift register in LUTs.
            held = [load for load in loads if id(load[0]) in self._held]
            m.d.sync += [to.eq(source) for to, source in loads if id(to) not in self._held]
            if held:
                with m.If(self._enable(cycle, last_only)):
                    m.d.sync += [to.eq(source) for to, source in held]
