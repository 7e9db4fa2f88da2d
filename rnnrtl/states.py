"""The states of a design, in three forms: values by name, codes by node, lanes of a beat."""

from collections.abc import Sequence

import numpy as np

from rnnrtl.fixedpoint.exact import IntArray
from rnnrtl.graph.graph import Loop
from rnnrtl.graph.nodes import State
from rnnrtl.graph.program import States
from rnnrtl.layers import FloatArray

StateValues = dict[str, dict[str, FloatArray]]
"""Layer -> state, "h" or "c" -> its values (batch, units)."""


class StateForms:
    """What the states of some loops are called, and in which order they stand in a beat.

    Members
    -------
    nodes : (layer, state) -> its node: the layers in order, of each h and then c
    """

    def __init__(self, loops: Sequence[Loop]) -> None:
        self.nodes: dict[tuple[str, str], State] = {
            (loop.layer, state.name): state for loop in loops for state, _ in loop.states
        }

    def values(self, codes: States) -> StateValues:
        """Return codes by node as values by name."""
        found: StateValues = {}
        for (layer, name), node in self.nodes.items():
            values = codes[node] * 2.0**-node.fraction_bits
            found.setdefault(layer, {})[name] = values
        return found

    def codes(self, values: StateValues) -> States:
        """Return values by name, which are on the states' grids, as codes by node."""
        return {
            node: (values[layer][name] * 2.0**node.fraction_bits).astype(np.int64)
            for (layer, name), node in self.nodes.items()
        }

    def joined(self, codes: States) -> IntArray:
        """Return codes by node as the lanes of a beat, (batch, lanes)."""
        return np.concatenate([codes[node] for node in self.nodes.values()], axis=-1)

    def parted(self, lanes: IntArray) -> States:
        """Return the lanes of a beat (batch, lanes) as codes by node."""
        nodes = list(self.nodes.values())
        ends = np.cumsum([node.size for node in nodes])[:-1]
        return dict(zip(nodes, np.split(lanes, ends, axis=-1), strict=True))
