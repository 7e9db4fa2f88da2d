"""Quantisation-aware training in the very formats that become hardware; needs torch.

    model = QuantizedNetwork(network, precision)     # weights to begin with, and all formats
    loss_of(model(x), y).backward()                  # any loop of PyTorch's
    design = rnnrtl.generate(model)                  # design.predict(x) == model(x), bit for bit

The cells' equations run on torch tensors, as they do on the graph's nodes and on float64: what is
trained has every rounding, saturation and table of the hardware, with the code that the reference
has for them. Gradients pass roundings straight through, but not values that saturate (Y. Bengio et
al., arXiv 1308.3432; I. Hubara et al., arXiv 1609.07061); those of tables are their functions'.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from rnnrtl.cells.batches import Batch, run
from rnnrtl.errors import PrecisionError, UnsupportedError
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.fixedpoint.format import Format
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.graph.tensors import tensors
from rnnrtl.layers import (
    GRU,
    LSTM,
    Connected,
    Convolution,
    Dense,
    Embedding,
    Gate,
    Part,
    Pooling,
    Reshape,
    SimpleRNN,
    changed,
)
from rnnrtl.lut.measure import apply
from rnnrtl.lut.search import build_table
from rnnrtl.network import Network

Weights = Mapping[str, torch.Tensor]
_PARTS = ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
_UNTRAINED = ("exponential", "argmax")
_MOST_BITS = 32
"""Width of a format up to which sums and products are exact in float64."""


class QuantizedNetwork(torch.nn.Module):
    """A network whose forward has the bits of its hardware, on the CPU in float64.

    Parameters
    ----------
    network : the weights to begin with, such as those that were trained in floats
    precision : what `rnnrtl.generate` takes for one; the network's own where it is left out

    Raises
    ------
    PrecisionError : for no precision, rules that name nothing, and formats beyond 32 bits
    UnsupportedError : for the activations exponential and argmax
    """

    def __init__(self, network: Network, precision: Any = None) -> None:
        super().__init__()
        precision = network.precision if precision is None else precision
        if precision is None:
            raise PrecisionError("the network has no formats of its own: give a precision")
        for layer in network.parts:
            if layer.activation in _UNTRAINED:
                raise UnsupportedError(
                    f"{layer.name}: activation {layer.activation!r} is not trained in fixed point; "
                    "train with 'linear' or 'softmax' in its place"
                )
        self._network = network.replace(precision=Precision.parse(precision))
        self._forms: dict[tuple[str, ...], Format] = {}
        self.precision.check(tensors(network))
        for name, names in tensors(network).items():
            for tensor in names:
                form = self._form(name, tensor)
                if form.width > _MOST_BITS:
                    raise PrecisionError(
                        f"{name}.{tensor} has {form}: training is exact up to {_MOST_BITS} bits"
                    )
        self.weights = torch.nn.ParameterDict(
            {
                f"{layer.name}/{key}": torch.nn.Parameter(torch.from_numpy(values.copy()))
                for layer in network.parts
                for key, values in _weights(layer).items()
            }
        )

    @property
    def precision(self) -> Precision:
        """The format of every tensor."""
        assert self._network.precision is not None
        return self._network.precision

    @property
    def network(self) -> Network:
        """The network as it is trained so far: weights on the grids of their formats."""
        layers = tuple(changed(layer, self._rounded) for layer in self._network.layers)
        return self._network.replace(layers=layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what `Design.predict` does for x (batch, steps, features), as float64."""
        given = _Fake(x.to(torch.float64)).to(self._form("", "input")).values
        layers = [changed(layer, self._live) for layer in self._network.layers]
        found: torch.Tensor = run(
            layers, given, _FakeNumbers(), self._form, mask_value=self._network.mask_value
        )
        return found

    def _form(self, *tensor: str) -> Format:
        """Return the format of (layer, tensor[, gate]); steps ask for them again and again."""
        if tensor not in self._forms:
            self._forms[tensor] = self.precision.format(*tensor)
        return self._forms[tensor]

    def _rounded(self, layer: Part) -> Part:
        """Return a layer with weights on their grids."""
        form = partial(self._form, layer.name)
        found = {
            key: to_values(to_codes(value.detach().numpy(), f), f)
            for key, value in self._own(layer).items()
            for f in [form(key.rpartition("/")[2].replace("recurrent_bias", "bias"))]
        }
        return _with_weights(layer, found)

    def _live(self, layer: Part) -> Part:
        """Return a layer whose weights are the tensors that are trained."""
        return _with_weights(layer, self._own(layer), live=True)

    def _own(self, layer: Part) -> dict[str, torch.Tensor]:
        start = f"{layer.name}/"
        return {
            key.removeprefix(start): value
            for key, value in self.weights.items()
            if key.startswith(start)
        }


