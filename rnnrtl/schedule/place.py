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
    ) -> Op:
        """Place an operation in the first cycle that its operands and the clock allow.

        `at` is a time (cycle, ready) found by the caller instead.
        """
        if delay > self.budget:
            fastest = 1000 / (delay + self.delays.register)
            raise UnsupportedError(
                f"clock_mhz={1000 / self.period:g} is too fast for {self.delays.family}: "
                f"{kind} {layer}.{name} alone takes {delay:.2f} ns; at most {int(fastest)} MHz"
            )
        cycle, start = 0, 0.0
        for op in operands:
            if (op.cycle, op.ready) > (cycle, start):
                cycle, start = op.cycle, op.ready
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
