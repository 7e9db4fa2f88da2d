"""What the nodes of a graph are called as operations, and how long they take."""

import math
from collections.abc import Mapping

from rnnrtl.fixedpoint import Overflow
from rnnrtl.graph.lookup import ColumnRead, LookedUp, Magnitude, Mirror, RomRead
from rnnrtl.graph.masks import Both, Equal, Select
from rnnrtl.graph.nodes import (
    Add,
    Clamp,
    LastStep,
    Limited,
    LowBits,
    MatVec,
    Multiply,
    Node,
    Proved,
    Relu,
    RoundShift,
    ShiftRight,
    Subtract,
    Wrap,
    ZeroOutside,
)
from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.operations import Op, range_width

KINDS: Mapping[type[Node], str] = {
    Multiply: "product",
    Relu: "relu",
    Proved: "wire",
    LastStep: "wire",
    ShiftRight: "wire",
    LowBits: "wire",
    RoundShift: "rounding",
    Clamp: "saturation",
    ZeroOutside: "saturation",
    Wrap: "wire",
    Magnitude: "magnitude",
    Mirror: "mirror",
    Limited: "saturation",
    LookedUp: "wire",
    RomRead: "table",
    ColumnRead: "table",
    Equal: "comparison",
    Both: "comparison",
    Select: "selection",
}
"""What an operation is called in reports."""

_SUFFIXES: Mapping[type[Node], str] = {
    Add: "_sum",
    Subtract: "_sum",
    MatVec: "_sum",
    Multiply: "_product",
    Relu: "_relu",
    ShiftRight: "_shifted",
    LowBits: "_low",
    RoundShift: "_rounded",
    Clamp: "_saturated",
    ZeroOutside: "_bounded",
    Wrap: "_wrapped",
    Magnitude: "_magnitude",
    Limited: "_limited",
    LastStep: "_last",
    Equal: "_equal",
    Mirror: "_mirrored",
}
"""What the name of a step on the way to something named ends in."""


def changes_nothing(node: Node, operands: tuple[Op, ...]) -> bool:
    """Whether a lane's range makes the operation an identity."""
    op = operands[0]
    if isinstance(node, Clamp | ZeroOutside):
        return op.lowest >= node.form.min_code and op.highest <= node.form.max_code
    if isinstance(node, Limited):
        return op.lowest >= node.least and op.highest <= node.most
    if isinstance(node, Wrap):
        half = 1 << (node.form.width - 1)
        return op.lowest >= -half and op.highest < half
    return isinstance(node, Relu) and op.lowest >= 0


def delay_of(
    node: Node, operands: tuple[Op, ...], bounds: tuple[int, int], delays: Delays
) -> float:
    """Return how long one lane takes, ns."""
    width = operands[0].width
    if isinstance(node, Multiply):
        return delays.product(*(op.width for op in operands))
    if isinstance(node, RomRead):
        return delays.rom(len(node.rom.codes))
    if isinstance(node, Mirror):
        return delays.adder(range_width(*bounds))
    # Whose ends are all ones or all zeros takes no comparator.
    whole = isinstance(node, Limited) and node.least == ~node.most
    if whole or (isinstance(node, Clamp) and node.form.overflow is Overflow.SAT):
        return delays.saturation(width - range_width(*bounds))
    if isinstance(node, Clamp | Limited | ZeroOutside | Magnitude | RoundShift):
        return delays.adder(width) + delays.logic  # a comparator or negation, then a selection
    if isinstance(node, Equal):
        return delays.logic * max(1, math.ceil(math.log(width, delays.lut_inputs)))
    return delays.logic if isinstance(node, Relu | Both | Select) else 0.0


def titles_of(nodes: list[Node]) -> dict[Node, str]:
    """Return a name for every node: its own, or what it is on the way to."""
    titles: dict[Node, str] = {}
    for node in reversed(nodes):
        title = titles.setdefault(node, node.name)
        for arg in node.args:
            suffix = f"_{arg.title}" if isinstance(arg, RomRead) else _SUFFIXES.get(type(arg), "")
            titles.setdefault(arg, arg.name or title + suffix)
    return titles
