"""Long short-term memory: S. Hochreiter and J. Schmidhuber, Neural Computation 9(8), 1997,
with the forget gate of F. A. Gers et al., Neural Computation 12(10), 2000.
"""

from collections.abc import Mapping

from rnnrtl.cells.activation import activated
from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.layers import LSTM


def step(
    layer: LSTM, x: V, state: Mapping[str, V], numbers: Numbers[V], form: Formats
) -> dict[str, V]:
    """Return the next state.

    i, f, o = sigmoid(W x + b + U h), g = tanh(W x + b + U h), each with weights of its own;
    other functions may stand for the two
    c' = f * c + i * g, with both products in the format of c where `rounded_products`
    h' = o * tanh(c'), or R (o * tanh(c')) with a projection R: H. Sak et al., arXiv 1402.1128
    """

    def activate(function: str, total: V, before: str, after: str, gate: str = "") -> V:
        forms = form(before, gate), form(after, gate)
        name = f"{gate}_preactivation" if gate else ""
        return activated(function, total, numbers, *forms, units=layer.units, name=name, fast=True)

    def gate(name: str, function: str, tensor: str) -> V:
        weights = layer.gates[name]
        kernel = numbers.matvec(weights.kernel, form("kernel"), x) + numbers.constant(
            weights.bias + weights.recurrent_bias, form("bias")
        )
        recurrent = numbers.matvec(weights.recurrent_kernel, form("recurrent_kernel"), state["h"])
        total = kernel.named(f"{name}_kernel") + recurrent.named(f"{name}_recurrent")
        return activate(function, total, "preactivation", tensor, name).named(name)

    i = gate("i", layer.recurrent_activation, "gate")
    f = gate("f", layer.recurrent_activation, "gate")
    o = gate("o", layer.recurrent_activation, "gate")
    g = gate("g", layer.activation, "candidate")
    kept, added = f * state["c"], i * g
    if layer.rounded_products:
        kept, added = kept.to(form("cell")), added.to(form("cell"))
    c = (kept + added).to(form("cell")).named("c_next")
    squashed = activate(layer.activation, c, "cell_preactivation", "cell_activation")
    h = o * squashed.named("c_squashed")
    if layer.projection is not None:
        unprojected = h.to(form("cell_output")).named("c_output")
        h = numbers.matvec(layer.projection, form("projection"), unprojected)
    return {"h": h.to(form("hidden")).named("h_next"), "c": c}
