"""What formats cost in hardware: a small model that ranks choices, in look-up tables (LUT).

It counts the graph that becomes hardware, so that proved ranges, not formats, give the widths.

* A product of a and b bits is a x b LUT where it is made of logic, and blocks of 27 x 18 bits where
  it is made of DSPs: of half a block where both have at most 8 bits, since two share one. Which
  of the two it becomes is decided later, so it counts as both, a block as `BLOCK_LUT`.
* A table is its ROM: 64 bits a LUT, for every lane that reads it.
* A sum is a LUT a bit.
* What is kept is `KEPT_LUT` a bit for states and for whatever is brought into a format, which is
  where registers are, and 64 bits a LUT for weights.
"""

from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lookup import RomRead
from rnnrtl.graph.nodes import Add, MatVec, Multiply, Node, RoundShift, ShiftRight, State, Subtract

BLOCK_LUT = 100
KEPT_LUT = 0.5
ROM_BITS = 64
PACKED_BITS = 8
LONG_SIDE, SHORT_SIDE = 27, 18


def product_cost(a: int, b: int) -> float:
    """Return what a product of numbers of a and b bits costs."""
    long, short = max(a, b), min(a, b)
    whole = -(-long // LONG_SIDE) * -(-short // SHORT_SIDE)
    blocks = 0.5 if long <= PACKED_BITS else whole
    return a * b + BLOCK_LUT * blocks


def cost(graph: Graph) -> float:
    """Return what one time step of a network costs, in LUT."""
    return sum(_cost(node) for node in graph.nodes())


def _cost(node: Node) -> float:
    match node:
        case MatVec():
            entries = node.matrix.size
            bits = _bits(int(node.matrix.min()), int(node.matrix.max()))
            return entries * (product_cost(bits, _widest(node.args[0])) + bits / ROM_BITS)
        case Multiply():
            a, b = (_widest(arg) for arg in node.args)
            return node.size * product_cost(a, b)
        case RomRead():
            bits = node.rom.width
            return node.size * bits * (len(node.rom.codes) / ROM_BITS + KEPT_LUT)
        case Add() | Subtract():
            return node.size * _widest(node)
        case State() | ShiftRight() | RoundShift():
            return node.size * _widest(node) * KEPT_LUT
    return 0.0


def _widest(node: Node) -> int:
    return _bits(min(node.lowest), max(node.highest))


def _bits(lowest: int, highest: int) -> int:
    """Return the bits of two's complement that hold lowest..highest."""
    return max((~lowest if lowest < 0 else lowest).bit_length(), highest.bit_length()) + 1
