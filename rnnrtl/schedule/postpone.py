"""Moving operations to the latest cycle that delays no result."""

from collections import Counter
from dataclasses import replace

from rnnrtl.schedule.operations import Op

_Time = tuple[int, float]
"""A cycle, and ns after its start."""


def postponed(ops: list[Op], ends: set[Op], budget: float, alu: float | None) -> dict[Op, Op]:
    """Return each operation moved to the latest time at which all that reads it is as before.

    `ends` and what is an input stay where they are; operations come operands first. A sum in a
    DSP block's own adder, which takes `alu` ns, stays in the cycle of its product: the two move
    together, or not at all where others read the product too.
    """
    users = Counter(operand for op in ops for operand in op.operands)
    latest: dict[Op, _Time] = {}
    for op in reversed(ops):
        placed = (op.cycle, op.ready)
        product = _product_of(op, users, alu)
        fixed = op in ends or op.kind == "input" or (op.kind == "DSP adder" and product is None)
        # Where it was it can stay: everything that reads it is there, or later.
        cycle, ready = placed if fixed else max(placed, latest.get(op, placed))
        takes = op.delay if product is None else product.delay
        if (cycle, ready) != placed and ready < takes - 1e-9:
            cycle, ready = max(placed, (cycle - 1, budget))
        latest[op] = (cycle, ready)
        for operand in op.operands:
            if op.kind != "DSP adder":
                needed = (cycle, ready - op.delay)
            elif product is None:
                needed = (operand.cycle, operand.ready)
            else:
                assert alu is not None
                needed = (cycle, ready if operand is product else ready - alu)
            latest[operand] = min(latest.get(operand, needed), needed)
    moved: dict[Op, Op] = {}
    for op in ops:
        cycle, ready = latest[op]
        operands = tuple(moved.get(operand, operand) for operand in op.operands)
        moved[op] = replace(op, operands=operands, cycle=cycle, ready=ready)
    return moved


def _product_of(op: Op, users: Counter[Op], alu: float | None) -> Op | None:
    """Return the product in whose DSP block a sum is made, if nothing else reads that product."""
    if op.kind != "DSP adder" or alu is None:
        return None
    for product, other in (op.operands, op.operands[::-1]):
        since = other.ready if other.cycle == op.cycle and other.kind != "constant" else 0.0
        if (
            (product.kind, product.cycle, users[product]) == ("product", op.cycle, 1)
            and product.ready <= op.ready
            and since + alu <= op.ready + 1e-9
        ):
            return product
    return None
