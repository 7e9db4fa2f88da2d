"""Fixed-point formats and their arithmetic."""

from rnnrtl.fixedpoint.format import Format, Overflow, Rounding
from rnnrtl.fixedpoint.precision import TENSORS, Precision

__all__ = ["TENSORS", "Format", "Overflow", "Precision", "Rounding"]
