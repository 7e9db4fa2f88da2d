"""Formats by tensor: what a search begins with, and what it gives."""

import math
from collections.abc import Mapping

from rnnrtl.fixedpoint import Format, Precision
from rnnrtl.graph.tensors import WEIGHTS, Seen, Tensor

WIDEST_TABLE = 16
"""Bits of what goes into a table or comes out of it: finer tables take minutes to make."""

TO_TABLES = ("preactivation", "cell_preactivation")
"""What goes into tables. The search may take its integer bits too: tables are flat far from 0."""

Formats = Mapping[Tensor, Format]


def fitting(tensor: Tensor, seen: Mapping[Tensor, Seen], width: int, margin: float) -> Format:
    """Return a format that holds what was seen and the margin, as wide as is sensible."""
    layer, name = tensor
    found = seen[tensor]
    largest = max(-found.lowest, found.highest)
    if name not in WEIGHTS:
        largest *= 1 + margin
    if found.tables:  # which must be able to give 1, and give no more
        largest = max(largest, 1.0) if found.sums else 1.0
    of_hidden = [seen[layer, t] for t in ("candidate", "cell_activation") if (layer, t) in seen]
    product = "cell_output" if (layer, "projection") in seen else "hidden"  # of a gate and tanh
    if name == product and not any(s.sums for s in of_hidden):
        largest = min(largest, 1.0)
    if found.tables or name in TO_TABLES:
        width = min(width, WIDEST_TABLE)
    # Never far below the point: a tensor of zeros has no bits to lose.
    int_bits = 1 + max(math.ceil(math.log2(largest)), -16) if largest else 1
    return Format(width, min(int_bits, width))


def precision_of(formats: Formats) -> Precision:
    """Return formats as rules for every tensor; the default decides nothing."""
    rules = ((f"{la}.{t}" if la else t, form) for (la, t), form in formats.items())
    return Precision(Format(16, 6), tuple(rules))
