"""From a network and its precision to a graph of exact operations with proved ranges."""

from functools import partial

from rnnrtl import cells
from rnnrtl.cells.numbers import Formats
from rnnrtl.fixedpoint.format import Format
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.graph.graph import Graph, Loop, topological
from rnnrtl.graph.loops import looped
from rnnrtl.graph.masks import filling
from rnnrtl.graph.memories import gathered, mirrored, played, scattered
from rnnrtl.graph.nodes import Node
from rnnrtl.graph.numbers import Traced
from rnnrtl.graph.tensors import tensors
from rnnrtl.graph.vectors import input_vector, reordered
from rnnrtl.graph.weights import check_weights
from rnnrtl.layers import Bidirectional, Dense, Embedding, Layer, Recurrent, Reshape, Stepping
from rnnrtl.lut.search import BOUND_LSB
from rnnrtl.network import Network


def trace(
    network: Network,
    precision: Precision,
    *,
    few_products: bool = False,
    table_error: float = BOUND_LSB,
    state_ports: bool = False,
) -> Graph:
    """Return the graph of one time step of `network` in the formats of `precision`.

    With `few_products` a step may take longer to take fewer multipliers; the bits are the same.
    With `state_ports` states are given out, and begin as anything that their formats hold.
    """
    precision.check(tensors(network))
    input_format = precision.format("", "input")
    x: Node = input_vector(network.features, input_format)
    source, output_format = x, input_format
    numbers = Traced(few_products, table_error)
    masked = numbers.masked(network, source, input_format)
    tracer = _Tracer(numbers, precision, source, masked, any_state=state_ports)
    for layer in network.layers:
        form = partial(precision.format, layer.name)
        if isinstance(layer, Dense | Embedding):
            x = tracer.stateless(layer, x)
            output_format = cells.format_of(layer, form)
        elif isinstance(layer, Bidirectional):
            x = tracer.bidirectional(layer, x)
            output_format = tracer.format_of(layer)
        elif isinstance(layer, Reshape):
            x = tracer.reshaped(layer, x)
        else:
            x = tracer.backwards(x) if layer.go_backwards else x
            x = tracer.stepping(layer, x)
            x = x if layer.return_sequences else tracer.last_step(x)
            output_format = cells.format_of_steps(layer, form, output_format)
    return Graph(
        source,
        x,
        input_format,
        output_format,
        tuple(tracer.loops),
        tracer.layer_of,
        network.return_sequences,
        tracer.ended(last_only=not network.return_sequences) if state_ports else (),
    )


class _Tracer:
    """Layers as nodes, one after the other.

    Members
    -------
    loops : of the recurrent layers so far
    layer_of : node -> name of its layer
    """

    def __init__(
        self,
        numbers: Traced,
        precision: Precision,
        source: Node,
        masked: Node | None,
        *,
        any_state: bool,
    ) -> None:
        self._numbers = numbers
        self._any_state = any_state
        self._masked = masked
        self._precision = precision
        self.loops: list[Loop] = []
        known = [source] if masked is None else [source, masked]
        self.layer_of: dict[Node, str] = dict.fromkeys(topological(known), "")

    def stateless(self, layer: Dense | Embedding, x: Node) -> Node:
        """Return what a layer without states gives."""
        form = self._form(layer)
        check_weights(layer, form)
        return self._owned(layer, cells.apply(layer, x, self._numbers, form))

    def stepping(self, layer: Stepping, x: Node) -> Node:
        """Return what a layer gives at a step, for which x is given."""
        form = self._form(layer)
        check_weights(layer, form)
        loop, given = looped(layer, x, form, self._numbers, self._masked, any_state=self._any_state)
        if layer.lost:
            seen, following, self._masked = filling(layer.lost, self._masked)
            loop = Loop(loop.layer, (*loop.states, (seen, following)))
            self._owned(layer, self._masked)
        self.loops.append(loop)
        for _, following in loop.states:
            self._owned(layer, following)
        return self._owned(layer, given)

    def ended(self, *, last_only: bool) -> tuple[Node, ...]:
        """Return the states of all loops after a step, or after the last one."""
        found = []
        for loop in self.loops:
            for state, following in loop.states:
                end = following.last_step().named(f"{state.name}_ended") if last_only else following
                self.layer_of.setdefault(end, loop.layer)
                found.append(end)
        return tuple(found)

    def last_step(self, h: Node) -> Node:
        """Return the hidden state of the last step."""
        last = h.last_step().named("h_last")
        self.layer_of[last] = self.layer_of[h]
        return last

    def reshaped(self, layer: Reshape, x: Node) -> Node:
        """Return what a layer gives that changes how many steps there are."""
        self._masked = None  # what follows has steps of its own
        if layer.steps == 1:
            x = self.last_step(x)
        elif layer.steps is not None:
            x = self._stored(gathered(x, layer.steps))
        if layer.return_sequences:
            return self._stored(scattered(x, layer.order))
        return self._owned(layer, reordered(x, layer.order))

    def bidirectional(self, layer: Bidirectional, x: Node) -> Node:
        """Return what two layers give, merged."""
        if layer.last_output:
            forward = self.last_step(self.stepping(layer.forward, x))
            backward = self._first_step(layer.backward, x.last_step().named("x_last"))
        else:
            (x, masked), from_end = self._directions(x)
            self._masked = masked
            forward = self.stepping(layer.forward, x)
            x, self._masked = from_end
            backward = self.stepping(layer.backward, x)
            if layer.return_sequences:
                # Backward's steps come in reverse: what goes with forward's is known at the end.
                forward = self._stored(played(forward, backwards=False))
                backward = self._stored(played(backward, backwards=True))
                self._masked = masked and self._stored(played(masked, backwards=False))
            else:
                forward, backward = self.last_step(forward), self.last_step(backward)
        form = self._form(layer)
        return self._owned(layer, cells.merged(layer, forward, backward, self._numbers, form))

    def backwards(self, x: Node) -> Node:
        """Return x as it is read from the last step on; what is masked is from there on, too."""
        _, (x, self._masked) = self._directions(x)
        return x

    def _directions(self, x: Node) -> list[tuple[Node, Node | None]]:
        """Return x and what is masked, as they are read from the first step on, and the last."""
        ends = [x] if self._masked is None else [x, self._masked]
        copies = mirrored(*ends)
        if copies is None:
            both = [
                [self._stored(played(end, backwards=way)) for end in ends] for way in (False, True)
            ]
        else:
            both = [ends, [copies[end] for end in ends]]
            for node, copy in copies.items():
                self.layer_of.setdefault(copy, self.layer_of[node])
        return [(found, masked[0] if masked else None) for found, *masked in both]

    def format_of(self, layer: Bidirectional) -> Format:
        """Return the format of what a bidirectional layer gives."""
        hidden = [self._form(part)("hidden") for part in layer.parts]
        return cells.format_of_merged(layer, self._form(layer), hidden)

    def _first_step(self, layer: Recurrent, x: Node) -> Node:
        """Return the hidden state after a layer's first step."""
        form = self._form(layer)
        check_weights(layer, form)
        state = cells.initial(layer, x, self._numbers, form)
        return self._owned(layer, cells.step(layer, x, state, self._numbers, form)["h"])

    def _stored(self, node: Node) -> Node:
        self.layer_of[node] = ""
        return node

    def _form(self, layer: Layer | Stepping) -> Formats:
        return partial(self._precision.format, layer.name)

    def _owned(self, layer: Layer | Stepping, end: Node) -> Node:
        """Note which layer all nodes are of that nobody owns yet."""
        for node in topological([end]):
            self.layer_of.setdefault(node, layer.name)
        return end
