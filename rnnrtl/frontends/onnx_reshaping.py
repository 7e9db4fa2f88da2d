"""What a graph makes of the steps of a layer's output, from numbers that say which is which."""

import numpy as np
from numpy.typing import NDArray

from rnnrtl.layers import Reshape

Numbers = NDArray[np.int64]


def reshaped(
    name: str, numbers: Numbers, positions: Numbers, units: int, *, ends: bool
) -> Reshape | None:
    """Return the layer that gives `numbers` of the values of vectors of so many units.

    `positions` (steps, batch) says which vector each step of each sequence is; value u of a vector
    p has the number p * units + u. `numbers` are (steps given, batch, lanes), or (batch, lanes)
    where one vector is given. After all vectors come the last states, which are what the last step
    gives where it `ends` so. None where sequences are mixed or not treated alike, or where it is no
    change of steps.
    """
    steps, batch = positions.shape
    known = positions.max() + 1
    places = numbers // units
    if numbers.shape[-2] != batch or numbers.min() < 0 or places.max() >= known + batch:
        return None
    states = bool(places.min() >= known)
    if not states and places.max() >= known:
        return None
    # A last state is as one step more.
    step_of, sequence_of = np.full((2, known + batch), steps)
    step_of[positions] = np.arange(steps)[:, None]
    sequence_of[positions] = np.arange(batch)
    sequence_of[known:] = np.arange(batch)
    if np.any(sequence_of[places] != np.arange(batch)[:, None]):
        return None
    order = step_of[places] * units + numbers % units
    first = order[..., 0, :]
    if np.any(order != first[..., None, :]):
        return None
    at = steps if states else steps - 1
    if first.min() >= at * units:  # the last one alone
        vector = first.ndim == 2 and (states or ends)
        return Reshape(name, None, units, first - at * units) if vector else None
    return Reshape(name, steps, units, first)
