"""Operations on whole vectors, beyond those of `Node`: what joins, compares and mixes them."""

from collections.abc import Sequence

import numpy as np

from rnnrtl.cells.numbers import pairwise
from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.fixedpoint.format import Format
from rnnrtl.graph.nodes import (
    Input,
    Joined,
    LowBits,
    MatVec,
    Node,
    aligned,
    constant,
    part,
    refined,
)


def input_vector(size: int, form: Format, name: str = "x") -> Input:
    """Return what each time step brings in: any code of the format."""
    low, high = -(1 << (form.width - 1)), (1 << (form.width - 1)) - 1
    return Input((), form.fraction_bits, (low,) * size, (high,) * size, name=name)


def joined(vectors: Sequence[Node]) -> Joined:
    """Return one vector of all lanes, with the finest of their binary points."""
    finest = max(x.fraction_bits for x in vectors)
    vectors = [refined(x, finest) for x in vectors]
    lowest = tuple(v for x in vectors for v in x.lowest)
    highest = tuple(v for x in vectors for v in x.highest)
    return Joined(tuple(vectors), finest, lowest, highest)


def reordered(x: Node, order: IntArray) -> Node:
    """Return the vector whose lanes are lanes of x, by their numbers."""
    ends = np.flatnonzero(np.diff(order) != 1) + 1
    runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(order, ends)]
    if runs == [(0, x.size)]:
        return x
    return joined([part(x, start, end) for start, end in runs])


def maximum(a: Node, b: Node) -> Node:
    """Return the larger of a and b, lane by lane."""
    a, b = aligned(a, b)
    return (b + (a - b).relu()).within(
        tuple(map(max, a.lowest, b.lowest)), tuple(map(max, a.highest, b.highest))
    )


def total(a: Node, x: Node, most: int) -> Node:
    """Return a + x, where a is a sum of at most `most` - 1 vectors such as x."""
    low = [min(v, v * most) for v in x.lowest]
    high = [max(v, v * most) for v in x.highest]
    return (a + x).within(low, high)


def argmax(x: Node) -> Node:
    """Return the number of the largest lane, the first of equals, as a vector of one lane.

    Below the bits of each lane come those of its number, counted down: they take part in the
    comparison, and are what is left of the largest.
    """
    last = x.size - 1
    bits = max(last.bit_length(), 1)
    numbers = constant(range(last, -1, -1), x.fraction_bits + bits)
    marked = x + numbers
    largest = pairwise(maximum, [marked.lane(n) for n in range(x.size)])
    number = LowBits((largest,), 0, (0,), (last,), bits=bits)
    return (constant([last], 0) - number).within((0,), (last,))


def matvec(matrix: IntArray, fraction_bits: int, x: Node) -> MatVec:
    """Return matrix @ x for a matrix (units, features) of codes with its own binary point."""
    w = matrix.astype(object)
    low, high = np.array(x.lowest, dtype=object), np.array(x.highest, dtype=object)
    positive, negative = np.maximum(w, 0), np.minimum(w, 0)
    return MatVec(
        (x,),
        fraction_bits + x.fraction_bits,
        tuple(int(v) for v in positive @ low + negative @ high),
        tuple(int(v) for v in positive @ high + negative @ low),
        matrix=matrix,
    )


def blend(z: Node, a: Node, b: Node, *, products: int = 2) -> Node:
    """Return (1 - z) * a + z * b for gates z within 0..1.

    The range is that of a and b together, since the result lies between them. With two products
    what is computed last, a, waits for one product only; with one, which is a + z * (b - a), for a
    sum before it too.
    """
    z = refined(z, max(z.fraction_bits, 0))  # 1 must be one of its codes
    one = 1 << z.fraction_bits
    if min(z.lowest) < 0 or max(z.highest) > one:
        raise ValueError(f"blend needs a gate within 0..1, got {min(z.lowest)}..{max(z.highest)}")
    a, b = aligned(a, b)
    if products == 1:
        total = a + z * (b - a)
    else:
        total = (constant([one] * z.size, z.fraction_bits) - z) * a + z * b
    scale = 1 << (total.fraction_bits - a.fraction_bits)
    return total.within(
        [min(x, y) * scale for x, y in zip(a.lowest, b.lowest, strict=True)],
        [max(x, y) * scale for x, y in zip(a.highest, b.highest, strict=True)],
    )
