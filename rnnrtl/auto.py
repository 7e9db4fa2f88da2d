"""The reuse factors that differ in what is built, and the one of them that keeps limits."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from rnnrtl.errors import UnsupportedError
from rnnrtl.network import Network
from rnnrtl.schedule.reuse import Reuse, products_of, refuse_projection, reuse_of
from rnnrtl.schedule.schedule import Schedule


def chosen_reuse(
    network: Network,
    factors: Sequence[int],
    schedule_of: Callable[[int], Schedule],
    *,
    max_dsp: int | None,
    max_latency: int | None,
) -> int:
    """Return the reuse factor, of some as `reuse_factors` gives them, that keeps limits.

    With `max_dsp` that is the one whose array is busy for the fewest cycles with so many DSP
    blocks, else the one with the fewest of them and a result after `max_latency` cycles.
    `schedule_of` makes a schedule for a reuse factor.

    Raises UnsupportedError where no limit is given, or where none keeps them.
    """
    for name, limit in (("max_dsp", max_dsp), ("max_latency", max_latency)):
        if limit is not None and not (type(limit) is int and limit >= 0):
            raise UnsupportedError(f"{name} must be a whole number, not {limit!r}")
    found: list[int] = []
    if max_dsp is not None:
        dsp = max_dsp
        # From the fastest on, fewer and fewer multipliers.
        found = _first(factors, lambda r: schedule_of(r).dsp <= dsp)
        if _quickly_made(network) and schedule_of(1).dsp <= dsp:
            found = [1]  # nothing is faster, and in logic its products take no DSP
        if not found:
            fewest = schedule_of(factors[-1]).dsp
            raise UnsupportedError(
                f"no reuse factor has at most {max_dsp} DSP: reuse_factor {factors[-1]} takes "
                f"{fewest}, the fewest"
            )
    elif max_latency is not None:
        latency = max_latency
        found = _first(factors[::-1], lambda r: schedule_of(r).latency_cycles <= latency)
        if found and _quickly_made(network):
            found = [min(1, *found, key=lambda r: schedule_of(r).dsp)]
    else:
        raise UnsupportedError("reuse_factor 'auto' needs a limit: max_dsp=198 or max_latency=300")
    if max_latency is not None:
        fastest = schedule_of(found[0] if found else factors[0]).latency_cycles
        if fastest > max_latency:
            raise UnsupportedError(
                f"no reuse factor has a latency of at most {max_latency} cycles"
                + (f" and at most {max_dsp} DSP" if max_dsp is not None else "")
                + f": {fastest} cycles are the fewest"
            )
    return found[0]


def _quickly_made(network: Network) -> bool:
    """Whether a schedule without turns takes seconds only."""
    return sum(layer.units * (layer.units + layer.features) for layer in network.recurrent) < 5000


def reuse_factors(network: Network) -> list[int]:
    """Return the reuse factors that differ in what is built, those with most multipliers first."""
    layers = network.recurrent
    if not layers:
        return [1]
    for layer in layers:
        refuse_projection(layer, "auto")
    most = min(layer.units for layer in layers) ** 2
    ways: dict[tuple[Reuse, ...], int] = {}
    for factor in sorted({-(-most // multipliers) for multipliers in range(1, most + 1)}):
        if factor > 1:
            ways.setdefault(tuple(reuse_of(layer, factor) for layer in layers), factor)
    # More cycles with no fewer multipliers are no choice.
    sized = sorted((sum(way.cycles for way in ways_), factor) for ways_, factor in ways.items())
    kept = [b[1] for a, b in pairwise([(0, 0), *sized]) if b[0] > a[0] and b[1] > a[1]]
    if network.memories:
        return [1, *kept]
    # And then fewer multipliers than gates.
    products = sum(products_of(layer) for layer in layers)
    few = {-(-products // multipliers) for multipliers in range(1, -(-products // most) + 1)}
    return [1, *kept, *sorted(factor for factor in few if factor > most)]


def _first(factors: Sequence[int], fits: Callable[[int], bool]) -> list[int]:
    """Return the first of some factors that fits, where all after it do too, or nothing."""
    low, high = 0, len(factors)
    while low < high:
        middle = (low + high) // 2
        if fits(factors[middle]):
            high = middle
        else:
            low = middle + 1
    return list(factors[low : low + 1])
