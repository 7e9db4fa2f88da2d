"""From a network and its precision to a graph of exact operations with proved ranges."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rnnrtl import cells
from rnnrtl.cells.numbers import Formats
from rnnrtl.errors import PrecisionWarning
from rnnrtl.fixedpoint.exact import rounded_codes, to_codes
from rnnrtl.fixedpoint.format import Format, Overflow
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.graph.lookup import look_up
from rnnrtl.graph.nodes import Node, State, constant, part
from rnnrtl.graph.tensors import tensors
from rnnrtl.graph.vectors import argmax, blend, input_vector, joined, matvec, maximum
from rnnrtl.layers import GRU, LSTM, Dense, Recurrent
from rnnrtl.lut.search import BOUND_LSB
from rnnrtl.network import Network

_OVERFLOWING = {
    Overflow.SAT: "saturate",
    Overflow.SAT_SYM: "saturate",
    Overflow.SAT_ZERO: "become zero",
    Overflow.WRAP: "wrap",
}

_ASCENTS = 4  # range iterations before a state's range is taken to be its whole format


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
    """

    input: Node
    output: Node
    input_format: Format
    output_format: Format
    loops: tuple[Loop, ...]
    layer_of: Mapping[Node, str]
    return_sequences: bool

    def nodes(self) -> list[Node]:
        """Return every node, arguments before what uses them."""
        ends = [following for loop in self.loops for _, following in loop.states]
        return list(_topological([self.input, *ends, self.output]))


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

    def joined(self, vectors: Sequence[Node]) -> Node:
        return joined(vectors)

    def maximum(self, a: Node, b: Node) -> Node:
        return maximum(a, b)

    def lookup(
        self, x: Node, function: str, output: Format, input_: Format, *, fast: bool = False
    ) -> Node:
        return look_up(function, x, input_, output, fast=fast, bound=self.table_error)

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
) -> Graph:
    """Return the graph of one time step of `network` in the formats of `precision`.

    With `few_products` a step may take longer to take fewer multipliers; the bits are the same.
    """
    numbers = Traced(few_products, table_error)
    precision.check(tensors(network))
    input_format = precision.format("", "input")
    x: Node = input_vector(network.features, input_format)
    source, output_format = x, input_format
    loops: list[Loop] = []
    layer_of: dict[Node, str] = {x: ""}
    for layer in network.layers:
        form = partial(precision.format, layer.name)
        _check_weights(layer, form)
        if isinstance(layer, Dense):
            x = cells.apply_dense(layer, x, numbers, form)
            output_format = cells.format_of_dense(layer, form)
        else:
            loop = _loop(layer, x, form, numbers)
            loops.append(loop)
            x = next(following for state, following in loop.states if state.name == "h")
            output_format = form("hidden")
        states = [following for loop in loops[-1:] for _, following in loop.states]
        for node in _topological([*states, x]):
            layer_of.setdefault(node, layer.name)
        if isinstance(layer, Recurrent) and not layer.return_sequences:
            x = x.last_step().named("h_last")
            layer_of[x] = layer.name
    return Graph(
        source, x, input_format, output_format, tuple(loops), layer_of, network.return_sequences
    )


def trace_unrolled(
    network: Network, precision: Precision, steps: int, *, table_error: float = BOUND_LSB
) -> Graph:
    """Return the graph of a whole sequence: every recurrent layer has a cell for each step.

    Input and output are the vectors of all steps, one after the other (the output only where the
    network returns sequences). It computes the same bits as the graph of `trace`.
    """
    numbers = Traced(table_error=table_error)
    precision.check(tensors(network))
    input_format = precision.format("", "input")
    size = network.features
    source: Node = input_vector(size * steps, input_format)
    xs: list[Node] = [part(source, t * size, (t + 1) * size) for t in range(steps)]
    output_format = input_format
    layer_of: dict[Node, str] = dict.fromkeys([source, *xs], "")
    for layer in network.layers:
        form = partial(precision.format, layer.name)
        if isinstance(layer, Dense):
            following: list[Node] = [cells.apply_dense(layer, x, numbers, form) for x in xs]
            output_format = cells.format_of_dense(layer, form)
        else:
            state: dict[str, Node] = {
                name: numbers.constant(layer.initial[name], form(tensor))
                for name, tensor in layer.states.items()
            }
            following = []
            for x in xs:
                state = cells.step(layer, x, state, numbers, form)
                following.append(state["h"])
            output_format = form("hidden")
        for t, x in enumerate(following):
            step_name = f"{layer.name}_step_{t}" if len(following) > 1 else layer.name
            for node in _topological([x]):
                layer_of.setdefault(node, step_name)
        ended = isinstance(layer, Recurrent) and not layer.return_sequences
        xs = following[-1:] if ended else following
    output = xs[0] if len(xs) == 1 else joined(xs)
    layer_of[output] = layer_of.get(output, network.layers[-1].name)
    return Graph(source, output, input_format, output_format, (), layer_of, return_sequences=False)


