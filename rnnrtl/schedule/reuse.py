"""Reuse factors: how the products of a recurrent layer share multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnrtl.errors import UnsupportedError
from rnnrtl.layers import LSTM, Recurrent


@dataclass(frozen=True)
class Reuse:
    """How the products of a recurrent layer share multipliers.

    Members
    -------
    turns : in how many turns the units of the layer are computed
    phases : cycles of a turn
    kernel, recurrent : into how many parts the columns of each matrix are divided, each a phase
    packed : whether two rows share a multiplier where their products fit
    """

    turns: int
    phases: int = 1
    kernel: int = 1
    recurrent: int = 1
    packed: bool = False

    @property
    def cycles(self) -> int:
        """Cycles for which a step takes the array."""
        return self.turns * self.phases


def refuse_projection(layer: Recurrent, factor: object) -> None:
    """Raise UnsupportedError for an LSTM with a projection, whose matrices are not alike."""
    if isinstance(layer, LSTM) and layer.projection is not None:
        raise UnsupportedError(
            f"reuse_factor {factor!r} is not supported for {layer.name}, an LSTM with a "
            "projection: only 1"
        )


def products_of(layer: Recurrent) -> int:
    """Return how many products with weights a step of a layer takes."""
    return len(layer.gate_names) * layer.units * (layer.units + layer.features)


def shared_multipliers(layers: Sequence[Recurrent], factor: int) -> int | None:
    """Return how many multipliers all products of a network share, where a factor asks for that.

    None where every layer has a multiplier for each of its gates. Raises UnsupportedError for a
    factor that is more than the products of a step.
    """
    if factor <= min(layer.units for layer in layers) ** 2:
        return None
    products = sum(products_of(layer) for layer in layers)
    if factor > products:
        raise UnsupportedError(
            f"reuse_factor {factor} is too much: a step has {products} products with weights, and "
            f"reuse_factor {products} is one multiplier for everything"
        )
    return -(-products // factor)


def reuse_of(layer: Recurrent, factor: int | tuple[int, int], *, packed: bool = False) -> Reuse:
    """Return the way to compute a layer's step that takes the fewest cycles.

    `factor` products share a multiplier: of both kernels, or of (kernel, recurrent kernel). So
    many multipliers or fewer are used as that gives; what does not divide idles in some cycles.
    Of one factor for both the recurrent kernel has it, and the kernel as many multipliers as it
    takes to keep up. Where products are `packed`, half as many do.

    A multiplier for every gate is the fewest: what one factor for both asks beyond that is for
    `shared_multipliers`. Raises UnsupportedError for a pair that asks for less.
    """
    both = isinstance(factor, tuple)
    units, features = layer.units, layer.features
    most = (units * features, units * units)
    of_kernel, of_recurrent = factor if isinstance(factor, tuple) else (1, min(factor, most[1]))
    if of_recurrent > most[1] or (both and of_kernel > most[0]):
        raise UnsupportedError(
            f"reuse_factor {factor} is too much for {layer.name}: with {units} units and "
            f"{features} features at most {most}, which is a multiplier a gate; one number for "
            "both may be larger"
        )
    found = []
    for at_once in range(1, units + 1):
        recurrent = _parts(units, units, at_once, of_recurrent)
        kernel = _parts(features, units, at_once, of_kernel) if both else 1
        if recurrent and kernel:
            phases = max(recurrent, kernel)
            kernel = kernel if both else min(phases, features)
            found.append(Reuse(-(-units // at_once), phases, kernel, recurrent, packed))
    return min(found, key=lambda reuse: (reuse.cycles, reuse.phases))


def _parts(columns: int, units: int, at_once: int, factor: int) -> int:
    """Return into how many parts the columns are divided where some units are computed at once.

    0 where even one column at a time is too much.
    """
    multipliers = -(-units * columns // factor)  # for each gate
    width = min(multipliers // at_once, columns)
    return -(-columns // width) if width else 0
