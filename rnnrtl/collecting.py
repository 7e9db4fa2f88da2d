"""Python's garbage collector where millions of objects are made, next to none of them garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 100_000


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for garbage after so many new objects more: looking halves the speed otherwise."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
