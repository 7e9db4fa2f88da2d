"""Read a live torch.nn.Module: its layers in order, then a trial run that proves the reading.

What `forward` does cannot be read from the layers. So a float64 copy of the module runs on random
sequences, and its outputs must be those of the network that was read.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends import activations as act
from rnnrtl.frontends.folding import REFUSED, Chain
from rnnrtl.frontends.module_ways import flattened, networks
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.state_dict import batch_norm, read_group
from rnnrtl.frontends.torch_convolution import read_convolution
from rnnrtl.frontends.trial import STEPS, trial_input, tried
from rnnrtl.frontends.values import as_array, joined
from rnnrtl.layers import (
    AveragePooling,
    Convolution,
    Embedding,
    Layer,
    Reshape,
    SimpleRNN,
    repeat_vector,
)
from rnnrtl.network import Network

_ACTIVATIONS = {
    "ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Hardsigmoid": "hard_sigmoid",
    "Hardtanh": "hard_tanh", "Softsign": "softsign", "ELU": "elu", "Softplus": "softplus",
    "Softmax": "softmax",
}  # fmt: skip
# Their parameters, at which alone they are these functions. The trial may not reach so far.
_PARAMETERS = {
    "Hardtanh": {"min_val": -1, "max_val": 1}, "ELU": {"alpha": 1},
    "Softplus": {"beta": 1, "threshold": 20},
}  # fmt: skip
_TRANSPARENT = ("Identity", "Dropout", "Flatten", "Unflatten")  # in evaluation, or for the trial


def read_module(module: Any, activations: Mapping[str, str], steps: int | None = None) -> Network:
    """Build the network of a module; the module itself is left as it is.

    `activations` (layer -> activation) says those that `forward` calls as functions, `steps` the
    number of time steps, which a mean over them needs.
    Raises UnsupportedError for a layer that is none of RNN, LSTM, GRU and their cells, Linear,
    BatchNorm1d, Identity, Dropout and the activations, ModelError where the trial run gives other
    outputs.
    """
    torch: Any = importlib.import_module("torch")  # imported already, or there were no module
    layers = flattened(_layers(torch, module, activations))
    taken = [layer.steps for layer in layers if isinstance(layer, Reshape) and layer.steps]
    windows = sum(layer.taps - 1 for layer in layers if isinstance(layer, Convolution))
    of_trial = taken[0] if taken else STEPS + windows
    made = partial(networks, layers, of_trial)
    try:
        x = trial_input(made(1)[0], of_trial)
    except ModelError as error:
        raise ModelError(f"{error} (layers are read in the order of registration)") from None
    found = tried(torch, module, made, x)
    return _of_steps(found, of_trial, steps, type(module).__name__)


def _of_steps(network: Network, of_trial: int, steps: int | None, kind: str) -> Network:
    """Return a network of `steps` steps in place of those of the trial, where it matters."""
    layers = list(network.layers)
    for place, layer in enumerate(layers):
        if isinstance(layer, AveragePooling) and network.steps == of_trial:
            does = "takes the mean over time"
        elif isinstance(layer, Reshape) and layer.steps is None and layer.output_steps == of_trial:
            does = "repeats a vector as often as the input has steps"
        else:
            continue
        if steps is None:
            raise ModelError(f"{kind} {does}: say how many steps there are, load(..., steps=20)")
        if isinstance(layer, AveragePooling):
            layers[place] = replace(layer, steps=steps - network.lost)
        else:
            layers[place] = repeat_vector(layer.name, steps, layer.features)
    return Network(tuple(layers))


def _layers(torch: Any, module: Any, activations: Mapping[str, str]) -> tuple[Layer, ...]:
    chain = Chain()
    names: list[str] = []
    batch_first: bool | None = None
    for name, leaf in _leaves(module):
        where = f"{name!r} ({type(leaf).__name__})" if name else type(leaf).__name__
        if isinstance(leaf, torch.nn.RNNBase | torch.nn.RNNCellBase | torch.nn.Linear):
            if isinstance(leaf, torch.nn.RNNBase):
                if batch_first not in (None, leaf.batch_first):
                    raise UnsupportedError(
                        f"{where}: batch_first differs from the layers before it"
                    )
                batch_first = leaf.batch_first
            for layer in read_group(name, leaf.state_dict()):
                if isinstance(layer, SimpleRNN):
                    layer = replace(layer, activation=leaf.nonlinearity)
                chain.add(layer)
                names.append(layer.name)
                act.follow(chain, layer.name, activations)
        elif isinstance(leaf, torch.nn.Embedding):
            if leaf.max_norm is not None:
                raise UnsupportedError(
                    f"{where}: max_norm={leaf.max_norm} is not supported, only None"
                )
            weight = as_array(leaf.state_dict()["weight"], joined(name, "weight"), (None, None))
            chain.add(Embedding(identifier(name, fallback="embedding"), weight.T))
            names.append(chain.layers[-1].name)
        elif isinstance(leaf, torch.nn.Conv1d):
            chain.add(read_convolution(where, name, leaf))
            names.append(chain.layers[-1].name)
            act.follow(chain, names[-1], activations)
        elif isinstance(leaf, torch.nn.BatchNorm1d):
            if leaf.running_mean is None:
                raise UnsupportedError(
                    f"{where} measures each batch as it runs (track_running_stats=False), which no "
                    "weights can hold"
                )
            names.append(identifier(name, fallback="norm"))
            chain.affine(names[-1], batch_norm(name, leaf.state_dict(), leaf.eps))
            act.follow(chain, names[-1], activations)
        elif (activation := _activation(torch, leaf, where)) is not None:
            chain.activate(identifier(name, fallback=activation), activation)
        elif not _passes(torch, leaf):
            raise UnsupportedError(
                f"{where} is not supported: "
                + REFUSED.get(
                    type(leaf).__name__,
                    "only RNN, LSTM, GRU, their cells, Linear, Conv1d, Embedding, BatchNorm1d, "
                    + ", ".join((*_ACTIVATIONS, *_TRANSPARENT)),
                )
            )
    act.check_names(names, activations)
    return chain.finished()


def _activation(torch: Any, leaf: Any, where: str) -> str | None:
    """Return the activation of a module of just this class: a ReLU6 is a Hardtanh, too."""
    name = type(leaf).__name__
    if name not in _ACTIVATIONS or type(leaf) is not getattr(torch.nn, name):
        return None
    for key, known in _PARAMETERS.get(name, {}).items():
        value = getattr(leaf, key)
        if value != known:
            raise UnsupportedError(f"{where}: {key}={value} is not supported, only {known}")
    return _ACTIVATIONS[name]


def _passes(torch: Any, leaf: Any) -> bool:
    """Tell whether a module passes its input on.

    A class of the user's own without weights may select the last step or transpose: that cannot be
    read, but the trial run judges it.
    """
    if any(isinstance(leaf, getattr(torch.nn, name)) for name in _TRANSPARENT):
        return True
    return not type(leaf).__module__.startswith("torch.") and not leaf.state_dict()


def _leaves(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the modules without children, in order; one used twice comes twice."""
    for name, child in module.named_modules(remove_duplicate=False):
        if next(child.children(), None) is None:
            yield name, child
            continue
        own = next(iter(child.named_parameters(recurse=False)), None)
        if own is not None:
            key = f"{name}.{own[0]}" if name else own[0]
            raise UnsupportedError(f"{key!r} is a parameter outside the layers that are supported")
