"""Convolution over time: a dense layer of a window that moves on with each step."""

from collections.abc import Mapping

from rnnrtl.cells import dense
from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Convolution


def initial(layer: Convolution, x: V, numbers: Numbers[V]) -> dict[str, V]:
    """Return a window of zeros."""
    return {"window": numbers.joined([numbers.zero(x)] * (layer.taps - 1))}


def step(
    layer: Convolution, x: V, state: Mapping[str, V], numbers: Numbers[V], form: Formats
) -> dict[str, V]:
    """Return activation(W (w, x) + b), and the window w without its oldest step but with x."""
    window = numbers.joined([state["window"], x])
    moved = window.lanes(layer.features, layer.taps * layer.features)
    return {"window": moved.named("window_next"), "h": dense.apply(layer, window, numbers, form)}


def result_format(layer: Convolution, form: Formats, taken: Format) -> Format:
    """Return the format of what it gives."""
    return dense.result_format(layer, form)
