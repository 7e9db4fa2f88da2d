"""Whether a layer's formats hold its weights."""

import warnings

import numpy as np
from numpy.typing import NDArray

from rnnrtl.cells.numbers import Formats
from rnnrtl.errors import PrecisionWarning
from rnnrtl.fixedpoint.exact import rounded_codes
from rnnrtl.fixedpoint.format import Overflow
from rnnrtl.layers import GRU, LSTM, Connected, Embedding, Recurrent, Stepping

_OVERFLOWING = {
    Overflow.SAT: "saturate",
    Overflow.SAT_SYM: "saturate",
    Overflow.SAT_ZERO: "become zero",
    Overflow.WRAP: "wrap",
}


def check_weights(layer: Stepping | Connected | Embedding, form: Formats) -> None:
    """Warn of weights that a format cannot hold."""
    weights: dict[str, list[NDArray[np.float64]]] = {}
    if isinstance(layer, Connected):
        weights = {"kernel": [layer.kernel], "bias": [layer.bias]}
    elif isinstance(layer, Embedding):
        weights = {"kernel": [layer.kernel]}
    elif isinstance(layer, Recurrent):
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
