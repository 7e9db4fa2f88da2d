"""Sequences through layers, on arrays of a batch: what float64 and training have in common.

The arrays are NumPy's or PyTorch's, which add, multiply and slice alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from rnnrtl import cells
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Bidirectional, Dense, Embedding, Layer, Reshape, Stepping


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of vectors; base of what implements `cells.numbers.Vector` on arrays.

    Members
    -------
    values : (batch, lanes), or more axes before the last
    """

    values: Any

    def __add__(self, other: Self) -> Self:
        return type(self)(self.values + other.values)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.values - other.values)

    def __mul__(self, other: Self) -> Self:
        return type(self)(self.values * other.values)

    def halved(self) -> Self:
        """Return x / 2."""
        return type(self)(self.values * 0.5)

    def lane(self, number: int) -> Self:
        """Return the vector of one lane."""
        return self.lanes(number, number + 1)

    def lanes(self, start: int, stop: int) -> Self:
        """Return the vector of lanes start..stop-1."""
        return type(self)(self.values[..., start:stop])

    def named(self, name: str) -> Self:
        """Return the same vector: only a graph has names."""
        return self


States = dict[str, dict[str, Any]]
"""Recurrent layer -> state -> its array (batch, units)."""


def run(
    layers: Sequence[Layer],
    x: Any,
    numbers: Any,
    form: Callable[..., Format],
    states: States | None = None,
    *,
    mask_value: float | None = None,
) -> Any:
    """Run layers one after the other.

    The cells are given form(layer, tensor, gate) for the format of a tensor. x has shape
    (batch, steps, features); the result is that of `Network.predict`. `numbers` implements
    `cells.numbers.Numbers`, and has besides `vector`, which makes a vector of an array, and
    `stacked(steps)`, the array of all steps. From `states`, where they are given, the layers go on;
    then these are those after the last step. Steps of x that are `mask_value` change no state.
    """
    value = x
    masks: list[Any] | None = None
    if mask_value is not None:
        given = form("", "input")
        masks = [
            numbers.all_equal(numbers.vector(x[:, t]), mask_value, given) for t in range(x.shape[1])
        ]
    for layer in layers:
        of_layer = partial(form, layer.name)
        if isinstance(layer, Dense | Embedding):
            value = cells.apply(layer, numbers.vector(value), numbers, of_layer).values
        elif isinstance(layer, Bidirectional):
            value = _both_ways(layer, value, numbers, form)
        elif isinstance(layer, Reshape):
            value = value.reshape(len(value), -1)[:, layer.order.tolist()]
        else:
            sequence = _steps(
                layer, value, numbers, of_layer, states, masks, backwards=layer.go_backwards
            )
            value = numbers.stacked(sequence) if layer.return_sequences else sequence[-1]
    return value


def _steps(
    layer: Stepping,
    value: Any,
    numbers: Any,
    form: Callable[..., Format],
    states: States | None = None,
    masks: Sequence[Any] | None = None,
    *,
    backwards: bool,
) -> list[Any]:
    """Return what a layer gives on at all steps, in the order in which they are read."""
    masks = masks or [None] * value.shape[1]
    if states is None:
        state = cells.initial(layer, numbers.vector(value[:, 0]), numbers, form)
    else:
        state = {name: numbers.vector(kept) for name, kept in states[layer.name].items()}
    found = []
    for t in range(value.shape[1])[:: -1 if backwards else 1]:
        step = numbers.vector(value[:, t])
        state = cells.step(layer, step, state, numbers, form, masks[t])
        found.append(state["h"].values)
    if states is not None:
        states[layer.name] = {name: kept.values for name, kept in state.items()}
    return found[layer.lost :]


def _both_ways(layer: Bidirectional, value: Any, numbers: Any, form: Callable[..., Format]) -> Any:
    """Return what a bidirectional layer gives on, all steps or the last one."""
    forward, backward = (
        [
            numbers.vector(h)
            for h in _steps(part, value, numbers, partial(form, part.name), backwards=backwards)
        ]
        for part, backwards in zip(layer.parts, (False, True), strict=True)
    )
    of_layer = partial(form, layer.name)
    found = [
        cells.merged(layer, *pair, numbers, of_layer).values
        for pair in cells.pairs(layer, forward, backward)
    ]
    return numbers.stacked(found) if layer.return_sequences else found[0]
