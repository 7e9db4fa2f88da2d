"""A graph with memories in it as graphs without, and the memories between them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rnnrtl.fixedpoint.format import Format
from rnnrtl.graph.graph import Graph, Loop
from rnnrtl.graph.memories import Memory, Played, Reshaped, Reversal, Stored
from rnnrtl.graph.nodes import Input, Joined, Node, Part


@dataclass(frozen=True, eq=False)
class Stage:
    """A graph without `Stored` nodes, and the memory in front of it, if there is one."""

    graph: Graph
    memory: Memory | None = None


def stages(graph: Graph) -> tuple[Stage, ...]:
    """Cut a graph at its `Stored` nodes; without any it stays as it is.

    Whatever a stage reads must come out of the same memory.
    """
    levels = _levels(graph)
    count = max(levels.values()) + 1
    if count == 1:
        return (Stage(graph),)
    words: list[dict[Node, None]] = [{} for _ in range(count)]
    for node in graph.nodes():
        if isinstance(node, Stored):
            words[levels[node]][node.args[0]] = None
    # Where the input goes into a memory as it is, nothing is computed before that.
    first = int(set(words[1]) == {graph.input})
    sources = [_source(graph, levels, level, words[level]) for level in range(count)]
    # Whether a stage gives a result every step: as the memory behind it asks, or the network.
    each = [*(m.every_step for _, _, m in sources[1:] if m is not None), graph.return_sequences]
    found = []
    for level in range(first, count):
        source, given, memory = sources[level]
        loops = tuple(
            loop for loop in graph.loops if max(levels[end] for _, end in loop.states) == level
        )
        ends = [graph.output] if level == count - 1 else list(words[level + 1])
        copies = copied([*ends, *(end for loop in loops for _, end in loop.states)], given)
        layer_of = {copy: graph.layer_of.get(node, "") for node, copy in copies.items()}
        output = copies[graph.output] if level == count - 1 else word_of(copies[e] for e in ends)
        made = Graph(
            source,
            output,
            graph.input_format if level == first else _format(source),
            graph.output_format if level == count - 1 else _format(output),
            tuple(
                Loop(loop.layer, tuple((state, copies[end]) for state, end in loop.states))
                for loop in loops
            ),
            {**layer_of, source: "", output: layer_of.get(output, "")},
            return_sequences=each[level],
        )
        found.append(Stage(made, memory))
    return tuple(found)


def _levels(graph: Graph) -> dict[Node, int]:
    """Return how many memories are before each node; before constants, as many as nobody asks."""
    levels: dict[Node, int] = {}
    for _ in range(2):  # a loop is where its inputs are, and only its end tells
        starts: dict[Node, int] = {}
        for loop in graph.loops:
            level = max(levels.get(end, 0) for _, end in loop.states)
            starts |= {state: level for state, _ in loop.states}
        for node in graph.nodes():
            before = max((levels[arg] for arg in node.args), default=starts.get(node, 0))
            levels[node] = before + isinstance(node, Stored)
    return levels


def _source(
    graph: Graph, levels: dict[Node, int], level: int, words: dict[Node, None]
) -> tuple[Node, dict[Node, Node], Memory | None]:
    """Return what a stage takes in, the nodes that are part of it, and the memory before it."""
    if level == 0:
        return graph.input, {graph.input: graph.input}, None
    wanted = [n for n in graph.nodes() if isinstance(n, Stored) and levels[n] == level]
    (first, *others) = wanted
    if isinstance(first, Reshaped):
        assert not others, "layers are in series"
        source = Input((), first.fraction_bits, first.lowest, first.highest, name="x")
        return source, {first: source}, first.memory
    return _reversed([n for n in wanted if isinstance(n, Played)], words)


def _reversed(
    wanted: list[Played], words: dict[Node, None]
) -> tuple[Node, dict[Node, Node], Memory]:
    """Return what `_source` does, for a memory that plays from both ends."""
    starts, lanes = {}, 0
    for word in words:
        starts[word] = lanes
        lanes += word.size
    sides: list[tuple[int, ...]] = []
    order: dict[tuple[Node, bool], int] = {}
    lowest: tuple[int, ...] = ()
    highest: tuple[int, ...] = ()
    for backwards in (False, True):
        side: tuple[int, ...] = ()
        for word in words:
            if any(n.args[0] is word and n.backwards == backwards for n in wanted):
                order[word, backwards] = len(lowest)
                side += tuple(range(starts[word], starts[word] + word.size))
                lowest, highest = lowest + word.lowest, highest + word.highest
        sides.append(side)
    source = Input((), 0, lowest, highest, name="x")
    parts = {
        (word, backwards): Part(
            (source,), word.fraction_bits, word.lowest, word.highest, start=start
        )
        for (word, backwards), start in order.items()
    }
    given: dict[Node, Node] = {n: parts[n.args[0], n.backwards] for n in wanted}
    return source, given, Reversal(lanes, *sides)


def copied(ends: Iterable[Node], given: dict[Node, Node]) -> dict[Node, Node]:
    """Return copies of nodes and all that they are computed from, on others that are given."""
    copies = dict(given)
    stack = list(ends)
    while stack:
        node = stack[-1]
        missing = [arg for arg in node.args if arg not in copies]
        if node in copies or not missing:
            stack.pop()
        stack += [] if node in copies else missing
        if node not in copies and not missing:
            args = tuple(copies[arg] for arg in node.args)
            same = all(a is b for a, b in zip(args, node.args, strict=True))
            copies[node] = node if same else replace(node, args=args)
    return copies


def word_of(vectors: Iterable[Node]) -> Node:
    """Return what goes into a memory: codes side by side, wherever their binary points are."""
    parts = tuple(vectors)
    lowest = tuple(v for x in parts for v in x.lowest)
    highest = tuple(v for x in parts for v in x.highest)
    return Joined(parts, 0, lowest, highest, name="word")


def _format(node: Node) -> Format:
    """Return the narrowest format of the codes of all lanes."""
    width = max(
        max(~low if low < 0 else low, high).bit_length() + 1
        for low, high in zip(node.lowest, node.highest, strict=True)
    )
    return Format(width, width)
