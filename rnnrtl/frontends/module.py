"""Read a live torch.nn.Module: its layers in order, then a trial run that proves the reading.

What `forward` does cannot be read from the layers. So a float64 copy of the module runs on random
sequences, and its outputs must be those of the network that was read.
"""

import copy
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends import activations as act
from rnnrtl.frontends.folding import REFUSED, Chain
from rnnrtl.frontends.module_ways import flattened, pooled, readings, repeated, ways
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.state_dict import batch_norm, read_group, with_sequences
from rnnrtl.layers import (
    AveragePooling,
    FloatArray,
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

# The trial: enough sequences, from small to saturating, to tell any two activations apart.
# Batch and steps differ, so that the order of the axes cannot be mistaken.
_BATCH, _STEPS = 64, 5
# Relative to the largest output: rounding in float64; in float32, if float64 cannot be run.
_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def read_module(module: Any, activations: Mapping[str, str], steps: int | None = None) -> Network:
    """Build the network of a module; the module itself is left as it is.

    `activations` (layer -> activation) says those that `forward` calls as functions, `steps` the
    number of time steps, which a mean over them needs.
    Raises UnsupportedError for a layer that is none of RNN, LSTM, GRU and their cells, Linear,
    BatchNorm1d, Identity, Dropout and the activations, ModelError where the trial run gives other
    outputs.
    """
    torch: Any = importlib.import_module("torch")  # imported already, or there were no module
    layers = _layers(torch, module, activations)
    try:
        network = Network(with_sequences(flattened(layers), last=True))
    except ModelError as error:
        raise ModelError(f"{error} (layers are read in the order of registration)") from None
    return _of_steps(_trial(torch, module, network), steps, type(module).__name__)


def _of_steps(network: Network, steps: int | None, kind: str) -> Network:
    """Return a network of `steps` steps in place of those of the trial, where it matters."""
    layers = list(network.layers)
    for place, layer in enumerate(layers):
        if isinstance(layer, AveragePooling) and network.steps == _STEPS:
            does = "takes the mean over time"
        elif isinstance(layer, Reshape) and layer.steps is None and layer.output_steps == _STEPS:
            does = "repeats a vector as often as the input has steps"
        else:
            continue
        if steps is None:
            raise ModelError(f"{kind} {does}: say how many steps there are, load(..., steps=20)")
        if isinstance(layer, AveragePooling):
            layers[place] = replace(layer, steps=steps)
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
                    "only RNN, LSTM, GRU, their cells, Linear, BatchNorm1d, "
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


def trial_sequences(features: int, steps: int = _STEPS) -> FloatArray:
    """Return the input of the trial, (batch, steps, features), exact in float32 too."""
    rng = np.random.default_rng(0)
    scale = np.geomspace(0.1, 10, _BATCH)[:, None, None]
    x = rng.standard_normal((_BATCH, steps, features)) * scale
    return x.astype(np.float32).astype(np.float64)


def _trial(torch: Any, module: Any, network: Network) -> Network:
    """Run the module; return the network that gives what it does: every step, or one of all."""
    steps = network.steps if network.fixed_by and network.steps else _STEPS
    x = trial_sequences(network.features, steps)
    tried: dict[int, list[tuple[Network, FloatArray]]] = {}
    batch_first = all(
        leaf.batch_first for _, leaf in _leaves(module) if isinstance(leaf, torch.nn.RNNBase)
    )
    norms = any(isinstance(leaf, torch.nn.BatchNorm1d) for _, leaf in _leaves(module))
    difference, failure = np.inf, ""
    for dtype, tolerance in _TOLERANCE.items():
        try:
            # The copy takes the conversions, so the user's module keeps its type and its mode.
            twin = copy.deepcopy(module).to(device="cpu", dtype=getattr(torch, dtype)).eval()
        except Exception as error:  # the user's code, which may raise anything
            raise ModelError(
                f"{type(module).__name__} cannot be copied: {first_line(error)}"
            ) from None
        # A forward may transpose on its own, so the other order of the axes is tried too.
        inputs = [x, x.swapaxes(0, 1)] if batch_first else [x.swapaxes(0, 1), x]
        # Given sequences, BatchNorm1d would take the steps for the features.
        if norms and not network.recurrent:
            inputs.insert(0, x.reshape(-1, network.features))
        for given in inputs:
            try:
                y = run_module(torch, twin, given, dtype)
            except Exception as error:
                failure = failure or first_line(error)
                continue
            count = y.size // (_BATCH * network.outputs) or 1
            if count not in tried:
                tried[count] = _tried(network, x, count)
            for way, expected in tried[count]:
                for candidate in readings(y, expected):
                    gap = float(np.abs(candidate - expected).max())
                    gap /= max(1.0, np.abs(expected).max())
                    difference = min(difference, gap if np.isfinite(gap) else np.inf)
                    if gap <= tolerance:
                        return way
        if not failure:
            break  # it ran, and it disagreed
    kind = type(module).__name__
    if np.isinf(difference) and failure:
        raise ModelError(
            f"{kind} fails on an input of shape ({_BATCH}, {steps}, {network.features}): {failure}"
        )
    names = ", ".join(layer.name for layer in network.layers)
    raise ModelError(
        f"the forward of {kind} does something else than its layers in order ({names}): outputs "
        + ("of another shape" if np.isinf(difference) else f"differ by {difference:.2g}")
        + '; say activations that it calls as functions: activations={"'
        + network.layers[-1].name
        + '": "sigmoid"}'
    )


def _tried(network: Network, x: FloatArray, given: int) -> list[tuple[Network, FloatArray]]:
    """Return what a forward may do that gives so many steps, and what each gives."""
    steps = x.shape[1]
    found = [*ways(network), *pooled(network, steps)]
    for times in dict.fromkeys((steps, given) if given > 1 else (steps,)):
        found += repeated(network, times)
    return [(way, way.predict(x)) for way in found]


def run_module(torch: Any, twin: Any, x: FloatArray, dtype: str) -> FloatArray:
    """Run the copy; the first of several outputs counts, as in torch.nn.LSTM."""
    # forward may draw random numbers: the user's generator is put back afterwards.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        y = twin(torch.from_numpy(x.copy()).to(getattr(torch, dtype)))
    # Brevitas' quantised tensors are named tuples too.
    while isinstance(y, tuple | list):
        y = getattr(y, "value", y[0])
    result: FloatArray = y.to(torch.float64).numpy()
    return result


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
