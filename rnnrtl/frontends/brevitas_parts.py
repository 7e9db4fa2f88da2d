"""Parts of Brevitas' layers: what they multiply by, and the formats of their quantisers."""

from typing import Any

import numpy as np

from rnnrtl.errors import UnsupportedError
from rnnrtl.fixedpoint.format import Format, Overflow, Rounding
from rnnrtl.frontends.quantised import grid_format
from rnnrtl.layers import FloatArray

_ROUNDINGS = {"ROUND": "RND_CONV", "FLOOR": "TRN", "ROUND_TO_ZERO": "TRN_ZERO"}


class Weights:
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
        """Look no longer."""
        for handle in self._handles:
            handle.remove()

    def of(self, part: Any, shape: tuple[int, ...]) -> FloatArray:
        """Return what a part gave; zeros where it gave nothing."""
        return self._seen.get(id(part), np.zeros(shape)).reshape(shape)


def format_of(
    proxy: Any, what: str, *, never_negative: bool = False, of_table: bool = False
) -> Format:
    """Return the format of an activation's quantiser.

    With `of_table` it rounds what tanh or sigmoid give, as a table does: to nearest.
    """
    if not proxy.is_quant_enabled:
        raise UnsupportedError(f"{what} does not quantise: give it a quantiser")
    if float(proxy.zero_point().abs().max()) != 0:
        raise UnsupportedError(f"{what} has a zero point: use a symmetric quantiser")
    mode = str(proxy.rounding_mode).upper()
    if mode not in _ROUNDINGS:
        raise UnsupportedError(
            f"{what} rounds by {mode}: only {', '.join(_ROUNDINGS)} are supported"
        )
    if of_table and mode != "ROUND":
        raise UnsupportedError(f"{what} rounds tanh or sigmoid by {mode}: only ROUND is supported")
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
