"""What a table is tried on: a function on codes, and how far a candidate is from it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnnrtl.fixedpoint.format import Format
from rnnrtl.lut.functions import Function

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A function on codes from `start` to `limit`, in output LSB: what candidates are tried on.

    Cells count from `start`: 0 where magnitudes are looked up, -limit-1 for the full range.
    """

    function: Function
    scale_in: float
    scale_out: float
    limit: int
    first: int  # lowest and highest code (or magnitude) that can occur
    last: int
    floor: int
    ceiling: int
    start: int = 0
    plain: bool = False  # one ROM only
    most_entries: int | None = None  # of a ROM
    clipped: bool = False  # what the output format cannot express is no error

    @property
    def span(self) -> int:
        """Codes from the first to the last."""
        return self.limit - self.start

    def exact(self, m: FloatArray) -> FloatArray:
        """Return the function at codes or magnitudes, in output LSB."""
        return np.asarray(self.function.real(m * self.scale_in) * self.scale_out)

    def error(self, y: FloatArray, dropped: int) -> float:
        """Return the largest abs(y - f) over every magnitude; y[k] serves m >> dropped == k.

        f rises, so within a cell the error peaks at its first or its last magnitude.
        """
        cells = np.arange(y.size, dtype=np.float64) * 2.0**dropped + self.start
        ends = np.minimum(cells + 2.0**dropped - 1, self.limit)
        cells[0], ends[-1] = self.first, self.last
        exact = [self.exact(m) for m in (cells, ends)]
        if self.clipped:
            exact = [np.clip(e, self.floor, self.ceiling) for e in exact]
        return float(max(np.abs(y - e).max() for e in exact))


def fit_half(f: Function, input_: Format, output: Format, bound: float) -> Fit:
    """Return the fit of half the range, up to where the function is as good as its asymptote."""
    scale_out = 2.0**output.fraction_bits
    top = f.asymptote * scale_out
    last = 1 << (input_.width - 1)

    def reached(slack: float) -> int:
        """Return the first magnitude from which f is within `slack` LSB of its asymptote."""
        low, high = 0, last - 1
        while low < high:
            middle = (low + high) // 2
            if top - float(f.real(np.asarray(middle * input_.lsb))) * scale_out <= slack:
                high = middle
            else:
                low = middle + 1
        return low

    limit = reached(0.5)
    if bound >= 1:  # the last entry may then miss the asymptote, if that saves an address bit
        limit = min(limit, (1 << reached(bound).bit_length()) - 1)
    limit = max(1, min(limit, last - 1))
    ceiling = min(round(top), output.max_code, round(f.total * scale_out) - output.min_code)
    start = min(round(float(f.real(np.asarray(0.0))) * scale_out), ceiling)
    start = max(start, round(f.total * scale_out) - output.max_code)  # so that total - y fits too
    return Fit(f, input_.lsb, scale_out, limit, 0, last, start, ceiling)


def fit_full(f: Function, input_: Format, output: Format, bound: float) -> Fit:
    """Return the fit of the full range: codes of the bits that reach the asymptotes."""
    half = fit_half(f, input_, output, bound)
    limit = (1 << min(half.limit.bit_length(), input_.width - 1)) - 1
    last = 1 << (input_.width - 1)
    floor = max(round((f.total - f.asymptote) * half.scale_out), output.min_code)
    return replace(half, limit=limit, first=-last, last=last - 1, floor=floor, start=-limit - 1)
