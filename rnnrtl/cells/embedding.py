"""Vectors that stand for whole numbers."""

from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Embedding


def result_format(layer: Embedding, form: Formats) -> Format:
    """Return the format of what the layer gives, which is that of its weights."""
    return form("kernel")


def apply(layer: Embedding, x: V, numbers: Numbers[V], form: Formats) -> V:
    """Return the column of the kernel that x, a whole number, says."""
    return numbers.column(layer.kernel, form("kernel"), x).named("y")
