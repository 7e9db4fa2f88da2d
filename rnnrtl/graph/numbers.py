"""What equations compute with where they are traced: weights as constants, vectors as nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint.exact import to_codes
from rnnrtl.fixedpoint.format import Format
from rnnrtl.graph.lookup import column, look_up
from rnnrtl.graph.masks import all_equal, select
from rnnrtl.graph.nodes import Node, constant
from rnnrtl.graph.vectors import argmax, blend, joined, matvec, maximum, total
from rnnrtl.lut.search import BOUND_LSB
from rnnrtl.network import Network


@dataclass(frozen=True)
class Traced:
    """Weights as constants of a graph. Implements `cells.numbers.Numbers`.

    Members
    -------
    few_products : rather few products than as early ones as can be
    table_error : bound of the error of tables, in LSB of what they give
    """

    few_products: bool = False
    table_error: float = BOUND_LSB

    def constant(self, values: NDArray[np.float64], form: Format) -> Node:
        return constant(_weight_codes(values, form).tolist(), form.fraction_bits)

    def matvec(self, matrix: NDArray[np.float64], form: Format, x: Node) -> Node:
        return matvec(_weight_codes(matrix, form), form.fraction_bits, x)

    def column(self, matrix: NDArray[np.float64], form: Format, x: Node) -> Node:
        return column(_weight_codes(matrix, form), form.fraction_bits, x)

    def zero(self, x: Node) -> Node:
        return constant([0] * x.size, x.fraction_bits)

    def lowest(self, x: Node) -> Node:
        return constant(x.lowest, x.fraction_bits)

    def total(self, a: Node, x: Node, most: int) -> Node:
        return total(a, x, most)

    def joined(self, vectors: Sequence[Node]) -> Node:
        return joined(vectors)

    def maximum(self, a: Node, b: Node) -> Node:
        return maximum(a, b)

    def all_equal(self, x: Node, value: float, form: Format) -> Node:
        code = float(value) * 2.0**x.fraction_bits
        if code != int(code) or not min(x.lowest) <= code <= max(x.highest):
            raise PrecisionError(
                f"mask_value {value:g} is no value of {form}, the input's format: give an input "
                "format that has it"
            )
        return all_equal(x, int(code))

    def select(self, condition: Node, a: Node, b: Node) -> Node:
        return select(condition, a, b)

    def lookup(
        self, x: Node, function: str, output: Format, input_: Format, *, fast: bool = False
    ) -> Node:
        return look_up(function, x, input_, output, fast=fast, bound=self.table_error)

    def masked(self, network: Network, x: Node, form: Format) -> Node | None:
        """Return whether a step of the input is masked, one lane; None where none can be."""
        if network.mask_value is None:
            return None
        return self.all_equal(x, network.mask_value, form).named("masked")

    def argmax(self, x: Node) -> Node:
        return argmax(x)

    def blend(self, z: Node, a: Node, b: Node) -> Node:
        return blend(z, a, b, products=1 if self.few_products else 2)


def _weight_codes(values: NDArray[np.float64], form: Format) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = to_codes(values, form)
    return codes
