"""Fewer multipliers than products: each cycle of the schedule becomes several edges of the clock.

Folding a data-flow graph onto fewer units: K. K. Parhi, "VLSI Digital Signal Processing Systems",
chapter 6.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnrtl.schedule.operations import Op


@dataclass(frozen=True)
class Turn:
    """Where a product is computed: on which multiplier, and after which clock edge of its cycle."""

    multiplier: int
    edge: int


def edges_of(turns: Mapping[Op, Turn]) -> int:
    """Return how many clock edges a cycle has in which products take such turns."""
    return 1 + max((turn.edge for turn in turns.values()), default=0)


def turns_of(ops: Sequence[Op], multipliers: int | None) -> dict[Op, Turn]:
    """Return the turn of each product on so many multipliers; operands stand before operations.

    Nothing where each has its own. What a product needs of another one in its own cycle is
    computed at an edge before.
    """
    if multipliers is None or multipliers >= sum(op.kind == "product" for op in ops):
        return {}
    turns: dict[Op, Turn] = {}
    earliest: dict[Op, int] = {}
    taken: Counter[int] = Counter()
    for op in ops:
        needs = [
            earliest.get(operand, 0) + (operand in turns)
            for operand in op.operands
            if operand.cycle == op.cycle or max(op.phases, operand.phases) > 1
        ]
        earliest[op] = max(needs, default=0)
        if op.kind == "product":
            while taken[earliest[op]] == multipliers:
                earliest[op] += 1
            edge = earliest[op]
            turns[op] = Turn(taken[edge], edge)
            taken[edge] += 1
    return turns
