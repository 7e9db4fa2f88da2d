"""Where values can leave their formats, and how often they do over a batch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.exact import IntArray, rounded_codes
from rnnrtl.fixedpoint.format import Format
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.lookup import LookedUp, Mirror, RomRead
from rnnrtl.graph.nodes import Bounded, Node
from rnnrtl.lut.table import Table


@dataclass(frozen=True, eq=False)
class Place:
    """A vector that is brought into a format, and whose proved range is wider.

    Members
    -------
    layer, vector : where it is
    form : the format
    source : the vector before, on the format's grid
    """

    layer: str
    vector: str
    form: Format
    source: Node

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest value that weights and input format allow."""
        return self._value(min(self.source.lowest)), self._value(max(self.source.highest))

    def _value(self, code: int) -> float:
        return math.ldexp(code, -self.source.fraction_bits)


@dataclass(frozen=True)
class Saturation:
    """How often the values of a vector left their format over a batch.

    Members
    -------
    layer : its name; "" for the network's input
    vector : what it is called in the Verilog; for what a table takes, with the function
    format : what it was brought into
    values : how many there were: sequences x steps x lanes
    overflowed : how many of them the format clipped, wrapped or set to zero
    lowest, highest : the extremes that were met, before that; 0 where there were no values
    """

    layer: str
    vector: str
    format: Format
    values: int
    overflowed: int
    lowest: float
    highest: float

    @property
    def fraction(self) -> float:
        """Share of the values that left the format, 0 to 1."""
        return self.overflowed / self.values if self.values else 0.0


def places(graph: Graph) -> Iterator[Place]:
    """Yield every place at which the format can change a value by more than rounding.

    Tables saturate by themselves: what goes into one is a place only where the function still
    rises, by more than an LSB of what the table gives, at the end of the format.
    """
    titles = _titles(graph)
    for node in graph.nodes():
        layer = graph.layer_of[node]
        if isinstance(node, Bounded):
            yield Place(layer, titles[node], node.form, node.args[0])
        elif isinstance(node, Mirror | LookedUp) and not _flat_at_the_end(node.table):
            source = _table_input(node)
            form = node.table.input
            fits = min(source.lowest) >= form.min_code and max(source.highest) <= form.max_code
            if not fits:
                name = f"{titles[source]}, into {node.table.function.name}"
                yield Place(layer, name, form, source)


def _titles(graph: Graph) -> dict[Node, str]:
    """Return each node's name, or that of the first named one that is computed from it."""
    titles: dict[Node, str] = {}
    for node in reversed(graph.nodes()):
        titles[node] = node.name or titles.get(node, "")
        for arg in node.args:
            titles.setdefault(arg, titles[node])
    return titles


def _flat_at_the_end(table: Table) -> bool:
    last = np.asarray(table.input.max_code * table.input.lsb)
    return bool(table.function.asymptote - table.function.real(last) <= table.output.lsb)


def _table_input(node: Mirror | LookedUp) -> Node:
    """Return the vector that a table is read at, before it is limited to the table's addresses."""
    if isinstance(node, Mirror):
        return node.args[0]
    read: Node = node
    while not isinstance(read, RomRead):
        read = read.args[0]
    limited = read.args[0]
    return limited.args[0]


def saturation(graph: Graph, x: NDArray[np.float64], codes: IntArray) -> tuple[Saturation, ...]:
    """Run the reference and count; see `Design.saturation`. `codes` are those of x."""
    given = rounded_codes(x, graph.input_format)
    found = list(places(graph))
    counts = [_Count() for _ in range(1 + len(found))]
    watched: dict[Node, list[tuple[Format, _Count]]] = {}
    for place, count in zip(found, counts[1:], strict=True):
        watched.setdefault(place.source, []).append((place.form, count))
    counts[0].add(given, graph.input_format)

    def observe(node: Node, values: IntArray) -> None:
        for form, count in watched.get(node, ()):
            count.add(values, form)

    evaluate(graph, codes, observe=observe)
    # The network's own input is the one source that the reference does not compute.
    observe(graph.input, codes)
    kinds = [("", "input", graph.input_format)] + [(p.layer, p.vector, p.form) for p in found]
    return tuple(
        Saturation(
            layer,
            vector,
            form,
            count.values,
            count.overflowed,
            math.ldexp(count.lowest, -form.fraction_bits),
            math.ldexp(count.highest, -form.fraction_bits),
        )
        for (layer, vector, form), count in zip(kinds, counts, strict=True)
    )


@dataclass
class _Count:
    values: int = 0
    overflowed: int = 0
    lowest: int = 0
    highest: int = 0

    def add(self, codes: IntArray, form: Format) -> None:
        """Count codes on the grid of a format."""
        if not codes.size:
            return
        low, high = int(codes.min()), int(codes.max())
        if self.values:
            low, high = min(low, self.lowest), max(high, self.highest)
        self.values += codes.size
        self.overflowed += int(((codes < form.min_code) | (codes > form.max_code)).sum())
        self.lowest, self.highest = low, high
