"""Read modules of Brevitas (github.com/Xilinx/brevitas): its own numbers, bit for bit.

QuantLSTM, QuantLinear, QuantIdentity, QuantReLU, QuantSigmoid and QuantTanh, with scales that are
powers of two (`Int8ActPerTensorFixedPoint` and the like) and a scale for a tensor. Where Brevitas
rounds a sum half to even, so does the hardware (RND_CONV); an unsigned quantiser becomes a signed
format with a bit more. Its LSTM rounds both products of the cell state before it adds them, and
quantises each gate on its own.

The module's own float32 sums are exact while they stay below 2^24 steps of their grid; the trial
run is in float64.
"""

import copy
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.fixedpoint.format import Format, Overflow, Rounding
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.frontends.module import first_line, readings, run_module, trial_sequences, ways
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.quantised import (
    WIDEST_SUMS,
    exact_format,
    exact_output,
    fixed_outputs,
    grid_format,
    unlike,
)
from rnnrtl.frontends.state_dict import with_sequences
from rnnrtl.layers import LSTM, Dense, FloatArray, Gate, Layer
from rnnrtl.network import Network

_LAYERS = (
    "QuantLSTM", "QuantRNN", "QuantLinear", "QuantIdentity", "QuantReLU", "QuantSigmoid",
    "QuantTanh",
)  # fmt: skip
_ROUNDINGS = {"ROUND": "RND_CONV", "FLOOR": "TRN", "ROUND_TO_ZERO": "TRN_ZERO"}
_GATES = {"i": "input", "f": "forget", "g": "cell", "o": "output"}


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
            weights = _Weights(twin)
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
    for way in ways(network):
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
    raise UnsupportedError("the module has no QuantLSTM or QuantLinear")


class _Weights:
    """What a module multiplies by and adds, seen while it runs."""

    def __init__(self, module: Any) -> None:
        self._seen: dict[int, FloatArray] = {}
        self._handles = [
            part.register_forward_hook(self._note)
            for name, part in module.named_modules()
            if name.rpartition(".")[2]
            in ("input_weight", "hidden_weight", "weight_quant", "bias_quant")
        ]

    def _note(self, part: Any, given: Any, result: Any) -> None:
        if result is not None:
            value = getattr(result, "value", result)
            self._seen[id(part)] = value.detach().double().numpy().copy()

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def of(self, part: Any, shape: tuple[int, ...]) -> FloatArray:
        return self._seen.get(id(part), np.zeros(shape)).reshape(shape)


