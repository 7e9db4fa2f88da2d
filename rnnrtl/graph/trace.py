"""From a network and its precision to a graph of exact operations with proved ranges."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rnnrtl import cells
from rnnrtl.cells.numbers import Formats
from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint.exact import to_codes
from rnnrtl.fixedpoint.format import Format
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.graph.lookup import column, look_up
from rnnrtl.graph.masks import all_equal, filling, select
from rnnrtl.graph.memories import gathered, mirrored, played, scattered
from rnnrtl.graph.nodes import Node, State, constant
from rnnrtl.graph.tensors import tensors
from rnnrtl.graph.vectors import (
    argmax,
    blend,
    input_vector,
    joined,
    matvec,
    maximum,
    reordered,
    total,
)
from rnnrtl.graph.weights import check_weights
from rnnrtl.layers import Bidirectional, Dense, Embedding, Layer, Recurrent, Reshape, Stepping
from rnnrtl.lut.search import BOUND_LSB
from rnnrtl.network import Network

_ASCENTS = 4  # range iterations before a state's range is taken to be its whole format

_WIDEST = 256  # bits that no state of exact numbers reaches


@dataclass(frozen=True, eq=False)
class Loop:
    """The recurrence of one layer: each state vector and what it becomes."""

    layer: str
    states: tuple[tuple[State, Node], ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """One time step of a network, as nodes.

    Members
    -------
    input, output : the vectors of a step and of the result
    input_format, output_format : of the two
    loops : the recurrent layers, in order
    layer_of : node -> name of its layer
    return_sequences : whether there is a result every step or one a sequence
    ended : the states after the step, or the last step, of which the result is, where they are
        given out with it: those of the loops, in their order
    """

    input: Node
    output: Node
    input_format: Format
    output_format: Format
    loops: tuple[Loop, ...]
    layer_of: Mapping[Node, str]
    return_sequences: bool
    ended: tuple[Node, ...] = ()

    def nodes(self) -> list[Node]:
        """Return every node, arguments before what uses them."""
        ends = [following for loop in self.loops for _, following in loop.states]
        return list(topological([self.input, *ends, *self.ended, self.output]))


@dataclass(frozen=True)
class Traced:
    """Weights as constants of a graph. Implements `cells.numbers.Numbers`.

    Members
    -------
    few_products : rather few products than as early ones as can be
    table_error : bound of the error of tables, in LSB of what they give
    """

    few_products: bool = False
    table_error: float = BOUND_LSB

    def constant(self, values: NDArray[np.float64], form: Format) -> Node:
        return constant(_weight_codes(values, form).tolist(), form.fraction_bits)

    def matvec(self, matrix: NDArray[np.float64], form: Format, x: Node) -> Node:
        return matvec(_weight_codes(matrix, form), form.fraction_bits, x)

    def column(self, matrix: NDArray[np.float64], form: Format, x: Node) -> Node:
        return column(_weight_codes(matrix, form), form.fraction_bits, x)

    def zero(self, x: Node) -> Node:
        return constant([0] * x.size, x.fraction_bits)

    def lowest(self, x: Node) -> Node:
        return constant(x.lowest, x.fraction_bits)

    def total(self, a: Node, x: Node, most: int) -> Node:
        return total(a, x, most)

    def joined(self, vectors: Sequence[Node]) -> Node:
        return joined(vectors)

    def maximum(self, a: Node, b: Node) -> Node:
        return maximum(a, b)

    def all_equal(self, x: Node, value: float, form: Format) -> Node:
        code = float(value) * 2.0**x.fraction_bits
        if code != int(code) or not min(x.lowest) <= code <= max(x.highest):
            raise PrecisionError(
                f"mask_value {value:g} is no value of {form}, the input's format: give an input "
                "format that has it"
            )
        return all_equal(x, int(code))

    def select(self, condition: Node, a: Node, b: Node) -> Node:
        return select(condition, a, b)

    def lookup(
        self, x: Node, function: str, output: Format, input_: Format, *, fast: bool = False
    ) -> Node:
        return look_up(function, x, input_, output, fast=fast, bound=self.table_error)

    def masked(self, network: Network, x: Node, form: Format) -> Node | None:
        """Return whether a step of the input is masked, one lane; None where none can be."""
        if network.mask_value is None:
            return None
        return self.all_equal(x, network.mask_value, form).named("masked")

    def argmax(self, x: Node) -> Node:
        return argmax(x)

    def blend(self, z: Node, a: Node, b: Node) -> Node:
        return blend(z, a, b, products=1 if self.few_products else 2)


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
        loop, given = _loop(layer, x, form, self._numbers, self._masked, any_state=self._any_state)
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


def _loop(
    layer: Stepping,
    x: Node,
    form: Formats,
    numbers: Traced,
    masked: Node | None = None,
    *,
    any_state: bool = False,
) -> tuple[Loop, Node]:
    """Trace a step of a layer with state ranges that hold at every step; return what it gives, too.

    The ranges are a fixed point of the step, found from the initial state upwards. Where they keep
    growing they are taken to be as wide as their format, or wider than any sum: an LSTM's cell
    state ends in `.to(format)`, and what has no format is bounded where it is made. A last pass
    then narrows them to that, and what reads them. A layer that may begin from `any_state` has the
    ranges of the formats.
    """
    initial = cells.initial(layer, x, numbers, form)
    widths = {name: form(t).width if t else _WIDEST for name, t in layer.states.items()}
    ranges = {name: (start.lowest, start.lowest) for name, start in initial.items()}

    def traced() -> tuple[Loop, Node]:
        states = {
            name: State((), s.fraction_bits, *ranges[name], name=name, initial=s.lowest)
            for name, s in initial.items()
        }
        following = cells.step(layer, x, states, numbers, form, masked)
        loop = Loop(layer.name, tuple((states[name], following[name]) for name in initial))
        return loop, following["h"]

    def reached(loop: Loop) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        return {
            state.name: (
                tuple(map(min, following.lowest, state.initial)),
                tuple(map(max, following.highest, state.initial)),
            )
            for state, following in loop.states
        }

    def whole(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        half, lanes = 1 << (widths[name] - 1), initial[name].size
        return (-half,) * lanes, (half - 1,) * lanes

    if any_state:
        ranges = {name: whole(name) for name in initial}
        return traced()
    for ascent in range(_ASCENTS + len(initial) + 1):
        loop, _ = traced()
        found = reached(loop)
        grown = {
            name: (
                tuple(map(min, found[name][0], ranges[name][0])),
                tuple(map(max, found[name][1], ranges[name][1])),
            )
            for name in initial
        }
        if grown == ranges:
            break
        for name in widths:
            if ascent >= _ASCENTS and grown[name] != ranges[name]:
                grown[name] = whole(name)
        ranges = grown
    ranges = reached(loop)
    return traced()


def _weight_codes(values: NDArray[np.float64], form: Format) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = to_codes(values, form)
    return codes


def topological(ends: list[Node]) -> Iterator[Node]:
    """Yield nodes and all that they are computed from, arguments before what uses them."""
    done: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(end, False) for end in reversed(ends)]
    while stack:
        node, expanded = stack.pop()
        if node in done:
            continue
        if expanded:
            done.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))
