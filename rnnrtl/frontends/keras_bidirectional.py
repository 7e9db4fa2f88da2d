"""Keras' Bidirectional: two layers, of which the configuration often says only one.

Source: keras/src/layers/rnn/bidirectional.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.keras_config import Spec, read_spec
from rnnrtl.frontends.keras_weights import Arrays
from rnnrtl.frontends.values import brief

_FORWARD, _BACKWARD = "forward_", "backward_"


def directions(spec: Spec) -> tuple[Spec, Spec]:
    """Return the forward and the backward layer of a Bidirectional, under Keras' names for them."""
    given = read_spec(spec.options.get("layer"))
    base = given.name.removeprefix(_FORWARD)  # Keras 3 writes the forward layer, Keras 2 the given
    forward = replace(given, name=_FORWARD + base)
    backward = replace(given, name=_BACKWARD + base)
    reverse = {"go_backwards": not given.flag("go_backwards", default=False)}
    backward = replace(backward, options={**given.options, **reverse})
    if spec.options.get("backward_layer") is not None:
        backward = read_spec(spec.options["backward_layer"])
    for inner, wanted in ((forward, False), (backward, True)):
        if inner.flag("go_backwards", default=False) != wanted:
            raise UnsupportedError(
                f"{spec}: go_backwards={not wanted} of {inner} is not supported: only of the "
                "backward layer it is true"
            )
    return forward, backward


def merge_of(spec: Spec) -> str:
    """Return how the two outputs are merged."""
    merge = spec.options.get("merge_mode", "concat")
    if merge is None:
        raise UnsupportedError(
            f"{spec}: merge_mode=None gives two outputs, which is not supported: save a model with "
            "merge_mode='concat' and the same weights"
        )
    if not isinstance(merge, str):
        raise ModelError(f"{spec}: merge_mode must be one word, not {brief(merge)}")
    return merge


def divided(arrays: Mapping[str, NDArray[Any]], count: int, forward: str, backward: str) -> Arrays:
    """Return the arrays of a Bidirectional by layer: `count` of them are the forward one's."""
    items = list(arrays.items())
    return {forward: dict(items[:count]), backward: dict(items[count:])}
