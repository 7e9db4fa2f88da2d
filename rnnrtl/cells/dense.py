"""Fully connected layers."""

from rnnrtl.cells.activation import activated
from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Connected


def result_format(layer: Connected, form: Formats) -> Format:
    """Return the format of what the layer gives."""
    if layer.activation == "argmax":  # the number of a unit, with a sign
        width = (layer.units - 1).bit_length() + 1
        return Format(width, width)
    return form("output")


def apply(layer: Connected, x: V, numbers: Numbers[V], form: Formats) -> V:
    """Return activation(W x + b)."""
    total = numbers.matvec(layer.kernel, form("kernel"), x) + numbers.constant(
        layer.bias, form("bias")
    )
    y = activated(
        layer.activation,
        total,
        numbers,
        form("preactivation"),
        result_format(layer, form),
        units=layer.units,
        name="preactivation",
    )
    return y.named("y")
