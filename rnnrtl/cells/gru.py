"""Gated recurrent unit: K. Cho et al., EMNLP 2014 (arXiv 1406.1078).

The form with the reset gate after the product (`reset_after`) is that of cuDNN.
"""

from collections.abc import Mapping

from rnnrtl.cells.activation import activated
from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.layers import GRU


def step(
    layer: GRU, x: V, state: Mapping[str, V], numbers: Numbers[V], form: Formats
) -> dict[str, V]:
    """Return the next state.

    z, r = sigmoid(W x + b + U h), each with weights of its own
    n = tanh(W x + b + r * (U h + b'))    where reset_after
    n = tanh(W x + b + U (r * h) + b')    otherwise
    h' = (1 - z) * n + z * h
    Other functions may stand for the two.
    """
    h = state["h"]

    def kernel(name: str, *biases: str) -> V:
        weights = layer.gates[name]
        bias = sum(getattr(weights, b) for b in biases)
        product = numbers.matvec(weights.kernel, form("kernel"), x)
        return (product + numbers.constant(bias, form("bias"))).named(f"{name}_kernel")

    def recurrent(name: str, vector: V) -> V:
        weights = layer.gates[name].recurrent_kernel
        product = numbers.matvec(weights, form("recurrent_kernel"), vector)
        return product.named(f"{name}_recurrent")

    def activate(name: str, total: V, function: str, tensor: str) -> V:
        forms = form("preactivation", name), form(tensor, name)
        return activated(
            function,
            total,
            numbers,
            *forms,
            units=layer.units,
            name=f"{name}_preactivation",
            fast=True,
        ).named(name)

    def gate(name: str) -> V:
        total = kernel(name, "bias", "recurrent_bias") + recurrent(name, h)
        return activate(name, total, layer.recurrent_activation, "gate")

    z, r = gate("z"), gate("r")
    if layer.reset_after:
        bias = numbers.constant(layer.gates["n"].recurrent_bias, form("bias"))
        inner = (recurrent("n", h) + bias).to(form("inner")).named("n_inner")
        total = kernel("n", "bias") + r * inner
    else:
        kept = (r * h).to(form("hidden")).named("h_kept")
        total = kernel("n", "bias", "recurrent_bias") + recurrent("n", kept)
    n = activate("n", total, layer.activation, "candidate")
    return {"h": numbers.blend(z, n, h).to(form("hidden")).named("h_next")}
