"""Formats found from data: how few bits a network needs, and what each choice costs."""

from rnnrtl.tuning.metrics import Accuracy, AreaUnderCurve
from rnnrtl.tuning.scanning import Scan, Scanned, scan
from rnnrtl.tuning.search import Found, find_precision
from rnnrtl.tuning.survey import average_bits

__all__ = [
    "Accuracy",
    "AreaUnderCurve",
    "Found",
    "Scan",
    "Scanned",
    "average_bits",
    "find_precision",
    "scan",
]
