"""From a network and its precision to the graph of a whole sequence, without a loop."""

from collections.abc import Sequence
from functools import partial

from rnnrtl import cells
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.graph.graph import Graph, topological
from rnnrtl.graph.nodes import Node, part
from rnnrtl.graph.numbers import Traced
from rnnrtl.graph.tensors import tensors
from rnnrtl.graph.vectors import input_vector, joined, reordered
from rnnrtl.layers import Bidirectional, Dense, Embedding, Layer, Reshape, Stepping
from rnnrtl.lut.search import BOUND_LSB
from rnnrtl.network import Network


def trace_unrolled(
    network: Network, precision: Precision, steps: int, *, table_error: float = BOUND_LSB
) -> Graph:
    """Return the graph of a whole sequence: every recurrent layer has a cell for each step.

    Input and output are the vectors of all steps, one after the other (the output only where the
    network returns sequences). It computes the same bits as the graph of `trace`.
    """
    precision.check(tensors(network))
    input_format = precision.format("", "input")
    size = network.features
    source: Node = input_vector(size * steps, input_format)
    xs: list[Node] = [part(source, t * size, (t + 1) * size) for t in range(steps)]
    output_format = input_format
    numbers = Traced(table_error=table_error)
    masks = [numbers.masked(network, x, input_format) for x in xs]
    known = [*xs, *(masked for masked in masks if masked is not None)]
    layer_of: dict[Node, str] = dict.fromkeys(topological([source, *known]), "")

    def own(layer: Layer | Stepping, vectors: Sequence[Node]) -> None:
        for t, x in enumerate(vectors):
            name = f"{layer.name}_step_{t}" if len(vectors) > 1 else layer.name
            for node in topological([x]):
                layer_of.setdefault(node, name)

    def stepping(layer: Stepping, vectors: Sequence[Node]) -> list[Node]:
        form = partial(precision.format, layer.name)
        state, found = cells.initial(layer, vectors[0], numbers, form), []
        for x, masked in zip(vectors, masks[-len(vectors) :], strict=True):
            state = cells.step(layer, x, state, numbers, form, masked)
            found.append(state["h"])
        own(layer, found)
        return found[layer.lost :]

    for layer in network.layers:
        form = partial(precision.format, layer.name)
        if isinstance(layer, Dense | Embedding):
            xs = [cells.apply(layer, x, numbers, form) for x in xs]
            output_format = cells.format_of(layer, form)
        elif isinstance(layer, Bidirectional):
            forward, backward = stepping(layer.forward, xs), stepping(layer.backward, xs[::-1])
            pairs = cells.pairs(layer, forward, backward)
            xs = [cells.merged(layer, *pair, numbers, form) for pair in pairs]
            hidden = [precision.format(part.name, "hidden") for part in layer.parts]
            output_format = cells.format_of_merged(layer, form, hidden)
        elif isinstance(layer, Reshape):
            x = joined(xs) if len(xs) > 1 else xs[0]
            orders = layer.order if layer.return_sequences else [layer.order]
            xs = [reordered(x, order) for order in orders]
            masks = [None] * len(xs)
        else:
            xs = stepping(layer, xs[::-1] if layer.go_backwards else xs)
            xs = xs if layer.return_sequences else xs[-1:]
            output_format = cells.format_of_steps(layer, form, output_format)
        own(layer, xs)
    output = xs[0] if len(xs) == 1 else joined(xs)
    layer_of[output] = layer_of.get(output, network.layers[-1].name)
    return Graph(source, output, input_format, output_format, (), layer_of, return_sequences=False)
