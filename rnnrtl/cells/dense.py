"""Fully connected layer."""

from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.network import Dense


def apply(layer: Dense, x: V, numbers: Numbers[V], form: Formats) -> V:
    """Return activation(W x + b)."""
    total = numbers.matvec(layer.kernel, form("kernel"), x) + numbers.constant(
        layer.bias, form("bias")
    )
    match layer.activation:
        case "linear":
            y = total.to(form("output"))
        case "relu":
            # Rounding keeps the sign, so the order does not matter but for the adder it saves.
            y = total.to(form("output")).relu()
        case function:
            preactivation = total.to(form("preactivation")).named("preactivation")
            y = preactivation.lookup(function, form("output"), form("preactivation"))
    return y.named("y")
