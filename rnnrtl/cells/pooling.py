"""Pooling over time, by what there is of a sequence so far."""

from collections.abc import Mapping

import numpy as np

from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import AveragePooling, MaxPooling

WIDEST = 64
_GUARD_BITS = 1  # of 1 / steps


class Largest:
    """The equations of `MaxPooling`."""

    @staticmethod
    def initial(layer: MaxPooling, x: V, numbers: Numbers[V]) -> dict[str, V]:
        """Return what no step is below."""
        return {"largest": numbers.lowest(x)}

    @staticmethod
    def step(
        layer: MaxPooling, x: V, state: Mapping[str, V], numbers: Numbers[V], form: Formats
    ) -> dict[str, V]:
        """Return the largest so far, max(m, x), which is what the layer gives on."""
        largest = numbers.maximum(state["largest"], x).named("largest_next")
        return {"largest": largest, "h": largest}

    @staticmethod
    def result_format(layer: MaxPooling, form: Formats, taken: Format) -> Format:
        """Return the format of what it gives, which is that of what it takes."""
        return taken


class Mean:
    """The equations of `AveragePooling`."""

    @staticmethod
    def initial(layer: AveragePooling, x: V, numbers: Numbers[V]) -> dict[str, V]:
        """Return zeros."""
        return {"sum": numbers.zero(x)}

    @staticmethod
    def step(
        layer: AveragePooling, x: V, state: Mapping[str, V], numbers: Numbers[V], form: Formats
    ) -> dict[str, V]:
        """Return the sum so far, s' = s + x, exactly, and s' / steps, which is what is given on.

        It is rounded to nearest and saturates. 1 / steps is so fine that a sum of numbers within
        the range of the output is off by 1/8 LSB at most because of it.
        """
        output = form("output")
        total = numbers.total(state["sum"], x, layer.steps).named("sum_next")
        bits = layer.steps.bit_length()
        fraction_bits = max(output.fraction_bits, 0) + max(output.int_bits, 0) + bits + _GUARD_BITS
        int_bits = 3 - bits
        fine = Format(min(fraction_bits + int_bits, WIDEST), int_bits)
        scale = numbers.constant(np.full(layer.features, 1 / layer.steps), fine)
        return {"sum": total, "h": (total * scale).to(output.nearest()).named("h_next")}

    @staticmethod
    def result_format(layer: AveragePooling, form: Formats, taken: Format) -> Format:
        """Return the format of what it gives."""
        return form("output")