class _Reader:
    """Layers and their formats, as they are met; `at` is the format of what the last one gives.

    It is None where that is an exact sum which nothing has rounded yet.
    """

    def __init__(self, torch: Any, nn: Any, weights: _Weights) -> None:
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
        if isinstance(unit, nn.QuantRNN):
            raise UnsupportedError(
                f"{where}: plain recurrent layers are not supported, QuantLSTM is"
            )
        if isinstance(unit, nn.QuantLSTM):
            self._lstm(name, where, unit)
        elif isinstance(unit, nn.QuantLinear):
            self._linear(name, where, unit)
        elif isinstance(unit, nn.QuantIdentity):
            self._quantised(_format(unit.act_quant, where))
        elif isinstance(unit, nn.QuantReLU):
            self._relu(where, _format(unit.act_quant, where, never_negative=True))
        elif isinstance(unit, nn.QuantSigmoid | nn.QuantTanh):
            function = "sigmoid" if isinstance(unit, nn.QuantSigmoid) else "tanh"
            form = _format(unit.act_quant, where, never_negative=function == "sigmoid")
            self._function(where, function, form)
        elif isinstance(unit, torch.nn.ReLU):
            self._activate(where, "relu")
        elif not (
            isinstance(unit, torch.nn.Identity | torch.nn.Dropout)
            or not (type(unit).__module__.startswith("torch.") or unit.state_dict())
        ):
            raise UnsupportedError(
                f"{where} has no format: only QuantLSTM, {', '.join(_LAYERS[2:])}, "
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
            self._quantised(_format(unit.input_quant, f"{where}.input_quant"))
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
            self._settle(_format(unit.output_quant, f"{where}.output_quant"))

    def _unquantised(self, where: str) -> None:
        if not self._layers:
            raise UnsupportedError(
                f"the input of {where} is not quantised: put a QuantIdentity there"
            )
        self._settle(self._exact(self._last(where)))

    def _lstm(self, name: str, where: str, unit: Any) -> None:
        for depth, (cell, *others) in enumerate(unit.layers):
            if others:
                raise UnsupportedError(f"{where}: bidirectional layers are not supported")
            if cell.cell.cifg:
                raise UnsupportedError(f"{where}: coupled input and forget gates are not supported")
            suffix = f"_l{depth}" if len(unit.layers) > 1 else ""
            self._cell(identifier(name, fallback="lstm") + suffix, where, cell)

    def _cell(self, name: str, where: str, layer: Any) -> None:
        hidden = _format(layer.io_quant, f"{where}.io_quant")
        if not layer.quantize_output_only:
            self._quantised(hidden)
        if self._at is None:
            self._unquantised(where)
        units, features = layer.hidden_size, layer.input_size
        gates = {}
        for gate, word in _GATES.items():
            part = getattr(layer, f"{word}_gate_params")
            gates[gate] = Gate(
                self._weights.of(part.input_weight, (units, features)),
                self._weights.of(part.hidden_weight, (units, units)),
                self._weights.of(part.bias_quant, (units,)),
                np.zeros(units),
            )
        self._layers.append(LSTM(name, gates, rounded_products=True))
        for tensor, widest in (("kernel", None), ("recurrent_kernel", None), ("bias", WIDEST_SUMS)):
            arrays = [getattr(gate, tensor) for gate in gates.values()]
            more = () if widest is None else (widest,)
            self._rules[f"{name}.{tensor}"] = exact_format(arrays, f"{where}.{tensor}", *more)

        def form(quantiser: str, *, never_negative: bool = False) -> Format:
            proxy = getattr(layer.cell, quantiser)
            return _format(proxy, f"{where}.{quantiser}", never_negative=never_negative)

        sums = {gate: form(f"{word}_acc_quant") for gate, word in _GATES.items()}
        sigmoids = {
            gate: form(f"{_GATES[gate]}_sigmoid_quant", never_negative=True) for gate in "ifo"
        }
        for tensor, forms in (("preactivation", sums), ("gate", sigmoids)):
            first = self._rules[f"{name}.{tensor}"] = forms["i"]
            others = {f"{name}.{tensor}.{gate}": f for gate, f in forms.items() if f != first}
            self._rules.update(others)
        cell = form("cell_state_quant")
        self._rules.update(
            {
                f"{name}.candidate": form("cell_tanh_quant"),
                f"{name}.cell": cell,
                f"{name}.cell_preactivation": cell,
                f"{name}.cell_activation": form("hidden_state_tanh_quant"),
                f"{name}.hidden": hidden,
            }
        )
        self._at = hidden


def _format(proxy: Any, what: str, *, never_negative: bool = False) -> Format:
    """Return the format of an activation's quantiser."""
    if not proxy.is_quant_enabled:
        raise UnsupportedError(f"{what} does not quantise: give it a quantiser")
    if float(proxy.zero_point().abs().max()) != 0:
        raise UnsupportedError(f"{what} has a zero point: use a symmetric quantiser")
    mode = str(proxy.rounding_mode).upper()
    if mode not in _ROUNDINGS:
        raise UnsupportedError(
            f"{what} rounds by {mode}: only {', '.join(_ROUNDINGS)} are supported"
        )
    if proxy.is_narrow_range and not proxy.is_signed:
        raise UnsupportedError(f"{what} is unsigned and narrow: leave narrow_range out")
    return grid_format(
        proxy.scale().detach().double().numpy(),
        int(proxy.bit_width()),
        what,
        signed=bool(proxy.is_signed),
        rounding=Rounding[_ROUNDINGS[mode]],
        overflow=Overflow.SAT_SYM if proxy.is_narrow_range else Overflow.SAT,
        never_negative=never_negative,
    )
