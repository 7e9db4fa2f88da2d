"""What is computed once a sequence, parted from what is computed at every step."""

from dataclasses import replace

import numpy as np

from rnnrtl.graph.graph import Graph, topological
from rnnrtl.graph.memories import Queue, Reshaped
from rnnrtl.graph.nodes import LastStep, MatVec, Node, Part
from rnnrtl.graph.stages import copied, word_of


def head_apart(graph: Graph, products: int) -> Graph:
    """Return a graph that has what follows a sequence's last step behind a queue.

    The graph itself where no product by a matrix there is one of so many weights.
    """
    ends = [node for node in graph.nodes() if isinstance(node, LastStep)]
    after: set[Node] = set(ends)
    most = 0
    for node in graph.nodes():
        if any(arg in after for arg in node.args):
            after.add(node)
            if isinstance(node, MatVec):
                most = max(most, int(np.count_nonzero(node.matrix)))
    if most < products:
        return graph
    word = word_of(ends)
    queued = Reshaped((word,), 0, word.lowest, word.highest, memory=Queue(word.size))
    given: dict[Node, Node] = {}
    start = 0
    for end in ends:
        args, lanes = (queued,), (end.lowest, end.highest)
        given[end] = Part(args, end.fraction_bits, *lanes, name=end.name, start=start)
        start += end.size
    copies = copied([graph.output], given)
    layer_of = {**graph.layer_of, **{copies[n]: graph.layer_of[n] for n in copies}}
    output = copies[graph.output]
    for node in topological([output]):
        layer_of.setdefault(node, "")
    return replace(graph, output=output, layer_of=layer_of)