def _weights(layer: Part) -> dict[str, NDArray[np.float64]]:
    """Return the constants that a layer's equations have; two biases that are added are one."""
    if isinstance(layer, Pooling | Reshape):
        return {}
    if isinstance(layer, Embedding):
        return {"kernel": layer.kernel}
    if isinstance(layer, Connected):
        return {"kernel": layer.kernel, "bias": layer.bias}
    found = {}
    for name, gate in layer.gates.items():
        apart = isinstance(layer, GRU) and layer.reset_after and name == "n"
        parts = {
            "kernel": gate.kernel,
            "recurrent_kernel": gate.recurrent_kernel,
            "bias": gate.bias if apart else gate.bias + gate.recurrent_bias,
        }
        if apart:
            parts["recurrent_bias"] = gate.recurrent_bias
        found.update({f"{name}/{part}": values for part, values in parts.items()})
    if isinstance(layer, LSTM) and layer.projection is not None:
        found["projection"] = layer.projection
    return found


class _LiveSimpleRNN(SimpleRNN):
    """A plain RNN whose weights are tensors."""

    def __post_init__(self) -> None:
        pass


class _LiveLSTM(LSTM):
    """An LSTM whose weights are tensors."""

    def __post_init__(self) -> None:
        pass


class _LiveGRU(GRU):
    """A GRU whose weights are tensors."""

    def __post_init__(self) -> None:
        pass


class _LiveDense(Dense):
    """A dense layer whose weights are tensors."""

    def __post_init__(self) -> None:
        pass


class _LiveEmbedding(Embedding):
    """An embedding whose weights are tensors."""

    def __post_init__(self) -> None:
        pass


class _LiveConvolution(Convolution):
    """A convolution whose weights are tensors."""

    def __post_init__(self) -> None:
        pass


_LIVE: Mapping[type[Part], type[Part]] = {
    SimpleRNN: _LiveSimpleRNN, LSTM: _LiveLSTM, GRU: _LiveGRU, Dense: _LiveDense,
    Embedding: _LiveEmbedding, Convolution: _LiveConvolution,
}  # fmt: skip


def _with_weights(layer: Part, weights: Mapping[str, Any], *, live: bool = False) -> Part:
    """Return a layer with other weights, by the keys of `_weights`."""
    if isinstance(layer, Pooling | Reshape):
        return layer
    changes: dict[str, Any] = dict(weights)
    if not isinstance(layer, Connected | Embedding):
        changes = {key: value for key, value in weights.items() if "/" not in key}
        changes["gates"] = {}
        for name in layer.gates:
            parts: dict[str, Any] = {part: weights.get(f"{name}/{part}") for part in _PARTS}
            if parts["recurrent_bias"] is None:
                parts["recurrent_bias"] = 0 * parts["bias"]
            changes["gates"][name] = Gate(**parts)
    if not live:
        return replace(layer, **changes)
    members = {member.name: getattr(layer, member.name) for member in fields(layer)}
    return _LIVE[type(layer)](**{**members, **changes})


