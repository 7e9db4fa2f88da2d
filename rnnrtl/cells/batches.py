"""Sequences through layers, on arrays of a batch: what float64 and training have in common.

The arrays are NumPy's or PyTorch's, which add, multiply and slice alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from rnnrtl import cells
from rnnrtl.fixedpoint.format import Format
from rnnrtl.layers import Dense, Layer


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

    def lane(self, number: int) -> Self:
        """Return the vector of one lane."""
        return type(self)(self.values[..., number : number + 1])

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
) -> Any:
    """Run layers one after the other.

    The cells are given form(layer, tensor, gate) for the format of a tensor. x has shape
    (batch, steps, features); the result is that of `Network.predict`. `numbers` implements
    `cells.numbers.Numbers`, and has besides `vector`, which makes a vector of an array, and
    `stacked(steps)`, the array of all steps. From `states`, where they are given, the layers go on;
    then these are those after the last step.
    """
    value = x
    for layer in layers:
        of_layer = partial(form, layer.name)
        if isinstance(layer, Dense):
            value = cells.apply_dense(layer, numbers.vector(value), numbers, of_layer).values
            continue
        if states is None:
            state = {
                name: numbers.constant(layer.initial[name], of_layer(tensor))
                for name, tensor in layer.states.items()
            }
        else:
            state = {name: numbers.vector(kept) for name, kept in states[layer.name].items()}
        sequence = []
        for t in range(value.shape[1]):
            state = cells.step(layer, numbers.vector(value[:, t]), state, numbers, of_layer)
            sequence.append(state["h"].values)
        if states is not None:
            states[layer.name] = {name: kept.values for name, kept in state.items()}
        value = numbers.stacked(sequence) if layer.return_sequences else sequence[-1]
    return value
