"""Placing operations in clock cycles: as soon as possible, chained as far as the clock allows."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnrtl.errors import UnsupportedError
from rnnrtl.lut.table import Rom
from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.operations import Op, range_width

_SOURCES = ("constant", "input", "state")


class TooFastError(UnsupportedError):
    """An operation takes longer than the clock allows."""


@dataclass(eq=False)
class Placer:
    """Makes operations and gives each its cycle.

    Members
    -------
    delays : model of the target
    period : clock period, ns
    weight_storage : where constants that change from cycle to cycle are: "logic", "block" (RAM), or
        "auto", by their number
    product_wait : what comes before every product, ns
    ops : everything placed so far, operands first
    """

    delays: Delays
    period: float
    weight_storage: str = "auto"
    product_wait: float = 0.0
    ops: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names: dict[tuple[str, str], int] = {}

    @property
    def budget(self) -> float:
        """Logic that fits between two registers, ns."""
        return self.period - self.delays.register

    def add(
        self,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        operands: tuple[Op, ...],
        compute: Callable[..., Any] | None,
        delay: float,
        *,
        kind: str,
        last_only: bool = False,
        rom: Rom | None = None,
        title: str = "",
        times: Sequence[tuple[int, float]] | None = None,
        at: tuple[int, float] | None = None,
        phases: int = 1,
        select: tuple[int | None, ...] = (),
        values: tuple[int, ...] = (),
        carry: Callable[[Any], Any] | None = None,
        adds: tuple[bool, ...] = (),
        block: bool = False,
    ) -> Op:
        """Place an operation in the first cycle that its operands and the clock allow.

        `times` is when what it reads stands, (cycle, ready) each: when its operands do, where it
        is not given, and then it has as many phases as they. `at` is a time found by the caller
        instead.
        """
        if kind == "product":
            delay += self.product_wait
        self.check(name, layer, delay, kind=kind)
        if times is None:
            phases = max([len(adds), 1, *(op.phases for op in operands)])
            times = [_stands(op, phases, block=block) for op in operands]
        cycle, start = max([(0, 0.0), *times])
        if start + delay > self.budget + 1e-9:
            cycle, start = cycle + 1, 0.0
        cycle, ready = at or (cycle, start + delay)
        op = Op(
            self._unique(layer, name),
            layer,
            *bounds,
            operands,
            compute,
            cycle,
            ready,
            frozenset().union(*(op.loops for op in operands)),
            last_only or any(op.last_only for op in operands),
            rom,
            title,
            kind,
            delay,
            phases,
            select,
            values,
            carry,
            adds,
            block,
        )
        self.ops.append(op)
        return op

    def check(self, name: str, layer: str, delay: float, *, kind: str) -> None:
        """Raise TooFastError for what takes longer than a cycle by itself."""
        if delay > self.budget:
            fastest = 1000 / (delay + self.delays.register)
            raise TooFastError(
                f"clock_mhz={1000 / self.period:g} is too fast for {self.delays.family}: "
                f"{kind} {layer}.{name} alone takes {delay:.2f} ns; at most {int(fastest)} MHz"
            )

    def choice(self, name: str, layer: str, reads: Sequence[Op | None], *, together: int = 1) -> Op:
        """Place what takes one operation after the other, one a cycle; None where it never is read.

        Of so many `together` each bit reads the same selection. Raises ValueError where nothing is
        ever read.
        """
        first: dict[Op, int] = {}
        for phase, op in enumerate(reads):
            if op is not None:
                first.setdefault(op, phase)
        operands = tuple(first)
        count = Counter(reads)
        number = {op: n for n, op in enumerate(operands)}
        times = []
        for op, phase in first.items():
            # What is read again stands in its register from the first time on.
            held = count[op] > 1 and op.kind not in _SOURCES
            cycle, ready = (op.cycle + 1, 0.0) if held else (op.cycle, op.ready)
            if op.kind != "constant" and cycle >= phase:
                times.append((cycle - phase, ready))
        bounds = (min(op.lowest for op in operands), max(op.highest for op in operands))
        delay = self.delays.choice(len(operands))
        if delay and together > 1:
            delay += self.delays.net(together * range_width(*bounds))
        return self.add(
            name,
            layer,
            bounds,
            operands,
            None,
            delay,
            kind="choice",
            times=times,
            phases=len(reads),
            select=tuple(None if op is None else number[op] for op in reads),
        )

    def constants(self, name: str, layer: str, values: Sequence[int]) -> Op:
        """Place what gives one constant after the other, one a cycle."""
        count = len(values)
        block = self.weight_storage == "block" or (
            self.weight_storage == "auto" and self.delays.in_memory(count)
        )
        return self.add(
            name,
            layer,
            (min(values), max(values)),
            (),
            None,
            0.0 if block else self.delays.rom(count),
            kind="choice",
            times=[],
            phases=count,
            values=tuple(values),
            block=block,
        )

    def phase(
        self,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        op: Op,
        phase: int,
        compute: Callable[[Any], Any] = lambda v: v,
        *,
        last_only: bool = False,
    ) -> Op:
        """Place what reads one phase of an operation of several."""
        return self.add(
            name,
            layer,
            bounds,
            (op,),
            compute,
            0.0,
            kind="wire",
            times=[(op.cycle + phase, op.ready)],
            last_only=last_only,
        )

    def source(
        self, name: str, layer: str, bounds: tuple[int, int], cycle: int, *, kind: str
    ) -> Op:
        """Add an input or a state lane, which stands in a register from the start of `cycle`."""
        loops = frozenset({layer}) if kind == "state" else frozenset()
        op = Op(self._unique(layer, name), layer, *bounds, (), None, cycle, 0.0, loops, kind=kind)
        self.ops.append(op)
        return op

    def constant(self, name: str, layer: str, value: int) -> Op:
        """Add a constant: ready always."""
        return Op(name, layer, value, value, (), lambda: value, 0, 0.0, kind="constant")

    def _unique(self, layer: str, name: str) -> str:
        count = self._names.get((layer, name), 0)
        self._names[layer, name] = count + 1
        return f"{name}_{count}" if count else name


def _stands(op: Op, phases: int, *, block: bool) -> tuple[int, float]:
    """Return when an operand may be read by an operation of several phases, or of one.

    An operand that holds still for several phases is read from its register in all of them, and
    block RAM reads its address from a register, which is its own.
    """
    holds = op.phases == 1 < phases and op.kind not in _SOURCES
    return (op.cycle + 1, 0.0) if holds or block else (op.cycle, op.ready)