def _loop(layer: Recurrent, x: Node, form: Formats, numbers: Traced) -> Loop:
    """Trace a step of a recurrent layer with state ranges that hold at every step.

    The ranges are a fixed point of the step, found from the initial state upwards. Where they keep
    growing (an LSTM's cell state) the format bounds them, since every state ends in `.to(format)`;
    a last pass then narrows what the others follow from.
    """
    formats = {name: form(tensor) for name, tensor in layer.states.items()}
    initial = {
        name: tuple(_weight_codes(layer.initial[name], f).tolist()) for name, f in formats.items()
    }
    ranges = {name: (codes, codes) for name, codes in initial.items()}

    def traced() -> Loop:
        states = {
            name: State((), f.fraction_bits, *ranges[name], name=name, initial=initial[name])
            for name, f in formats.items()
        }
        following = cells.step(layer, x, states, numbers, form)
        return Loop(layer.name, tuple((states[name], following[name]) for name in formats))

    def reached(loop: Loop) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        return {
            state.name: (
                tuple(map(min, following.lowest, state.initial)),
                tuple(map(max, following.highest, state.initial)),
            )
            for state, following in loop.states
        }

    for ascent in range(_ASCENTS + len(formats) + 1):
        loop = traced()
        found = reached(loop)
        grown = {
            name: (
                tuple(map(min, found[name][0], ranges[name][0])),
                tuple(map(max, found[name][1], ranges[name][1])),
            )
            for name in formats
        }
        if grown == ranges:
            break
        for name, f in formats.items():
            if ascent >= _ASCENTS and grown[name] != ranges[name]:
                half = 1 << (f.width - 1)
                lanes = len(initial[name])
                grown[name] = ((-half,) * lanes, (half - 1,) * lanes)
        ranges = grown
    ranges = reached(loop)
    return traced()


def _check_weights(layer: Recurrent | Dense, form: Formats) -> None:
    """Warn of weights that a format cannot hold."""
    weights: dict[str, list[NDArray[np.float64]]]
    if isinstance(layer, Dense):
        weights = {"kernel": [layer.kernel], "bias": [layer.bias]}
    else:
        gates = layer.gates.values()
        weights = {
            "kernel": [g.kernel for g in gates],
            "recurrent_kernel": [g.recurrent_kernel for g in gates],
            "bias": _biases(layer),
        }
        if isinstance(layer, LSTM) and layer.projection is not None:
            weights["projection"] = [layer.projection]
        for name, tensor in layer.states.items():
            weights[tensor] = [*weights.get(tensor, ()), layer.initial[name]]
    for tensor, arrays in weights.items():
        f = form(tensor)
        values = np.concatenate([a.ravel() for a in arrays])
        # Rounded as the weights are: of TRN and a tie of RND the real values do not tell.
        codes = rounded_codes(values, f)
        out = int(((codes < f.min_code) | (codes > f.max_code)).sum())
        if out:
            low, high = f.min_code * f.lsb, f.max_code * f.lsb
            warnings.warn(
                f"{out} of {values.size} weights of {layer.name}.{tensor} "
                f"{_OVERFLOWING[f.overflow]} in {f}: they span {values.min():.4g} to "
                f"{values.max():.4g}, it {low:.4g} to {high:.4g}",
                PrecisionWarning,
                stacklevel=2,
            )


def _biases(layer: Recurrent) -> list[NDArray[np.float64]]:
    """Return the biases that the cell has as constants: the two of a gate are one, but for n."""
    apart = isinstance(layer, GRU) and layer.reset_after
    arrays = [g.bias + g.recurrent_bias for name, g in layer.gates.items() if name != "n"]
    if "n" in layer.gates:
        n = layer.gates["n"]
        arrays += [n.bias, n.recurrent_bias] if apart else [n.bias + n.recurrent_bias]
    return arrays


def _weight_codes(values: NDArray[np.float64], form: Format) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = to_codes(values, form)
    return codes


def _topological(ends: list[Node]) -> Iterator[Node]:
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
