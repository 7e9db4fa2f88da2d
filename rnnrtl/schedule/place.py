"""Placing operations in clock cycles: as soon as possible, chained as far as the clock allows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rnnrtl.errors import UnsupportedError
from rnnrtl.lut.table import Rom
from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.operations import Op


@dataclass(eq=False)
class Placer:
    """Makes operations and gives each its cycle.

    Members
    -------
    delays : model of the target
    period : clock period, ns
    ops : everything placed so far, operands first
    """

    delays: Delays
    period: float
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
        at: tuple[int, float] | None = None,
        carry: Callable[[Any], Any] | None = None,
        block: bool = False,
    ) -> Op:
        """Place an operation in the first cycle that its operands and the clock allow.

        `at` is a time (cycle, ready) found by the caller instead. It has as many phases as its
        operands.
        """
        phases = max((op.phases for op in operands), default=1)
        times = [_stands(op, phases, block=block) for op in operands]
        return self._add(
            name, layer, bounds, operands, compute, delay, times,
            kind=kind, last_only=last_only, rom=rom, title=title, at=at, phases=phases,
            carry=carry, block=block,
        )  # fmt: skip

    def choice(self, name: str, layer: str, operands: tuple[Op, ...]) -> Op:
        """Place what takes each of its operands in turn, one a cycle."""
        bounds = (min(op.lowest for op in operands), max(op.highest for op in operands))
        times = [
            (op.cycle - phase, op.ready)
            for phase, op in enumerate(operands)
            if op.kind != "constant" and op.cycle >= phase
        ]
        delay = self.delays.choice(len(operands), constant=not times)
        return self._add(
            name, layer, bounds, operands, None, delay, times,
            kind="choice", phases=len(operands),
        )  # fmt: skip

    def phase(
        self,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        op: Op,
        phase: int,
        compute: Callable[[Any], Any] = lambda v: v,
    ) -> Op:
        """Place what reads one phase of an operation of several."""
        return self._add(
            name, layer, bounds, (op,), compute, 0.0, [(op.cycle + phase, op.ready)], kind="wire"
        )

    def _add(
        self,
        name: str,
        layer: str,
        bounds: tuple[int, int],
        operands: tuple[Op, ...],
        compute: Callable[..., Any] | None,
        delay: float,
        times: list[tuple[int, float]],
        *,
        kind: str,
        last_only: bool = False,
        rom: Rom | None = None,
        title: str = "",
        at: tuple[int, float] | None = None,
        phases: int = 1,
        carry: Callable[[Any], Any] | None = None,
        block: bool = False,
    ) -> Op:
        if delay > self.budget:
            fastest = 1000 / (delay + self.delays.register)
            raise UnsupportedError(
                f"clock_mhz={1000 / self.period:g} is too fast for {self.delays.family}: "
                f"{kind} {layer}.{name} alone takes {delay:.2f} ns; at most {int(fastest)} MHz"
            )
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
            carry,
            block,
        )
        self.ops.append(op)
        return op

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
    holds = op.phases < phases and op.kind not in ("constant", "input", "state")
    return (op.cycle + 1, 0.0) if holds or block else (op.cycle, op.ready)
