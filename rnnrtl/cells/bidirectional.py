"""Two directions made one: M. Schuster and K. Paliwal, IEEE Trans. Signal Process. 45(11), 1997."""

from collections.abc import Sequence

from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Bidirectional


def pairs(layer: Bidirectional, forward: Sequence[V], backward: Sequence[V]) -> list[tuple[V, V]]:
    """Return the hidden states that are merged, from those of all steps as each direction reads.

    They are one pair a step, or one where the layer gives on one vector a sequence.
    """
    if layer.return_sequences:
        return list(zip(forward, backward[::-1], strict=True))
    return [(forward[-1], backward[0 if layer.last_output else -1])]


def merged(layer: Bidirectional, forward: V, backward: V, numbers: Numbers[V], form: Formats) -> V:
    """Return what two hidden states are merged into; only "concat" keeps their formats."""
    match layer.merge:
        case "concat":
            return numbers.joined([forward, backward]).named("y")
        case "mul":
            total = forward * backward
        case "ave":
            total = (forward + backward).halved()
        case _:
            total = forward + backward
    return total.to(form("output")).named("y")


def result_format(layer: Bidirectional, form: Formats, hidden: Sequence[Format]) -> Format:
    """Return the format of what the layer gives, from those of the two hidden states."""
    if layer.merge != "concat":
        return form("output")
    int_bits = max(h.int_bits for h in hidden)
    width = int_bits + max(h.fraction_bits for h in hidden)
    return hidden[0].replace(width=width, int_bits=int_bits)
