"""What a module's `forward` may do with its layers: networks to run beside it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rnnrtl.errors import UnsupportedError
from rnnrtl.frontends.state_dict import with_sequences
from rnnrtl.frontends.torch_convolution import paddings
from rnnrtl.layers import (
    AveragePooling,
    Bidirectional,
    Convolution,
    Dense,
    FloatArray,
    Layer,
    MaxPooling,
    Recurrent,
    Reshape,
    flatten,
    repeat_vector,
)
from rnnrtl.network import Network

_STEPPING = (Recurrent, Bidirectional, Convolution)


def networks(layers: Sequence[Layer], steps: int, given: int) -> list[Network]:
    """Return what a forward may do with layers in order, on sequences of so many steps.

    It gives so many steps, or 1. Raises UnsupportedError where none of that is supported.
    """
    found, refused = [], None
    for padded in paddings(layers):
        lost = sum(layer.lost for layer in padded if isinstance(layer, Convolution))
        done = [*ways(padded), *_pooled(padded, steps - lost)]
        for times in dict.fromkeys((steps, given) if given > 1 else (steps,)):
            done += _repeated(padded, times)
        for way in done:
            try:
                found.append(Network(way))
            except UnsupportedError as error:
                refused = refused or error
    if not found and refused is not None:
        raise refused
    return found


def ways(layers: Sequence[Layer]) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers with what forward may give of the last recurrent one: all steps, or one."""
    yield with_sequences(layers, last=True)
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent | Bidirectional)]
    if not recurrent or any(isinstance(layer, Reshape) for layer in layers):
        return
    for last_output in (False, True) if isinstance(recurrent[-1], Bidirectional) else (False,):
        yield with_sequences(layers, last=False, last_output=last_output)


def _pooled(layers: Sequence[Layer], steps: int) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers with all steps, so many, made one behind the last that is stepping."""
    places = [n for n, layer in enumerate(layers, start=1) if isinstance(layer, _STEPPING)]
    if not places or any(isinstance(layer, Reshape) for layer in layers):
        return
    every, place = with_sequences(layers, last=True), places[-1]
    features = every[place - 1].outputs
    name = _free("pooling", layers)
    for pooling in (MaxPooling(name, features), AveragePooling(name, features, steps)):
        yield (*every[:place], pooling, *every[place:])


def _repeated(layers: Sequence[Layer], times: int) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers with the last state of a recurrent one repeated for those behind it.

    That is an encoder and a decoder, which gives so many steps or its last state.
    """
    places = [n for n, layer in enumerate(layers) if isinstance(layer, Recurrent | Bidirectional)]
    for before, place in pairwise(places):
        encoder = with_sequences(layers[:place], last=False)
        repeat = repeat_vector(_free("repeat", layers), times, layers[place].features)
        for last in (True, False):
            decoder = with_sequences(layers[place:], last=last)
            yield (*encoder, repeat, *decoder)
            if place - before > 1:  # or before the dense layers between the two
                early = repeat_vector(repeat.name, times, layers[before].outputs)
                ended = with_sequences(layers[: before + 1], last=False)
                yield (*ended, early, *layers[before + 1 : place], *decoder)


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
        stepping |= isinstance(layer, _STEPPING)
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
