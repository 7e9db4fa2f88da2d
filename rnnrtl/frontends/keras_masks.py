"""Masks in functional Keras models.

Keras 3 writes what `Masking` tells the layers behind it as operations of their own: NotEqual(x,
mask_value), Any over the features, and the result as the argument `mask` of each layer.
"""

from collections.abc import Mapping
from typing import Any

from rnnrtl.errors import UnsupportedError
from rnnrtl.frontends.values import brief

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional")


def without_masks(items: list[Any]) -> list[Any]:
    """Return the layers of a functional model without the operations of a `Masking` layer.

    What computes any other mask stays, for others to refuse. Raises UnsupportedError where a
    recurrent layer behind the mask does not take it.
    """
    masks = [item for item in items if _kind(item) == "Masking"]
    if len(masks) != 1:
        return items
    (masking,) = masks
    config = masking.get("config")
    value = config.get("mask_value") if isinstance(config, dict) else None
    unequal = _named(items, "NotEqual", [_source(masking), value])
    found = _named(items, "Any", [unequal])
    if unequal is None or found is None:
        return items  # Keras 2, where the mask goes with the tensors
    kept = []
    for item in items:
        if item.get("name") in (unequal, found) and _kind(item) in ("NotEqual", "Any"):
            continue
        stripped = _without(item, found)
        if stripped is item and _kind(item) in _RECURRENT:
            raise UnsupportedError(
                f"layer {brief(item.get('name'))} ({_kind(item)}) does not take the mask of "
                f"{brief(masking.get('name'))}, which is not supported: let every recurrent layer "
                "take it"
            )
        kept.append(stripped)
    return kept


def _kind(item: Any) -> Any:
    return item.get("class_name") if isinstance(item, dict) else None


def _call(item: Any) -> Mapping[str, Any]:
    """Return args and kwargs of a layer that is called once, else nothing."""
    nodes = item.get("inbound_nodes")
    once = isinstance(nodes, list) and len(nodes) == 1 and isinstance(nodes[0], dict)
    return nodes[0] if once else {}


def _history(tensor: Any) -> Any:
    """Return the layer that gives a tensor, where it is that layer's only one; or a number."""
    if isinstance(tensor, dict):
        config = tensor.get("config")
        history = config.get("keras_history") if isinstance(config, dict) else None
        one = isinstance(history, list) and history[1:] == [0, 0]
        return history[0] if one and history else None
    return tensor


def _arguments(item: Any) -> list[Any]:
    given = _call(item).get("args")
    return [_history(each) for each in given] if isinstance(given, list) else []


def _source(item: Any) -> Any:
    return (_arguments(item) or [None])[0]


def _named(items: list[Any], kind: str, arguments: list[Any]) -> str | None:
    """Return the name of the operation of a kind and with these arguments."""
    for item in items:
        if _kind(item) != kind or not isinstance(item.get("name"), str):
            continue
        config = item.get("config")
        axis = config.get("axis", -1) if isinstance(config, dict) else None
        if axis == -1 and None not in arguments and _arguments(item) == arguments:
            return str(item["name"])
    return None


def _without(item: Any, mask: str) -> Any:
    """Return a layer that takes no mask where it took that one; else the same."""
    node = _call(item)
    options = node.get("kwargs")
    if not isinstance(options, dict) or _history(options.get("mask")) != mask:
        return item
    left = {key: value for key, value in options.items() if key != "mask"}
    return {**item, "inbound_nodes": [{**node, "kwargs": left}]}
