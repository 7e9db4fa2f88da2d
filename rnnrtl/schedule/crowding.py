"""Schedules of designs whose wires grow with them."""

from collections.abc import Callable

from rnnrtl.schedule.delays import Delays
from rnnrtl.schedule.place import TooFastError
from rnnrtl.schedule.schedule import Schedule

Make = Callable[[Delays, float], Schedule]
"""(delays, clock in MHz) -> the schedule of one graph."""


def of_its_size(make: Make, delays: Delays, clock_mhz: float) -> Schedule:
    """Return a schedule made with the delays of a design as large as it is.

    A first schedule tells how large. Raises UnsupportedError for a clock that is too fast.
    """
    if delays.crowding is None:
        return make(delays, clock_mhz)
    first = _slow_enough(make, delays, clock_mhz)
    crowded = delays.crowded(first.area)
    done = crowded == delays and first.clock_mhz == clock_mhz
    return first if done else make(crowded, clock_mhz)


def _slow_enough(make: Make, delays: Delays, clock_mhz: float) -> Schedule:
    """Return the schedule for a clock, or for the first of its halves that is not too fast."""
    while True:
        try:
            return make(delays, clock_mhz)
        except TooFastError:
            clock_mhz /= 2
