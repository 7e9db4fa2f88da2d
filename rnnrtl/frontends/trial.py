"""The trial of what was read of a module: it runs, and a network must give what it does."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import ModelError
from rnnrtl.frontends.module_ways import readings
from rnnrtl.layers import Embedding, FloatArray
from rnnrtl.network import Network

# The trial: enough sequences, from small to saturating, to tell any two activations apart.
# Batch and steps differ, so that the order of the axes cannot be mistaken.
_BATCH, STEPS = 64, 5
# Relative to the largest output: rounding in float64; in float32, if float64 cannot be run.
_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def trial_sequences(features: int, steps: int = STEPS) -> FloatArray:
    """Return the input of the trial, (batch, steps, features), exact in float32 too."""
    rng = np.random.default_rng(0)
    scale = np.geomspace(0.1, 10, _BATCH)[:, None, None]
    x = rng.standard_normal((_BATCH, steps, features)) * scale
    return x.astype(np.float32).astype(np.float64)


def trial_input(network: Network, steps: int) -> NDArray[Any]:
    """Return the input of the trial: numbers for which there are vectors, or `trial_sequences`."""
    first = network.layers[0]
    if not isinstance(first, Embedding):
        return trial_sequences(network.features, steps)
    rng = np.random.default_rng(0)
    return rng.integers(0, first.vocabulary, (_BATCH, steps, 1))


def tried(
    torch: Any, module: Any, networks: Callable[[int], Sequence[Network]], x: NDArray[Any]
) -> Network:
    """Run the module on x; return the network that gives what it does.

    `networks` returns those to run beside it, for a number of steps that the module gives.
    """
    network = networks(1)[0]
    expected: dict[int, list[tuple[Network, FloatArray]]] = {}
    inputs = _inputs(torch, module, network, x)
    difference, failure, ran = np.inf, "", False
    for dtype, tolerance in _TOLERANCE.items():
        try:
            # The copy takes the conversions, so the user's module keeps its type and its mode.
            twin = copy.deepcopy(module).to(device="cpu", dtype=getattr(torch, dtype)).eval()
        except Exception as error:  # the user's code, which may raise anything
            raise ModelError(
                f"{type(module).__name__} cannot be copied: {first_line(error)}"
            ) from None
        for given in inputs:
            try:
                y = run_module(torch, twin, given, dtype)
            except Exception as error:
                failure = failure or first_line(error)
                continue
            ran = True
            count = y.size // (_BATCH * network.outputs) or 1
            if count not in expected:
                expected[count] = [(way, way.predict(x)) for way in networks(count)]
            for way, wanted in expected[count]:
                for candidate in readings(y, wanted):
                    gap = float(np.abs(candidate - wanted).max())
                    gap /= max(1.0, np.abs(wanted).max())
                    difference = min(difference, gap if np.isfinite(gap) else np.inf)
                    if gap <= tolerance:
                        return way
        if not failure:
            break  # it ran, and it disagreed
    kind = type(module).__name__
    if not ran:
        raise ModelError(f"{kind} fails on an input of shape {x.shape}: {failure}")
    names = ", ".join(layer.name for layer in network.layers)
    raise ModelError(
        f"the forward of {kind} does something else than its layers in order ({names}): outputs "
        + ("of another shape" if np.isinf(difference) else f"differ by {difference:.2g}")
        + '; say activations that it calls as functions: activations={"'
        + network.layers[-1].name
        + '": "sigmoid"}'
    )


def _inputs(torch: Any, module: Any, network: Network, x: NDArray[Any]) -> list[NDArray[Any]]:
    """Return x in the orders of the axes that a forward may take, the likeliest first."""
    parts = list(module.modules())
    given = x[..., 0] if isinstance(network.layers[0], Embedding) else x
    inputs = [given, given.swapaxes(0, 1)]
    # A forward may transpose on its own, so both are tried.
    if not all(part.batch_first for part in parts if isinstance(part, torch.nn.RNNBase)):
        inputs.reverse()
    if given is not x:
        return inputs
    if any(isinstance(part, torch.nn.Conv1d) for part in parts):
        inputs.append(x.swapaxes(1, 2))
    # Given sequences, BatchNorm1d would take the steps for the features.
    if any(isinstance(part, torch.nn.BatchNorm1d) for part in parts) and not network.recurrent:
        inputs.insert(0, x.reshape(-1, network.features))
    return inputs


def run_module(torch: Any, twin: Any, x: NDArray[Any], dtype: str) -> FloatArray:
    """Run the copy on floats of a type, or on integers as they are.

    The first of several outputs counts, as in torch.nn.LSTM.
    """
    # forward may draw random numbers: the user's generator is put back afterwards.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        given = torch.from_numpy(x.copy())
        y = twin(given.to(getattr(torch, dtype)) if given.is_floating_point() else given)
    # Brevitas' quantised tensors are named tuples too.
    while isinstance(y, tuple | list):
        y = getattr(y, "value", y[0])
    result: FloatArray = y.to(torch.float64).numpy()
    return result


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
