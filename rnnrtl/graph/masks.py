"""Steps that leave states as they are: how they are told, and what follows."""

from dataclasses import dataclass
from typing import Any

from rnnrtl.cells.numbers import pairwise
from rnnrtl.fixedpoint import arithmetic
from rnnrtl.graph.nodes import Node, State, aligned, constant
from rnnrtl.graph.vectors import joined


@dataclass(frozen=True, eq=False)
class Equal(Node):
    """1 where x is one code, else 0."""

    code: int = 0

    def arithmetic(self, x: Any) -> Any:
        return arithmetic.select(x == self.code, 1, 0)


@dataclass(frozen=True, eq=False)
class Both(Node):
    """1 where both a and b are, else 0."""

    def arithmetic(self, a: Any, b: Any) -> Any:
        return arithmetic.select(a, b, 0)


@dataclass(frozen=True, eq=False)
class Select(Node):
    """a where the condition is 1, b where it is 0; arguments (condition, a, b)."""

    def arithmetic(self, condition: Any, a: Any, b: Any) -> Any:
        return arithmetic.select(condition, a, b)


def select(condition: Node, a: Node, b: Node) -> Select:
    """Return a where the one lane of the condition is 1, else b."""
    a, b = aligned(a, b)
    conditions = joined([condition] * a.size)
    lowest = tuple(map(min, a.lowest, b.lowest))
    return Select(
        (conditions, a, b), a.fraction_bits, lowest, tuple(map(max, a.highest, b.highest))
    )


def all_equal(x: Node, code: int) -> Node:
    """Return whether all lanes are one code: one lane, 1 or 0."""
    equal = Equal((x,), 0, (0,) * x.size, (1,) * x.size, name="equal", code=code)
    lanes: list[Node] = [equal.lane(n) for n in range(x.size)]
    return pairwise(lambda a, b: Both((a, b), 0, (0,), (1,)), lanes)


def filling(steps: int, masked: Node | None) -> tuple[State, Node, Node]:
    """Return a state that tells how many steps have counted, what follows it, and a mask.

    The mask, one lane, is 1 at the first `steps` of the steps that are not `masked`, and at those
    that are masked before and among them.
    """
    none, all_ = (0,) * steps, (1,) * steps
    seen = State((), 0, none, all_, name="seen", initial=none)
    following: Node = constant([1], 0)
    if steps > 1:
        following = joined([seen.lanes(1, steps), following])
    if masked is not None:
        following = select(masked, seen, following)
    return seen, following.named("seen_next"), all_equal(seen.lane(0), 0).named("filling")


def unmasked(state: State, following: Node) -> tuple[Node, Node | None]:
    """Return what a state becomes, and the one lane that tells whether it stays as it is, if any.

    Where it stays as it is for a step, a register only need not load.
    """
    if isinstance(following, Select) and following.args[1] is state:
        return following.args[2], following.args[0].args[0]
    return following, None
