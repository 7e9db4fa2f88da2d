"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from rnnrtl.errors import OutputError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, so that a full disk or Ctrl-C leaves what was there before.

    It is made beside its place and then moved there. Raises OutputError.
    """
    staging: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        staging = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        staging.chmod(0o644)  # mkstemp made it private
        staging.replace(path)
        staging = None
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from None
    finally:
        if staging is not None:
            with contextlib.suppress(OSError):
                staging.unlink()


def reason(error: Exception) -> object:
    """Return why the system refused, in words."""
    if isinstance(error, OSError):
        full = error.errno == errno.ENOSPC
        return "the disk is full" if full else error.strerror or error
    return error
