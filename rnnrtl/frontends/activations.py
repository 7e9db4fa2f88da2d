"""What follows each layer, as the user says it: load(..., activations={"head.0": "relu"}).

Behind a recurrent layer or a folded normalisation it becomes a dense layer of its own, whose kernel
is the identity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rnnrtl.errors import ModelError
from rnnrtl.frontends.folding import Chain
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


def check_names(names: Iterable[str], activations: Mapping[str, str]) -> None:
    """Raise ModelError for an activation behind a layer that there is not."""
    names = tuple(names)
    for name in activations:
        if name not in names:
            raise ModelError(
                f"activations names the layer {name!r}, but the layers are {', '.join(names)}"
            )


def follow(chain: Chain, name: str, activations: Mapping[str, str]) -> None:
    """Put behind the layer of this name, which was added last, what the user says follows it."""
    word = activations.get(name, "linear")
    chain.activate(f"{name}_{word}", word)


def apply(layers: Iterable[Layer], activations: Mapping[str, str]) -> tuple[Layer, ...]:
    """Return the layers with the activations of dense ones replaced, and others added."""
    layers = tuple(layers)
    check_names((layer.name for layer in layers), activations)
    chain = Chain()
    for layer in layers:
        if isinstance(layer, Dense) and layer.name in activations:
            chain.add(replace(layer, activation=activations[layer.name]))
        else:
            chain.add(layer)
            follow(chain, layer.name, activations)
    return chain.finished()
