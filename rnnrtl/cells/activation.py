"""Activation functions, on what a layer sums up."""

import math
import operator

import numpy as np

from rnnrtl.cells.numbers import Numbers, V, pairwise
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
    """Return an activation function, one of `rnnrtl.layers.HEAD_ACTIVATIONS`, of an exact sum.

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
            negative = numbers.lookup(x - positive, "decay", output, preactivation, fast=fast)
            return (positive + negative).to(output.saturating())
        case "softplus":
            # relu(x) + log(1 + exp(-abs(x))), whose second part is log(2) at 0 and falls to 0.
            fine = output.replace(width=output.width + _GUARD_BITS)
            positive = x.relu()
            falls = numbers.lookup(
                positive + (positive - x), "rise", fine, preactivation, fast=fast
            )
            log2 = numbers.constant(np.full(units, math.log(2)), fine)
            return (positive + (log2 - falls)).to(output.nearest())
        case "argmax":
            return numbers.argmax(x)
        case "softmax":
            return _softmax(x, numbers, preactivation, output, units)
    return numbers.lookup(x, function, output, preactivation, fast=fast)


def _softmax(x: V, numbers: Numbers[V], preactivation: Format, output: Format, units: int) -> V:
    """Return exp(x - max(x)) / sum(exp(x - max(x))), within an LSB.

    Both tables saturate: exp(d) is 1 + decay(d) for d <= 0, and 1 / s is 1 - softsign(s - 1) for
    s >= 1. The sum of the errors of all lanes is what the guard bits are for.
    """
    lanes = [x.lane(n) for n in range(units)]
    largest = pairwise(numbers.maximum, lanes)
    below = x - numbers.joined([largest] * units)
    guard = 3 + (units - 1).bit_length()
    fine = Format(max(output.fraction_bits, 0) + guard + 2, 2)
    difference = preactivation.replace(
        width=preactivation.width + 1, int_bits=preactivation.int_bits + 1
    )
    one = numbers.constant(np.ones(units), fine)
    powers = (one + numbers.lookup(below, "decay", fine, difference)).named("powers")
    total = pairwise(operator.add, [powers.lane(n) for n in range(units)])
    # At 1, where 1 / s is steepest, it is off by as much as s.
    int_bits = units.bit_length() + 1
    rounded = Format(max(output.fraction_bits, 0) + 3 + int_bits, int_bits)
    ones = numbers.constant(np.ones(1), fine)
    beyond = (total - ones).to(rounded).named("sum")
    inverse = (ones - numbers.lookup(beyond, "softsign", fine, rounded)).named("inverse")
    return (powers * numbers.joined([inverse] * units)).to(output.nearest())
