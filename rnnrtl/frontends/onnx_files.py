"""Read .onnx files, as exporters of PyTorch and Keras write them, into a network.

The graph is run on numbers that only say which number they are: the input's, and then those of each
layer's output, by step, sequence and unit. So what stands between two layers is followed exactly,
whichever operators it is made of, and at each layer it is known whether it gets every step, the
last one, or something else, which is refused. Open lengths are tried with two values.
Source of the equations: https://onnx.ai/onnx/operators/onnx__LSTM.html and onnx__GRU.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends.folding import REFUSED, Affine, Chain
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.onnx_arrays import COMPUTES, MOVES, bounded
from rnnrtl.frontends.onnx_graph import Graph, Node, cast_type, read_graph
from rnnrtl.frontends.onnx_layers import ACTIVATIONS, CELLS, dense, recurrent
from rnnrtl.frontends.onnx_norms import NORMALISATIONS, by_unit
from rnnrtl.frontends.onnx_numbering import Numbering
from rnnrtl.frontends.onnx_pooling import REDUCTIONS, pooling, reduced_axis, without_axis
from rnnrtl.frontends.onnx_reshaping import reshaped
from rnnrtl.frontends.state_dict import with_sequences
from rnnrtl.layers import Bidirectional, Recurrent, Reshape, parts
from rnnrtl.network import Network

# For lengths that the file leaves open: (the first axis, the second), both times different.
_TRIALS = ((2, 5), (3, 4))
_WORK = 1 << 26  # numbers in all arrays of a run


def read_onnx(path: Path) -> Network:
    """Read a file.

    Raises UnsupportedError naming the node that is no part of a chain of layers, ModelError for a
    damaged file.
    """
    try:
        graph = read_graph(path)
        first, *others = [_Run(graph, lengths).network() for lengths in _TRIALS]
    except RnnrtlError as error:
        text = " ".join(str(error).split())  # names in a file hold anything
        raise type(error)(text if text.startswith(str(path)) else f"{path}: {text}") from None
    if any(_outline(other) != _outline(first) for other in others):
        raise UnsupportedError(f"{path}: what the graph computes depends on the number of steps")
    return first


def _outline(network: Network) -> object:
    return [
        (
            part.name,
            part.activation,
            getattr(part, "return_sequences", None),
            getattr(layer, "last_output", None),
            layer.order.tolist() if isinstance(layer, Reshape) else None,
        )
        for layer in network.layers
        for part in parts(layer)
    ]


@dataclass(frozen=True, eq=False)
class _Data:
    """A tensor that depends on the input; the numbers say which one stands at each place."""

    numbers: NDArray[np.int64]


class _Run:
    """Runs the graph once, adding layers as it comes to them."""

    def __init__(self, graph: Graph, lengths: tuple[int, int]) -> None:
        self._graph = graph
        shape = graph.shape
        if len(shape) not in (2, 3) or not shape[-1] or any(length == 0 for length in shape):
            raise UnsupportedError(
                f"the input {graph.input!r} has shape {shape}, expected (batch, steps, features) "
                "or (batch, features), with the number of features given"
            )
        first, second = shape[0] or lengths[0], 1
        if len(shape) == 3:
            second = shape[1] or lengths[1]
        units: int = shape[-1]
        if first * second * units > _WORK:
            raise ModelError(f"the input {graph.input!r} has shape {shape}: too large")
        self._chain = Chain()
        self._now = Numbering((first, second), units)
        self._work = 0
        numbers = np.arange(first * second * units)
        self._values: dict[str, Any] = dict(graph.constants)
        self._values[graph.input] = _Data(
            numbers.reshape(*(first, second)[: len(shape) - 1], units)
        )

    def network(self) -> Network:
        """Run the graph and return what it computes."""
        for node in self._graph.nodes:
            try:
                with np.errstate(all="ignore"):
                    results = self._node(node)
            except RnnrtlError:
                raise
            except Exception as error:  # shapes that do not fit, missing inputs
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                raise ModelError(f"{node} cannot be run: {reason}") from None
            for name, value in zip(node.outputs, results, strict=False):
                if value is not None:
                    self._values[name] = value
                    numbers = value.numbers if isinstance(value, _Data) else value
                    self._work += numbers.size
            if self._work > _WORK:
                raise ModelError(f"{node}: the graph makes more numbers than are read")
        sequences, last_output = self._ending()
        # The axis of the steps is known only with a recurrent layer.
        axis = self._now.steps_axis
        steps = self._graph.shape[axis] if axis is not None else None
        layers = self._chain.finished()
        return Network(with_sequences(layers, last=sequences, last_output=last_output), steps)

    def _node(self, node: Node) -> Sequence[Any]:
        values = [self._input(node, name) for name in node.inputs]
        computed = [value for value in values if isinstance(value, _Data)]
        operator = node.operator
        if not computed:
            function = {**MOVES, **COMPUTES}.get(operator)
            if function is None:
                raise self._unsupported(node)
            return (function(node, values),)
        data = computed[0].numbers
        if operator in CELLS:
            return self._recurrent(node, values)
        if operator == "Shape":
            length = len(data.shape)
            return (np.array(data.shape[node.get("start", 0) : node.get("end", length)], np.int64),)
        if len(computed) == len(values) == 1 or operator in MOVES:
            if operator in MOVES:
                several = operator == "Concat"
                if len(computed) != (len(values) if several else 1) or values[0] is not computed[0]:
                    raise UnsupportedError(f"{node} takes computed numbers in another place")
                plain = [v.numbers if isinstance(v, _Data) else v for v in values]
                return (_Data(MOVES[operator](node, plain)),)
            if (
                operator == "Cast"
                and getattr(np.dtype(cast_type(node.attributes.get("to")) or bool), "kind", "")
                == "f"
            ):
                return (computed[0],)
        if len(computed) > 1 or operator not in (
            "Gemm", "MatMul", "Dropout", *NORMALISATIONS, *ACTIVATIONS, *REDUCTIONS
        ):  # fmt: skip
            raise self._unsupported(node)
        if operator == "Dropout":
            if len(values) > 2 and values[2] is not None and np.any(values[2]):
                raise UnsupportedError(
                    f"{node} drops numbers at random: export the model in eval()"
                )
            return (computed[0],)
        if operator in ACTIVATIONS:
            return (self._activation(node, values, data),)
        if operator in REDUCTIONS:
            return (self._pooled(node, values, data),)
        if operator in NORMALISATIONS:
            return (self._affine(node, values, data),)
        if values[0] is not computed[0]:
            raise UnsupportedError(f"{node} takes computed numbers as weights")
        return (self._dense(node, values, data),)

    def _unsupported(self, node: Node) -> UnsupportedError:
        return UnsupportedError(
            f"{node} is not supported in this place: "
            + REFUSED.get(
                node.operator,
                "only RNN, LSTM, GRU, Gemm and MatMul with weights, "
                + ", ".join((*NORMALISATIONS, *ACTIVATIONS))
                + ", and what moves numbers between them",
            )
        )

    def _input(self, node: Node, name: str) -> Any:
        if not name:
            return None
        if name not in self._values:
            raise UnsupportedError(
                f"{node} takes {name!r}, which no node before it makes, or the last cell state"
            )
        return self._values[name]

    def _changed(self, node: Node, data: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what a layer takes, behind one that changes the steps where those are others.

        `data` is (steps, batch, lanes), or (batch, lanes) where it may be one vector a sequence.
        """
        now, axis = self._now, self._now.steps_axis
        if axis is None or (data.shape[-1:] == (now.units,) and data.ndim == 2):
            return data
        order = now.order()
        whole = now.of(order)
        if any(np.array_equal(data, steps) for steps in (whole, whole[::-1])):
            return data
        ends = self._ends_at_last_step()
        layer = reshaped(self._free("reshape"), data - now.start, order, now.units, ends=ends)
        if layer is None:
            return data
        if layer.steps and not self._fixed_steps(axis):
            raise UnsupportedError(
                f"{node} takes all steps at once, and the file leaves open how many there are: "
                "export the model with a fixed number of steps"
            )
        self._chain.add(layer)
        steps, batch = layer.output_steps or 1, order.shape[1]
        bounded(node, steps * batch * layer.outputs)
        now.next(layer.outputs)
        now.lengths = (steps, batch) if axis == 0 else (batch, steps)
        given = now.of(now.order())
        return given if layer.return_sequences else given[-1]

    def _fixed_steps(self, axis: int) -> int | None:
        """Return how many steps there are; None where the file leaves it open."""
        if any(isinstance(layer, Reshape) for layer in self._chain.layers):
            return self._now.lengths[axis]
        found: int | None = self._graph.shape[axis]
        return found

    def _ends_at_last_step(self) -> bool:
        """Tell whether a layer's last state is what it gives at the last step."""
        steps = [each for each in self._chain.layers if isinstance(each, Recurrent | Bidirectional)]
        return not (steps and isinstance(steps[-1], Bidirectional))

    def _name(self, node: Node, kind: str = "dense") -> str:
        """Return a name for a layer: its module's, where PyTorch's exporter says it, or `kind`."""
        module = "".join(node.name.strip("/").split("/")[-2:-1])
        return self._free(identifier(module, fallback=kind))

    def _free(self, name: str) -> str:
        taken = [layer.name for layer in self._chain.layers]
        number = 1
        while (found := name if number == 1 else f"{name}_{number}") in taken:
            number += 1
        return found

    def _recurrent(self, node: Node, values: Sequence[Any]) -> Sequence[Any]:
        if not isinstance(values[0], _Data) or values[0].numbers.ndim != 3:
            raise UnsupportedError(f"{node} does not take a sequence")
        steps = values[0].numbers.shape[node.get("layout", 0)]
        layer = recurrent(node, self._name(node, node.operator.lower()), values, steps)
        layout = node.get("layout", 0)
        numbers = values[0].numbers.swapaxes(0, 1) if layout else values[0].numbers
        rows = self._now.positions(node, self._changed(node, numbers))
        reverse = node.get("direction", "forward") == "reverse"
        backwards = self._reads_backwards(node, rows[::-1] if reverse else rows)
        if backwards:
            if isinstance(layer, Bidirectional):
                raise self._disordered(node)
            layer = replace(layer, go_backwards=True)
        if layer.features != self._now.units:
            raise ModelError(f"{node} takes {layer.features} features, not {self._now.units}")
        bounded(node, rows.size * layer.outputs)
        self._chain.add(layer)
        order = self._now.order()
        self._now.next(layer.outputs)
        every = self._now.of(order)  # (steps, batch, units), as it reads
        last = every[-1]
        count = 1
        if isinstance(layer, Bidirectional):
            count = 2
            last = self._now.of(self._now.states())
        # To (steps, directions, batch, units), or batch first.
        every = every[::-1] if reverse else every
        every = every.reshape(*order.shape, count, -1)
        last = last.reshape(order.shape[1], count, -1)
        if layout:
            return _Data(every.swapaxes(0, 1)), _Data(last)
        return _Data(every.swapaxes(1, 2)), _Data(last.swapaxes(0, 1))

    def _reads_backwards(self, node: Node, rows: NDArray[np.int64]) -> bool:
        """Tell in which order positions (steps, batch) are read; find out the axis of the steps."""
        known = self._now.steps_axis
        axes = [1, 0] if known is None else [known]
        for backwards in (False, True):
            for axis in axes:  # both fit only where there is one step of one sequence
                order = self._now.order(axis)
                if len(self._graph.shape) == 3 and np.array_equal(
                    order[::-1] if backwards else order, rows
                ):
                    self._now.steps_axis = axis
                    return backwards
        raise self._disordered(node)

    def _disordered(self, node: Node) -> UnsupportedError:
        return UnsupportedError(f"{node} does not take every step of what is before it, in order")

    def _activation(self, node: Node, values: Sequence[Any], data: NDArray[np.int64]) -> _Data:
        data = self._changed(node, data) if data.ndim == 2 else data
        rows = self._now.positions(node, data)
        activation = ACTIVATIONS[node.operator](node, values, data.ndim, self._graph.opset)
        self._chain.activate(self._name(node, activation), activation, self._now.units)
        return self._numbered(rows, self._now.units)

    def _dense(self, node: Node, values: Sequence[Any], data: NDArray[np.int64]) -> _Data:
        data = self._changed(node, data) if data.ndim == 2 else data
        rows = self._now.positions(node, data)
        layer = dense(node, self._name(node), values)
        if layer.features != self._now.units:
            raise ModelError(f"{node} takes {layer.features} features, not {self._now.units}")
        if node.operator == "Gemm" and (data.ndim != 2 or node.get("transA", 0)):
            raise UnsupportedError(f"{node}: transA or an input of {data.ndim} axes")
        bounded(node, rows.size * layer.units)
        self._chain.add(layer)
        return self._numbered(rows, layer.units)

    def _pooled(self, node: Node, values: Sequence[Any], data: NDArray[np.int64]) -> _Data:
        """Make all steps of each sequence one; the axis of the steps must be known."""
        if self._now.steps_axis is None:
            raise self._unsupported(node)
        axis = reduced_axis(node, values, data.ndim)
        rows = self._now.positions(node, data)
        last = without_axis(node, rows, axis, self._now.order())
        steps = self._fixed_steps(self._now.steps_axis)
        self._chain.add(pooling(node, self._name(node, "pooling"), self._now.units, steps))
        return self._numbered(last, self._now.units)

    def _affine(self, node: Node, values: Sequence[Any], data: NDArray[np.int64]) -> _Data:
        """Scale and move each feature, wherever it stands in `data`."""
        now = self._now
        numbers = now.relative(node, data)
        scale, offset = (
            by_unit(node, part, numbers % now.units, now.units)
            for part in NORMALISATIONS[node.operator](node, values, data.ndim)
        )
        self._chain.affine(self._name(node, "norm"), Affine(scale, offset))
        now.next(now.units)
        return _Data(numbers + now.start)

    def _numbered(self, positions: NDArray[np.int64], units: int) -> _Data:
        """Return a new layer's outputs, a row for each position."""
        self._now.next(units)
        return _Data(self._now.of(positions))

    def _ending(self) -> tuple[bool, bool]:
        """Tell whether the output is every step, and else whether it is the output of the last one.

        The last state of a layer is that; of a bidirectional one it is not.
        """
        output = self._values.get(self._graph.output)
        if not isinstance(output, _Data) or not self._chain.finished():
            raise UnsupportedError(f"the output {self._graph.output!r} comes from no layer")
        now = self._now
        order = now.order()
        found = output.numbers.ravel()
        wanted: dict[bool, tuple[tuple[NDArray[np.int64], bool], ...]] = {
            True: ((order, False), (order.T, False))
        }
        if now.steps_axis is not None:
            wanted[False] = ((order[-1], True), (now.states(), False))
        # With one step both are the same: then the number of axes tells.
        for sequences in (output.numbers.ndim > 2, output.numbers.ndim <= 2):
            for positions, last_output in wanted.get(sequences, ()):
                if np.array_equal(found, now.of(positions).ravel()):
                    return sequences, last_output
        raise UnsupportedError(
            f"the output {self._graph.output!r} is neither every step nor the last one of the last "
            "layer"
        )
