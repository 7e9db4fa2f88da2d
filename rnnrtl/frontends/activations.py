"""What follows each layer, as the user says it: load(..., activations={"head.0": "relu"})."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.names import identifier
from rnnrtl.layers import Dense, Layer


def by_layer(activations: Mapping[str, str] | None) -> dict[str, str]:
    """Return the activations by layer identifier; "head.0" and "head_0" are the same layer."""
    if activations is None:
        return {}
    if not isinstance(activations, Mapping):
        raise ModelError(
            f"activations must map layer names to activations, not {activations!r}: "
            'say {"head.0": "relu"}'
        )
    named: dict[str, str] = {}
    given: Iterable[tuple[object, object]] = activations.items()
    for layer, activation in given:
        if not isinstance(layer, str) or not isinstance(activation, str):
            raise ModelError(f"activations maps {layer!r} to {activation!r}: both must be strings")
        name = identifier(layer)
        if named.setdefault(name, activation) != activation:
            raise ModelError(f"activations names layer {name!r} twice")
    return named


def apply(layers: Iterable[Layer], activations: Mapping[str, str]) -> tuple[Layer, ...]:
    """Return the layers with their activations replaced.

    A recurrent layer takes only "linear": nothing stands between it and the next layer.
    """
    layers = tuple(layers)
    names = [layer.name for layer in layers]
    for name in activations:
        if name not in names:
            raise ModelError(
                f"activations names the layer {name!r}, but the layers are {', '.join(names)}"
            )
    return tuple(_with(layer, activations.get(layer.name)) for layer in layers)


def _with(layer: Layer, activation: str | None) -> Layer:
    if activation is None:
        return layer
    if isinstance(layer, Dense):
        return replace(layer, activation=activation)
    if activation != "linear":
        raise UnsupportedError(
            f"activations puts {activation!r} after the recurrent layer {layer.name!r}: only "
            "'linear' (nothing) can follow one"
        )
    return layer
