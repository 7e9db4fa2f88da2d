"""Read modules of Brevitas (github.com/Xilinx/brevitas): its own numbers, bit for bit.

QuantRNN, QuantLSTM, QuantLinear, QuantIdentity, QuantReLU, QuantSigmoid and QuantTanh, with scales
that are powers of two (`Int8ActPerTensorFixedPoint` and the like) and a scale for a tensor. Where
Brevitas rounds a sum half to even, so does the hardware (RND_CONV); an unsigned quantiser becomes a
signed format with a bit more.

The module's own float32 sums are exact while they stay below 2^24 steps of their grid; the trial
run is in float64.
"""

import copy
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.frontends.brevitas_cells import lstm, rnn
from rnnrtl.frontends.brevitas_parts import Weights, format_of
from rnnrtl.frontends.module_ways import readings, ways
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.quantised import (
    WIDEST_SUMS,
    exact_format,
    exact_output,
    fixed_outputs,
    unlike,
)
from rnnrtl.frontends.state_dict import with_sequences
from rnnrtl.frontends.trial import first_line, run_module, trial_sequences
from rnnrtl.layers import Dense, FloatArray, Layer
from rnnrtl.network import Network

_LAYERS = (
    "QuantLSTM", "QuantRNN", "QuantLinear", "QuantIdentity", "QuantReLU", "QuantSigmoid",
    "QuantTanh",
)  # fmt: skip


def is_brevitas(module: Any) -> bool:
    """Tell whether a module has layers of Brevitas."""
    return any(type(part).__module__.startswith("brevitas.") for part in module.modules())


def read_brevitas(module: Any) -> Network:
    """Build the network of a module, with the formats that it was trained in.

    The module itself is left as it is. Raises UnsupportedError for what has no equal in fixed
    point, ModelError where a trial run gives other bits.
    """
    torch: Any = importlib.import_module("torch")
    nn: Any = importlib.import_module("brevitas.nn")
    kind = type(module).__name__
    error: Exception | None = None
    for dtype in ("float64", "float32"):
        try:
            twin = copy.deepcopy(module).to(device="cpu", dtype=getattr(torch, dtype)).eval()
        except Exception as failure:  # the user's code, which may raise anything
            raise ModelError(f"{kind} cannot be copied: {first_line(failure)}") from None
        for batched in (True, False):
            units = list(_units(nn, twin))
            x = trial_sequences(_features(nn, units))
            weights = Weights(twin)
            try:
                given = x if batched else x.swapaxes(0, 1)
                y = run_module(torch, twin, given, dtype)
            except Exception as failure:
                error = error or ModelError(f"{kind} fails on {given.shape}: {first_line(failure)}")
                continue
            finally:
                weights.close()
            network = _Reader(torch, nn, weights).network(units)
            try:
                return _proved(kind, network, x, y)
            except ModelError as failure:
                error = failure
    assert error is not None
    raise error


def _proved(kind: str, network: Network, x: FloatArray, y: FloatArray) -> Network:
    """Return the network with the sequences that the module gives, if its bits are y."""
    error = ModelError(f"{kind} gives outputs of another shape than its layers in order")
    for layers in ways(network.layers):
        way = network.replace(layers=layers)
        expected = fixed_outputs(way, x)
        for found in readings(y, expected):
            if np.array_equal(found, expected):
                return way
            error = unlike(kind, found, expected)
    raise error


