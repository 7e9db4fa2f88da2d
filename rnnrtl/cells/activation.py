"""Activation functions, on what a layer sums up."""

import math

import numpy as np

from rnnrtl.cells.numbers import Numbers, V
from rnnrtl.fixedpoint.format import Format

_GUARD_BITS = 2  # of what is added to another number before it is rounded


def activated(
    function: str,
    total: V,
    numbers: Numbers[V],
    preactivation: Format,
    output: Format,
    *,
    units: int,
    name: str = "",
    fast: bool = False,
) -> V:
    """Return an activation function, one of `rnnrtl.network.ACTIVATIONS`, of an exact sum.

    What goes into a table has the format `preactivation`, and the name `name`; with `fast` the
    table may take more to be read sooner. Sources: C. Dugas et al., NIPS 2000 (softplus);
    D.-A. Clevert et al., arXiv 1511.07289 (elu, with alpha = 1).
    """
    match function:
        case "linear":
            return total.to(output)
        case "relu":
            # Rounding keeps the sign, so the order does not matter but for the adder it saves.
            return total.to(output).relu()
        case "hard_tanh":
            # As tables do, it saturates whatever the format does.
            return total.limited(-1, 1).to(output.saturating())
    x = total.to(preactivation)
    if name:
        x = x.named(name)
    match function:
        case "elu":
            positive = x.relu()
            negative = (x - positive).lookup("decay", output, preactivation, fast=fast)
            return (positive + negative).to(output.saturating())
        case "softplus":
            # relu(x) + log(1 + exp(-abs(x))), whose second part is log(2) at 0 and falls to 0.
            fine = output.replace(width=output.width + _GUARD_BITS)
            positive = x.relu()
            falls = (positive + (positive - x)).lookup("rise", fine, preactivation, fast=fast)
            log2 = numbers.constant(np.full(units, math.log(2)), fine)
            return (positive + (log2 - falls)).to(output.nearest())
    return x.lookup(function, output, preactivation, fast=fast)
