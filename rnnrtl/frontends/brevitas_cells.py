"""Recurrent layers of Brevitas, each with its formats.

QuantLSTM rounds both products of the cell state before it adds them, and quantises each gate on its
own. QuantRNN quantises the sum (`gate_acc_quant`), takes tanh or relu of it and quantises that
(`io_quant`). Source: forward_iter of the two cells in brevitas/nn/quant_rnn.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnrtl.errors import UnsupportedError
from rnnrtl.fixedpoint.format import Format
from rnnrtl.frontends.brevitas_parts import Weights, format_of
from rnnrtl.frontends.quantised import WIDEST_SUMS, exact_format
from rnnrtl.layers import LSTM, Gate, SimpleRNN

_GATES = {"i": "input", "f": "forget", "g": "cell", "o": "output"}


@dataclass(frozen=True, eq=False)
class Cell:
    """A layer with the formats of its tensors.

    Members
    -------
    layer : the layer
    rules : layer.tensor -> format
    hidden : the format of what it gives; of what it takes too, unless it quantises its output only
    """

    layer: SimpleRNN | LSTM
    rules: Mapping[str, Format]
    hidden: Format


def rnn(name: str, where: str, layer: Any, weights: Weights) -> Cell:
    """Read one layer of a QuantRNN."""
    relu = type(layer.cell.act_fn).__name__ == "ReLU"
    hidden = format_of(
        layer.io_quant,
        f"{where}.io_quant",
        never_negative=relu and layer.quantize_output_only,
        of_table=not relu,
    )
    sums = format_of(layer.cell.gate_acc_quant, f"{where}.gate_acc_quant")
    gates = {"h": _gate(layer, layer.gate_params, weights)}
    rules = _exact(name, where, gates)
    # relu of what is rounded to the format of the sums is rounded again, to that of the state.
    rules |= {f"{name}.candidate": sums} if relu else {f"{name}.candidate": hidden}
    rules[f"{name}.hidden"] = hidden
    if not relu:
        rules[f"{name}.preactivation"] = sums
    activation = "relu" if relu else "tanh"
    return Cell(SimpleRNN(name, gates, activation=activation), rules, hidden)


def lstm(name: str, where: str, layer: Any, weights: Weights) -> Cell:
    """Read one layer of a QuantLSTM."""
    if layer.cell.cifg:
        raise UnsupportedError(f"{where}: coupled input and forget gates are not supported")
    hidden = format_of(layer.io_quant, f"{where}.io_quant")
    gates = {
        gate: _gate(layer, getattr(layer, f"{word}_gate_params"), weights)
        for gate, word in _GATES.items()
    }
    rules = _exact(name, where, gates)

    def form(quantiser: str, **options: bool) -> Format:
        return format_of(getattr(layer.cell, quantiser), f"{where}.{quantiser}", **options)

    sums = {gate: form(f"{word}_acc_quant") for gate, word in _GATES.items()}
    sigmoids = {
        gate: form(f"{_GATES[gate]}_sigmoid_quant", never_negative=True, of_table=True)
        for gate in "ifo"
    }
    for tensor, forms in (("preactivation", sums), ("gate", sigmoids)):
        first = rules[f"{name}.{tensor}"] = forms["i"]
        rules |= {f"{name}.{tensor}.{gate}": f for gate, f in forms.items() if f != first}
    cell = form("cell_state_quant")
    rules |= {
        f"{name}.candidate": form("cell_tanh_quant", of_table=True),
        f"{name}.cell": cell,
        f"{name}.cell_preactivation": cell,
        f"{name}.cell_activation": form("hidden_state_tanh_quant", of_table=True),
        f"{name}.hidden": hidden,
    }
    return Cell(LSTM(name, gates, rounded_products=True), rules, hidden)


def _gate(layer: Any, part: Any, weights: Weights) -> Gate:
    units, features = layer.hidden_size, layer.input_size
    return Gate(
        weights.of(part.input_weight, (units, features)),
        weights.of(part.hidden_weight, (units, units)),
        weights.of(part.bias_quant, (units,)),
        np.zeros(units),
    )


def _exact(name: str, where: str, gates: Mapping[str, Gate]) -> dict[str, Format]:
    """Return the formats that hold weights exactly."""
    found = {}
    for tensor, widest in (("kernel", None), ("recurrent_kernel", None), ("bias", WIDEST_SUMS)):
        arrays = [getattr(gate, tensor) for gate in gates.values()]
        more = () if widest is None else (widest,)
        found[f"{name}.{tensor}"] = exact_format(arrays, f"{where}.{tensor}", *more)
    return found