def _units(nn: Any, module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield Brevitas' layers, and other modules without children, in order of registration."""
    known = isinstance(module, tuple(getattr(nn, kind) for kind in _LAYERS))
    children = list(module.named_children())
    if known or not children:
        yield name, module
        return
    own = next(iter(module.named_parameters(recurse=False)), None)
    if own is not None:
        raise UnsupportedError(
            f"{name or type(module).__name__}: its parameter {own[0]} is unknown"
        )
    for part, child in children:
        yield from _units(nn, child, f"{name}.{part}" if name else part)


def _features(nn: Any, units: list[tuple[str, Any]]) -> int:
    for _, unit in units:
        if isinstance(unit, nn.QuantLSTM | nn.QuantRNN):
            return int(unit.layers[0][0].input_size)
        if isinstance(unit, nn.QuantLinear):
            return int(unit.in_features)
    raise UnsupportedError("the module has no QuantRNN, QuantLSTM or QuantLinear")


class _Reader:
    """Layers and their formats, as they are met; `at` is the format of what the last one gives.

    It is None where that is an exact sum which nothing has rounded yet.
    """

    def __init__(self, torch: Any, nn: Any, weights: Weights) -> None:
        self._torch, self._nn, self._weights = torch, nn, weights
        self._layers: list[Layer] = []
        self._rules: dict[str, Format] = {}
        self._at: Format | None = None
        self._before: Format | None = None  # what the last layer takes in

    def network(self, units: list[tuple[str, Any]]) -> Network:
        for name, unit in units:
            self._read(name, unit)
        if self._at is None and self._layers:
            last = self._last("the end")
            self._settle(self._exact(last))
        default = self._rules.get("input", Format(16, 6))
        precision = Precision(default, tuple(self._rules.items()))
        layers = with_sequences(self._layers, last=True)
        return Network(layers, precision=precision)

    def _read(self, name: str, unit: Any) -> None:
        nn, torch = self._nn, self._torch
        where = f"{name} ({type(unit).__name__})" if name else type(unit).__name__
        if isinstance(unit, nn.QuantRNN | nn.QuantLSTM):
            self._stack(name, where, unit)
        elif isinstance(unit, nn.QuantLinear):
            self._linear(name, where, unit)
        elif isinstance(unit, nn.QuantIdentity):
            self._quantised(format_of(unit.act_quant, where))
        elif isinstance(unit, nn.QuantReLU):
            self._relu(where, format_of(unit.act_quant, where, never_negative=True))
        elif isinstance(unit, nn.QuantSigmoid | nn.QuantTanh):
            function = "sigmoid" if isinstance(unit, nn.QuantSigmoid) else "tanh"
            positive = function == "sigmoid"
            form = format_of(unit.act_quant, where, never_negative=positive, of_table=True)
            self._function(where, function, form)
        elif isinstance(unit, torch.nn.ReLU):
            self._activate(where, "relu")
        elif not (
            isinstance(unit, torch.nn.Identity | torch.nn.Dropout)
            or not (type(unit).__module__.startswith("torch.") or unit.state_dict())
        ):
            raise UnsupportedError(
                f"{where} has no format: only {', '.join(_LAYERS)}, "
                "ReLU, Identity and Dropout have an equal in fixed point"
            )

    def _last(self, where: str) -> Dense:
        if not self._layers or not isinstance(self._layers[-1], Dense):
            raise UnsupportedError(
                f"{where} does not follow a QuantLinear: only there it can stand"
            )
        return self._layers[-1]

    def _exact(self, last: Dense) -> Format:
        assert self._before is not None
        forms = (self._rules[f"{last.name}.{tensor}"] for tensor in ("kernel", "bias"))
        return exact_output(last, self._before, *forms)

    def _settle(self, form: Format) -> None:
        self._rules[f"{self._layers[-1].name}.output"] = self._at = form

    def _quantised(self, form: Format) -> None:
        """Bring what there is into a format."""
        if not self._layers and self._at is None:
            self._rules["input"] = self._at = form
        elif self._at is None:
            self._settle(form)
        elif form != self._at:
            raise UnsupportedError(
                f"{self._layers[-1].name if self._layers else 'the input'} is quantised twice, to "
                f"{self._at} and then to {form}: share the quantiser, or leave one out"
            )

    def _activate(self, where: str, function: str) -> None:
        last = self._last(where)
        if last.activation != "linear":
            raise UnsupportedError(f"{where} follows {last.activation}: only one activation can")
        self._layers[-1] = Dense(last.name, last.kernel, last.bias, function)

    def _relu(self, where: str, form: Format) -> None:
        at = self._at
        self._activate(where, "relu")
        if at is not None and (form.fraction_bits != at.fraction_bits or form.width < at.width):
            raise UnsupportedError(f"{where} rounds {at} again, to {form}: leave one quantiser out")
        self._settle(form if at is None else at)

    def _function(self, where: str, function: str, form: Format) -> None:
        last = self._last(where)
        if self._at is None:
            raise UnsupportedError(
                f"{where} takes a sum that is not quantised: put a QuantIdentity before it"
            )
        self._activate(where, function)
        self._rules[f"{last.name}.preactivation"] = self._at
        self._settle(form)

    def _linear(self, name: str, where: str, unit: Any) -> None:
        if unit.input_quant.is_quant_enabled:
            self._quantised(format_of(unit.input_quant, f"{where}.input_quant"))
        if self._at is None:
            self._unquantised(where)
        self._before = self._at
        shape = unit.out_features, unit.in_features
        kernel = self._weights.of(unit.weight_quant, shape)
        bias = self._weights.of(unit.bias_quant, shape[:1])
        layer = Dense(identifier(name, fallback="dense"), kernel, bias)
        self._layers.append(layer)
        self._rules[f"{layer.name}.kernel"] = exact_format([kernel], f"{where}.weight")
        self._rules[f"{layer.name}.bias"] = exact_format([bias], f"{where}.bias", WIDEST_SUMS)
        self._at = None
        if unit.output_quant.is_quant_enabled:
            self._settle(format_of(unit.output_quant, f"{where}.output_quant"))

    def _unquantised(self, where: str) -> None:
        if not self._layers:
            raise UnsupportedError(
                f"the input of {where} is not quantised: put a QuantIdentity there"
            )
        self._settle(self._exact(self._last(where)))

    def _stack(self, name: str, where: str, unit: Any) -> None:
        """Read the layers of a QuantRNN or a QuantLSTM, one above the other."""
        plain = isinstance(unit, self._nn.QuantRNN)
        for depth, (layer, *others) in enumerate(unit.layers):
            if others:
                raise UnsupportedError(f"{where}: bidirectional layers are not supported")
            suffix = f"_l{depth}" if len(unit.layers) > 1 else ""
            read, fallback = (rnn, "rnn") if plain else (lstm, "lstm")
            cell = read(identifier(name, fallback=fallback) + suffix, where, layer, self._weights)
            if not layer.quantize_output_only:
                self._quantised(cell.hidden)
            if self._at is None:
                self._unquantised(where)
            self._layers.append(cell.layer)
            self._rules.update(cell.rules)
            self._at = cell.hidden
