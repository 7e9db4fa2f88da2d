"""Multipliers that products take in turn, at several clock edges in each cycle of the schedule."""

from collections import defaultdict
from collections.abc import Mapping

from amaranth.hdl import Module, Signal, Value, signed

from rnnrtl.hardware.registers import shape_of
from rnnrtl.schedule.operations import Op
from rnnrtl.schedule.sharing import Turn


class Multipliers:
    """Computes the products of a schedule, each in its turn.

    What they multiply stands still for the whole cycle. A product stands from the edge after its
    turn on in a register; in the last turn nothing is left to wait for, and it needs none.

    Parameters
    ----------
    m : a module whose registers load at every edge
    turns : product -> its turn
    edge : which edge of the cycle it is
    edges : how many there are
    """

    def __init__(self, m: Module, turns: Mapping[Op, Turn], edge: Value, edges: int) -> None:
        self._m = m
        self._turns = turns
        self._edge = edge
        self._last = edges - 1
        self._operands: dict[int, dict[Op, tuple[Value, Value]]] = defaultdict(dict)
        self._results: dict[Op, Signal] = {}

    def product(self, op: Op, a: Value, b: Value) -> Value:
        """Return a product of two operands as it stands when the cycle ends."""
        self._operands[self._turns[op].multiplier][op] = (a, b)
        self._results[op] = result = Signal(shape_of(op), name=f"{op.name}_product")
        return result

    def connect(self) -> None:
        """Build the multipliers."""
        m = self._m
        for number, operands in self._operands.items():
            sides = [
                Signal(signed(max(_signed_width(pair[side]) for pair in operands.values())),
                       name=f"multiplier_{number}_{'ab'[side]}")
                for side in (0, 1)
            ]  # fmt: skip
            product = Signal(
                signed(sum(len(side) for side in sides)), name=f"multiplier_{number}_product"
            )
            m.d.comb += product.eq(sides[0] * sides[1])
            with m.Switch(self._edge):
                for op, pair in operands.items():
                    edge, result = self._turns[op].edge, self._results[op]
                    with m.Case(edge):
                        m.d.comb += [side.eq(part) for side, part in zip(sides, pair, strict=True)]
                        if edge < self._last:
                            m.d.sync += result.eq(product)

            for op in operands:
                if self._turns[op].edge == self._last:
                    m.d.comb += self._results[op].eq(product)


def _signed_width(value: Value) -> int:
    return len(value) + (not value.shape().signed)
