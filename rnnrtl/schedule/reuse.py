"""Reuse factors: how the products of a recurrent layer share multipliers."""

from dataclasses import dataclass

from rnnrtl.errors import UnsupportedError
from rnnrtl.network import Recurrent


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


def reuse_of(layer: Recurrent, factor: int | tuple[int, int], *, packed: bool = False) -> Reuse:
    """Return the way to compute a layer's step that takes the fewest cycles.

    `factor` products share a multiplier: of both kernels, or of (kernel, recurrent kernel). So
    many multipliers or fewer are used as that gives; what does not divide idles in some cycles.
    Of one factor for both the recurrent kernel has it, and the kernel as many multipliers as it
    takes to keep up. Where products are `packed`, half as many do.

    Raises UnsupportedError for a factor that would leave less than a multiplier for every gate.
    """
    both = isinstance(factor, tuple)
    of_kernel, of_recurrent = factor if isinstance(factor, tuple) else (factor, factor)
    units, features = layer.units, layer.features
    if of_recurrent > units * units or (both and of_kernel > units * features):
        most = f"({units * features}, {units * units})" if both else f"{units * units}"
        raise UnsupportedError(
            f"reuse_factor {factor} is too much for {layer.name}: with {units} units and "
            f"{features} features at most {most}, which is a multiplier a gate"
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
