"""Scalar operations, each with the clock cycle in which it is computed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnnrtl.lut.table import Rom


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Op:
    """One lane of one operation, placed in a cycle.

    Cycles count from 0, the one after the edge that accepts the time step's beat. An operation is
    computed in `cycle` and stands `ready` ns after its start; later cycles read it from a register.

    An operation of several phases is one unit that is used once a cycle, from `cycle` on: its
    operands of several phases are at the same phase, others hold still. A "choice" takes one of
    its operands, or of some constants, in each phase. An operation of one phase whose operand has
    several reads the phase that is due in its own cycle.

    Members
    -------
    name : unique within its layer; the name of the signal
    layer : the layer it belongs to, "" for the input
    lowest, highest : exact range
    operands : what it is computed from
    compute : operands' values -> value, on Python ints as on Amaranth values; None for inputs,
        states, ROMs and choices
    cycle, ready : when
    loops : layers whose state it depends on
    last_only : matters only at a sequence's last step
    rom, title : for a ROM read, whose operand is the magnitude
    block : whether the ROM, or the constants, are in a memory that takes its address at the edge
        before `cycle`
    kind : what it is, for reports: "input", "state", "product", "adder", ...
    delay : how long it takes, ns
    phases : cycles for which it is used
    select : for a choice: which operand it takes in each phase, None where that is never read
    values : for a choice of constants: which one it takes in each phase
    carry : for an accumulator: its value in one phase -> its second operand in the next
    adds : for an accumulator: in which phases it carries on; in all but the first where empty
    """

    name: str
    layer: str
    lowest: int
    highest: int
    operands: "tuple[Op, ...]"
    compute: Callable[..., Any] | None
    cycle: int
    ready: float
    loops: frozenset[str] = frozenset()
    last_only: bool = False
    rom: Rom | None = None
    title: str = ""
    kind: str = ""
    delay: float = 0.0
    phases: int = 1
    select: tuple[int | None, ...] = ()
    values: tuple[int, ...] = ()
    carry: Callable[[Any], Any] | None = None
    adds: tuple[bool, ...] = ()
    block: bool = False

    def __repr__(self) -> str:
        # Not its operands, and theirs, and so on: that is a whole network.
        return f"<{self.kind} {self.layer}.{self.name} in cycle {self.cycle}>"

    @property
    def width(self) -> int:
        """Bits of the signal."""
        return range_width(self.lowest, self.highest)


def range_width(lowest: int, highest: int) -> int:
    """Return the bits that hold lowest..highest, with a sign bit where lowest is negative."""
    if lowest >= 0:
        return max(highest.bit_length(), 1)
    return max(max(highest, 0).bit_length(), (~lowest).bit_length()) + 1
