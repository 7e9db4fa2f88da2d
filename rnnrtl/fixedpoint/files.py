"""Precisions as TOML files, which people read, edit and keep beside their weights."""

import tomllib
from os import PathLike
from pathlib import Path

import tomli_w

from rnnrtl.errors import PrecisionError
from rnnrtl.files import write_whole
from rnnrtl.fixedpoint.precision import Precision

LARGEST_FILE = 1 << 20
"""Bytes of a precision file beyond which it is something else."""


def save_precision(precision: Precision, path: str | PathLike[str]) -> None:
    """Write a precision; see `Precision.save`."""
    target = Path(path)
    if target.suffix != ".toml":
        raise PrecisionError(f"{target}: a precision is saved as .toml, name the file so")
    head = "# Formats of tensors, for rnnrtl: the last pattern that matches decides.\n"
    write_whole(target, head + tomli_w.dumps(precision.as_dict()))


def load_precision(path: str | PathLike[str]) -> Precision:
    """Read a precision; see `Precision.load`."""
    source = Path(path)
    try:
        if source.exists() and not source.is_file():  # a pipe would be waited for
            raise PrecisionError(f"{source} is not a file")
        with source.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PrecisionError(f"cannot read a precision from {source}: {reason}") from None
    if len(data) > LARGEST_FILE:
        raise PrecisionError(f"{source} is no precision: it has more than {LARGEST_FILE} bytes")
    try:
        return Precision.parse(tomllib.loads(data.decode("utf-8")))
    except PrecisionError as error:
        raise PrecisionError(f"{source}: {error}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or nested to no end
        # tomllib quotes what it met, line ends and all.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PrecisionError(f"{source} is no TOML file: {reason}") from None
