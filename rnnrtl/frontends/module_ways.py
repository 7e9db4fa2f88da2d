"""What a module's `forward` may do with its layers: networks to run beside it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rnnrtl.frontends.state_dict import with_sequences
from rnnrtl.layers import (
    AveragePooling,
    Bidirectional,
    Dense,
    FloatArray,
    Layer,
    MaxPooling,
    Recurrent,
    flatten,
    repeat_vector,
)
from rnnrtl.network import Network


def ways(network: Network) -> Iterator[Network]:
    """Yield the network with what a forward may give of its last recurrent layer."""
    yield network
    recurrent = [layer for layer in network.layers if not isinstance(layer, Dense)]
    if not recurrent or not network.return_sequences:
        return
    for last_output in (False, True) if isinstance(recurrent[-1], Bidirectional) else (False,):
        layers = with_sequences(network.layers, last=False, last_output=last_output)
        yield network.replace(layers=layers)


def pooled(network: Network, steps: int) -> Iterator[Network]:
    """Yield the network with the steps of its last recurrent layer, so many, made one."""
    if not network.recurrent or network.fixed_by:
        return
    layers = network.layers
    place = 1 + max(n for n, layer in enumerate(layers) if not isinstance(layer, Dense))
    features = layers[place - 1].outputs
    name = _free("pooling", layers)
    for pooling in (MaxPooling(name, features), AveragePooling(name, features, steps)):
        yield Network((*layers[:place], pooling, *layers[place:]))


def repeated(network: Network, times: int) -> Iterator[Network]:
    """Yield the network with the last state of a recurrent layer repeated for those behind it.

    That is an encoder and a decoder, which gives so many steps or its last state.
    """
    layers = network.layers
    places = [n for n, layer in enumerate(layers) if isinstance(layer, Recurrent | Bidirectional)]
    for before, place in pairwise(places):
        encoder = with_sequences(layers[:place], last=False)
        repeat = repeat_vector(_free("repeat", layers), times, layers[place].features)
        for last in (True, False):
            decoder = with_sequences(layers[place:], last=last)
            yield Network((*encoder, repeat, *decoder))
            if place - before > 1:  # or before the dense layers between the two
                early = repeat_vector(repeat.name, times, layers[before].outputs)
                ended = with_sequences(layers[: before + 1], last=False)
                yield Network((*ended, early, *layers[before + 1 : place], *decoder))


def flattened(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers with all steps made one vector before a dense one that takes as many."""
    found: list[Layer] = []
    stepping = False
    for layer in layers:
        if isinstance(layer, Dense) and stepping and layer.features > found[-1].outputs:
            steps, rest = divmod(layer.features, found[-1].outputs)
            if not rest:
                found.append(flatten(_free("flatten", layers), steps, found[-1].outputs))
                stepping = False
        stepping |= isinstance(layer, Recurrent | Bidirectional)
        found.append(layer)
    return tuple(found)


def readings(y: FloatArray, expected: FloatArray) -> Iterator[FloatArray]:
    """Yield `y` in the order of what is expected, in each way in which it has the right size."""
    if y.size != expected.size:
        return
    yield y.reshape(expected.shape)
    if expected.ndim == 3:
        batch, steps, outputs = expected.shape
        yield y.reshape(steps, batch, outputs).swapaxes(0, 1)


def _free(name: str, layers: Sequence[Layer]) -> str:
    taken = {layer.name for layer in layers}
    return next(found for found in (name, f"{name}_1", f"{name}_2") if found not in taken)
