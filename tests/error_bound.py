"""How far a fixed-point network may be from the float64 one, derived from its formats alone.

Every vector's error is bounded in the maximum norm: weights and vectors rounded to nearest are off
by half an LSB at most, a table by one; sigmoid has slope 1/4 at most and tanh 1; gates, hidden
states and candidates are at most 1. Nothing may saturate.
"""

from collections.abc import Callable

import numpy as np

from rnnrtl.fixedpoint import Precision
from rnnrtl.layers import GRU, LSTM, Dense, Gate, SimpleRNN
from rnnrtl.network import Network
from tests.float_reference import Array

Half = Callable[[str], float]  # tensor -> half an LSB of its format


def norm(matrix: Array) -> float:
    return float(np.abs(matrix).sum(axis=1).max())


def _affine(matrix: Array, lsb_half: float, x: float, error: float) -> float:
    """Bound the error of matrix @ x for abs(x) up to `x`, itself off by `error`."""
    return float(norm(matrix) * error + matrix.shape[1] * lsb_half * (x + error))


def _preactivation(gate: Gate, half: Half, x: float, ex: float, h: float, eh: float) -> float:
    return (
        _affine(gate.kernel, half("kernel"), x, ex)
        + _affine(gate.recurrent_kernel, half("recurrent_kernel"), h, eh)
        + half("bias")
        + half("preactivation")
    )


def _lstm(layer: LSTM, half: Half, x: float, ex: float, steps: int) -> float:
    eh = ec = 0.0
    for step in range(steps):
        pre = {name: _preactivation(g, half, x, ex, 1.0, eh) for name, g in layer.gates.items()}
        e_i, e_f, e_o = (pre[name] / 4 + 2 * half("gate") for name in "ifo")
        e_g = pre["g"] + 2 * half("candidate")
        # Of two products each; abs(c) grows by at most 1 a step.
        ec = ec + step * e_f + e_i + e_g + half("cell")
        eh = e_o + ec + half("preactivation") + 2 * half("candidate") + half("hidden")
    return eh


def _gru(layer: GRU, half: Half, x: float, ex: float, steps: int) -> float:
    n = layer.gates["n"]
    inner = norm(n.recurrent_kernel) + float(np.abs(n.recurrent_bias).max())
    eh = 0.0
    for _ in range(steps):
        e_z, e_r = (
            _preactivation(layer.gates[name], half, x, ex, 1.0, eh) / 4 + 2 * half("gate")
            for name in "zr"
        )
        recurrent = half("recurrent_kernel")
        if layer.reset_after:
            product = _affine(n.recurrent_kernel, recurrent, 1.0, eh) + half("bias")
            memory = product + half("preactivation") + inner * e_r
        else:
            memory = _affine(n.recurrent_kernel, recurrent, 1.0, eh + e_r + half("hidden"))
        kernel = _affine(n.kernel, half("kernel"), x, ex) + half("bias")
        e_n = kernel + memory + half("preactivation") + 2 * half("candidate")
        eh = max(eh, e_n) + 2 * e_z + half("hidden")
    return eh


def _simple_rnn(layer: SimpleRNN, half: Half, x: float, ex: float, steps: int) -> float:
    eh = 0.0
    for _ in range(steps):
        e_h = _preactivation(layer.gates["h"], half, x, ex, 1.0, eh)
        eh = e_h + 2 * half("candidate") + half("hidden")
    return eh


def error_bound(net: Network, precision: Precision, x: Array) -> float:
    """Return a bound on the error of every output, for inputs x."""
    largest = float(np.abs(x).max())
    error = precision.format("", "input").lsb / 2
    for layer in net.layers:

        def half(tensor: str, name: str = layer.name) -> float:
            return precision.format(name, tensor).lsb / 2

        if isinstance(layer, Dense):
            error = _affine(layer.kernel, half("kernel"), largest, error) + half("bias")
            if layer.activation in ("sigmoid", "tanh"):
                error = error + half("preactivation") + 2 * half("output")
            else:
                error += half("output")
            largest = norm(layer.kernel) * largest + float(np.abs(layer.bias).max())
        else:
            steps = x.shape[1]
            if isinstance(layer, SimpleRNN):
                error = _simple_rnn(layer, half, largest, error, steps)
            elif isinstance(layer, LSTM):
                error = _lstm(layer, half, largest, error, steps)
            else:
                assert isinstance(layer, GRU)
                error = _gru(layer, half, largest, error, steps)
            largest = 1.0
    return error
