"""The errors of rnnrtl: each message gives the offending value and what to do about it."""


class RnnrtlError(Exception):
    """Base of every error that rnnrtl raises on purpose; its text is one clear line."""


class PrecisionError(RnnrtlError):
    """A fixed-point format or a precision that cannot be read, built or applied."""


class ModelError(RnnrtlError):
    """Weights, shapes or files that do not make a network."""


class UnsupportedError(RnnrtlError):
    """Something that is meaningful, but that rnnrtl does not do (yet)."""


class InputError(RnnrtlError):
    """Data offered to a design that it cannot take: wrong shape, NaN, wrong type."""


class ToolError(RnnrtlError):
    """An outside program (simulator, Yosys) that is missing or that failed."""


class OutputError(RnnrtlError):
    """Files that could not be written."""


class VerificationError(RnnrtlError):
    """Hardware that disagrees with its reference or its schedule, or that shows X or Z."""


class PrecisionWarning(UserWarning):
    """Numbers that a format changes by more than rounding, such as weights out of its range."""
