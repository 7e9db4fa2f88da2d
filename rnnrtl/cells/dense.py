"""Fully connected layer."""

from rnnrtl.cells.activation import activated
from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.network import Dense


def apply(layer: Dense, x: V, numbers: Numbers[V], form: Formats) -> V:
    """Return activation(W x + b)."""
    total = numbers.matvec(layer.kernel, form("kernel"), x) + numbers.constant(
        layer.bias, form("bias")
    )
    y = activated(
        layer.activation,
        total,
        numbers,
        form("preactivation"),
        form("output"),
        units=layer.units,
        name="preactivation",
    )
    return y.named("y")
