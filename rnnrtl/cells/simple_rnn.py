"""Plain recurrent layer: J. L. Elman, Cognitive Science 14(2), 1990."""

from collections.abc import Mapping

from rnnrtl.cells.activation import activated
from rnnrtl.cells.numbers import Formats, Numbers, V
from rnnrtl.layers import SimpleRNN


def step(
    layer: SimpleRNN, x: V, state: Mapping[str, V], numbers: Numbers[V], form: Formats
) -> dict[str, V]:
    """Return the next state, h' = tanh(W x + b + U h); another function may stand for tanh."""
    weights = layer.gates["h"]
    bias = numbers.constant(weights.bias + weights.recurrent_bias, form("bias"))
    kernel = numbers.matvec(weights.kernel, form("kernel"), x) + bias
    recurrent = numbers.matvec(weights.recurrent_kernel, form("recurrent_kernel"), state["h"])
    candidate = activated(
        layer.activation,
        kernel.named("h_kernel") + recurrent.named("h_recurrent"),
        numbers,
        form("preactivation"),
        form("candidate"),
        units=layer.units,
        name="h_preactivation",
        fast=True,
    )
    return {"h": candidate.named("h_candidate").to(form("hidden")).named("h_next")}