class _Straight(torch.autograd.Function):
    """Values brought into a format, and a gradient that passes where they do not overflow."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, form: Format) -> torch.Tensor:
        lowest, highest = form.min_code * form.lsb, form.max_code * form.lsb
        ctx.save_for_backward((x >= lowest - form.lsb) & (x <= highest + form.lsb))
        return torch.from_numpy(to_values(to_codes(x.detach().numpy(), form), form))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None


_SMOOTH: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softsign": torch.nn.functional.softsign,
    "hard_sigmoid": torch.nn.functional.hardsigmoid,
    "hard_sigmoid_keras2": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "hard_sigmoid_hgq": lambda x: torch.clamp(0.25 * x + 0.5, 0, 1),
    "decay": lambda x: torch.sign(x) * -torch.expm1(-x.abs()),
    "rise": lambda x: torch.sign(x) * (np.log(2) - torch.log1p(torch.exp(-x.abs()))),
}
"""Functions whose gradients tables have; their values are the tables'."""


class _Fake(Batch):
    """A batch of vectors of fixed-point numbers, as float64. Implements `cells.numbers.Vector`."""

    def to(self, form: Format) -> Self:
        return type(self)(_Straight.apply(self.values, form))  # type: ignore[no-untyped-call]

    def relu(self) -> Self:
        return type(self)(torch.relu(self.values))

    def limited(self, lowest: int, highest: int) -> Self:
        return type(self)(torch.clamp(self.values, lowest, highest))


class _Instead(torch.autograd.Function):
    """Other values, with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, smooth: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


class _FakeNumbers:
    """Weights as they are trained, on their grids. Implements `cells.numbers.Numbers`."""

    vector = _Fake

    def __init__(self) -> None:
        # A cell asks for its kernels again at every step.
        self._matrices: dict[int, torch.Tensor] = {}

    def constant(self, values: Any, form: Format) -> _Fake:
        if not isinstance(values, torch.Tensor):  # no weight that is trained
            values = torch.tensor(values, dtype=torch.float64)
        return _Fake(values).to(form)

    def matvec(self, matrix: Any, form: Format, x: _Fake) -> _Fake:
        if id(matrix) not in self._matrices:
            self._matrices[id(matrix)] = _Fake(matrix).to(form).values
        return _Fake(x.values @ self._matrices[id(matrix)].T)

    def column(self, matrix: Any, form: Format, x: _Fake) -> _Fake:
        return _Fake(matrix.T[x.values[..., 0].long()]).to(form)

    def zero(self, x: _Fake) -> _Fake:
        return _Fake(torch.zeros_like(x.values))

    def lowest(self, x: _Fake) -> _Fake:
        return _Fake(torch.full_like(x.values, -torch.inf))

    def total(self, a: _Fake, x: _Fake, most: int) -> _Fake:
        return a + x

    def joined(self, vectors: Sequence[_Fake]) -> _Fake:
        batch = max((vector.values for vector in vectors), key=lambda v: v.ndim).shape[:-1]
        parts = [vector.values.expand(*batch, vector.values.shape[-1]) for vector in vectors]
        return _Fake(torch.cat(parts, dim=-1))

    def maximum(self, a: _Fake, b: _Fake) -> _Fake:
        return _Fake(torch.maximum(a.values, b.values))

    def all_equal(self, x: _Fake, value: float, form: Format) -> _Fake:
        equal = (x.values == value).all(dim=-1, keepdim=True)
        return _Fake(equal.to(torch.float64))

    def select(self, condition: _Fake, a: _Fake, b: _Fake) -> _Fake:
        return _Fake(torch.where(condition.values == 1, a.values, b.values))

    def lookup(
        self, x: _Fake, function: str, output: Format, input_: Format, *, fast: bool = False
    ) -> _Fake:
        codes = np.rint(x.values.detach().numpy() / input_.lsb).astype(np.int64)
        found = to_values(apply(build_table(function, input_, output, fast=fast), codes), output)
        smooth = _SMOOTH[function](x.values)
        # The table's value exactly: (found - smooth) + smooth would be rounded.
        return _Fake(_Instead.apply(smooth, torch.from_numpy(found)))  # type: ignore[no-untyped-call]

    def argmax(self, x: _Fake) -> _Fake:
        raise NotImplementedError  # refused beforehand

    def blend(self, z: _Fake, a: _Fake, b: _Fake) -> _Fake:
        return _Fake((1 - z.values) * a.values + z.values * b.values)

    def stacked(self, steps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return (batch, steps, units)."""
        return torch.stack(list(steps), 1)
