"""Sequences that never end: what comes goes on from the state that what came before has left."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import InputError, UnsupportedError
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.graph.program import Program
from rnnrtl.graph.real import checked_input
from rnnrtl.layers import Bidirectional, FloatArray
from rnnrtl.network import Network
from rnnrtl.states import StateForms, StateValues

Flags = NDArray[np.bool_]


class Recurrences(Protocol):
    """What has states: a network in float64, or a design's bit-exact reference."""

    def initial(self, batch: int) -> StateValues:
        """Return the states before the first step of so many sequences."""

    def advance(self, x: FloatArray, state: StateValues) -> tuple[FloatArray, StateValues]:
        """Return the outputs for x (batch, steps, features) and the states after it."""

    def check(self, layer: str, name: str, values: FloatArray) -> None:
        """Raise InputError for values that a state cannot have."""


class InFixedPoint:
    """The states of a bit-exact reference, as values on their grids."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._forms = StateForms(program.graph.loops)

    def initial(self, batch: int) -> StateValues:
        return self._forms.values(self._program.initial_states(batch))

    def advance(self, x: FloatArray, state: StateValues) -> tuple[FloatArray, StateValues]:
        graph = self._program.graph
        codes = self._forms.codes(state)
        found, ended = self._program.resumed(to_codes(x, graph.input_format), codes)
        return to_values(found, graph.output_format), self._forms.values(ended)

    def check(self, layer: str, name: str, values: FloatArray) -> None:
        node = self._forms.nodes[layer, name]
        codes = values * 2.0**node.fraction_bits
        good = (codes == np.floor(codes)) & (codes >= node.lowest) & (codes <= node.highest)
        if not good.all():
            lsb = 2.0**-node.fraction_bits
            raise InputError(
                f"state {layer}.{name} is {values[~good][0]:g}, which this design never has: its "
                f"values are multiples of {lsb:g} from {min(node.lowest) * lsb:g} to "
                f"{max(node.highest) * lsb:g}"
            )


class Stream:
    """Some sequences, each with a state of its own. Made by `Network.stream`, `Design.stream`.

    Parameters
    ----------
    network : what runs
    recurrences : how, and what its states are
    batch : how many sequences; by default 1, or as many as `state` has
    state : what to go on from, as the member `state` gives it; by default the initial states

    Raises
    ------
    InputError : for a state of other layers, shapes or values than it can have
    UnsupportedError : for a network that reads time in reverse
    """

    def __init__(
        self,
        network: Network,
        recurrences: Recurrences,
        batch: int | None = None,
        state: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        if batch is not None and (type(batch) is not int or batch < 1):
            raise InputError(f"batch must be a whole number from 1 up, not {batch!r}")
        both = [layer.name for layer in network.layers if isinstance(layer, Bidirectional)]
        whole = {**dict.fromkeys(both, "reads time in reverse"), **network.memories}
        for layer, why in whole.items():
            raise UnsupportedError(f"a stream goes on from step to step, but layer {layer!r} {why}")
        self._network = network
        self._recurrences = recurrences
        if state is None:
            self._state = recurrences.initial(batch or 1)
        else:
            self._state = self._restored(state, batch)

    @property
    def batch(self) -> int:
        """How many sequences there are."""
        return next((len(v) for kept in self._state.values() for v in kept.values()), 1)

    @property
    def state(self) -> StateValues:
        """The present states, layer -> state -> values (batch, units): a copy, to be kept."""
        return {
            layer: {name: values.copy() for name, values in kept.items()}
            for layer, kept in self._state.items()
        }

    def clear(self, which: object = True) -> None:
        """Set the states to the initial ones, of all sequences or where `which` (batch,) is True.

        Raises InputError.
        """
        flags = as_flags(which, (self.batch,), "which")
        initial = self._recurrences.initial(self.batch)
        self._state = {
            layer: {
                name: np.where(flags[:, None], initial[layer][name], values)
                for name, values in kept.items()
            }
            for layer, kept in self._state.items()
        }

    def predict(self, x: object, clear: object = False) -> FloatArray:
        """Run on, from the states that were left.

        x has shape (batch, steps, features), any number of steps; the result is that of
        `Network.predict`. `clear` (batch, steps) says which steps begin from the initial state:
        the bits of `s_axis_tuser`. Raises InputError.
        """
        array = checked_input(self._network, x)
        if len(array) != self.batch:
            raise InputError(f"x has {len(array)} sequences, but the stream has {self.batch}")
        flags = as_flags(clear, array.shape[:2], "clear")
        starts = sorted({0, *np.flatnonzero(flags.any(axis=0)).tolist()})
        parts = []
        for start, end in zip(starts, [*starts[1:], array.shape[1]], strict=True):
            if flags[:, start].any():
                self.clear(flags[:, start])
            found, self._state = self._recurrences.advance(array[:, start:end], self._state)
            parts.append(found)
        return np.concatenate(parts, axis=1) if parts[0].ndim == 3 else parts[-1]

    def _restored(
        self, state: Mapping[str, Mapping[str, object]], batch: int | None
    ) -> StateValues:
        shapes = {
            (layer, name): values.shape[1]
            for layer, kept in self._recurrences.initial(1).items()
            for name, values in kept.items()
        }
        given = {(layer, name): v for layer, kept in state.items() for name, v in kept.items()}
        if given.keys() != shapes.keys():
            raise InputError(
                f"state has {', '.join('.'.join(key) for key in given) or 'nothing'}, expected "
                f"{', '.join('.'.join(key) for key in shapes) or 'nothing'}"
            )
        found: StateValues = {}
        for (layer, name), units in shapes.items():
            values = np.array(given[layer, name], dtype=np.float64)
            if batch is None and values.ndim:
                batch = len(values)
            if values.shape != (batch, units):
                raise InputError(
                    f"state {layer}.{name} has shape {values.shape}, expected ({batch}, {units})"
                )
            self._recurrences.check(layer, name, values)
            found.setdefault(layer, {})[name] = values
        return found


def as_flags(given: object, shape: tuple[int, ...], what: str) -> Flags:
    """Return True and False of a shape, from one for all or from an array of that shape.

    Raises InputError.
    """
    flags: NDArray[Any] = np.asarray(given)
    if flags.dtype != np.bool_ or flags.shape not in ((), shape):
        raise InputError(
            f"{what} must be True, False or an array of them of shape {shape}, not "
            f"{flags.dtype} of shape {flags.shape}"
        )
    return np.broadcast_to(flags, shape)
