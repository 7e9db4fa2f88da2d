"""Readers of trained networks: one module a source, and `load`, which picks it."""

import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends import activations as act
from rnnrtl.frontends.arrays import read_arrays
from rnnrtl.frontends.brevitas import is_brevitas, read_brevitas
from rnnrtl.frontends.folding import normalised
from rnnrtl.frontends.hgq import is_hgq, read_hgq
from rnnrtl.frontends.module import read_module
from rnnrtl.frontends.names import module_name
from rnnrtl.frontends.npz import read_npz, save
from rnnrtl.frontends.pytorch import read_checkpoint, unwrapped
from rnnrtl.frontends.qkeras import is_qkeras, read_qkeras
from rnnrtl.frontends.safetensors_files import read_safetensors
from rnnrtl.frontends.state_dict import is_state_dict, read_state_dict
from rnnrtl.frontends.values import (
    as_array,
    as_count,
    as_flag,
    as_precision,
    as_text,
    flatten,
    grouped,
)
from rnnrtl.network import Network

__all__ = ["load", "save"]

_KERAS_WEIGHTS = (".h5", ".hdf5")
_TYPES = ".npz, .keras, .h5, .hdf5, .onnx, .pt, .pth and .safetensors"
_ADVICE = {
    ".json": 'it holds no weights; give it beside them, load("weights.h5", architecture="x.json")',
    ".pb": "save the Keras model as .keras or .h5",
    ".pkl": "pickles run code when they are read; save arrays with numpy.savez",
    ".npy": "one array makes no network; save all of them with numpy.savez",
}


_QUANTISED = "activations cannot be put into a quantised model: their formats are unknown"


def load(
    source: object,
    *,
    steps: int | None = None,
    activations: Mapping[str, str] | None = None,
    architecture: str | PathLike[str] | None = None,
    normalise: tuple[object, object] | None = None,
) -> Network:
    """Read a trained network.

    Parameters
    ----------
    source
        A path to a Keras model (``.keras``; ``.h5``/``.hdf5`` of Keras 1, 2 or 3), an ``.npz``,
        an ``.onnx``, or a PyTorch state dict (``.safetensors``, or ``.pt``/``.pth``, read with
        weights_only=True); a dict of arrays with Keras' or PyTorch's parameter names (see
        `rnnrtl.frontends.arrays` and `rnnrtl.frontends.state_dict`); a keras.Model; a
        torch.nn.Module; or a Network. A module of Brevitas' layers, a Keras model of
        HGQ2's or QKeras' and an `rnnrtl.training.QuantizedNetwork` bring the formats that they
        were trained in, as the network's `precision`.
    steps
        Time steps of a sequence, in place of what the source says.
    activations
        Layer name -> activation: of a dense layer in place of what the source says, behind a
        recurrent layer or a BatchNorm1d one more. A state dict says none, so it needs those
        between its Linear layers: {"head.0": "relu"}.
    architecture
        Path of the JSON of a Keras model (``to_json()``) whose ``.h5`` holds weights only.
    normalise
        (mean, scale), each one number or one for each feature: the network was trained on
        (x - mean) / scale, and shall take x itself. It goes into the first layer's weights.

    Raises
    ------
    ModelError
        Files or weights that make no network: missing, damaged, misshapen, not finite.
    UnsupportedError
        Formats, layers and options that rnnrtl does not read.
    """
    named = act.by_layer(activations)
    if architecture is not None and not (
        isinstance(source, str | PathLike) and Path(source).suffix.lower() in _KERAS_WEIGHTS
    ):
        raise ModelError("architecture is for .h5 files of Keras weights alone")
    if isinstance(source, str | PathLike):
        network = _from_path(Path(source), named, architecture, steps)
    elif isinstance(source, Network):
        network = _with_activations(source, named)
    elif isinstance(source, Mapping):
        network = _from_mapping(unwrapped(source), named, name="network")
    elif is_hgq(source) or is_qkeras(source):
        network = _from_quantised(source, named)
    elif _is_keras(source):
        from rnnrtl.frontends.keras_files import read_model

        network = _with_activations(read_model(source), named)
        network = network.replace(name=module_name(str(getattr(source, "name", "network"))))
    elif _is_module(source):
        network = _from_module(source, named, steps)
    else:
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise ModelError(
            f"cannot load a network from {kind}: pass a path, a dict of arrays, a keras.Model, "
            "a torch.nn.Module or a Network"
        )
    if normalise is not None:
        network = normalised(network, normalise)
    return network if steps is None else network.replace(steps=steps)


def _with_activations(network: Network, activations: Mapping[str, str]) -> Network:
    return network.replace(layers=act.apply(network.layers, activations))


def _is_keras(source: object) -> bool:
    """Recognise a keras.Model by its classes; of Keras 3 on PyTorch it is a torch module, too."""
    return any(
        kind.__name__ == "Model" and kind.__module__.split(".")[0] in ("keras", "tf_keras")
        for kind in type(source).__mro__
    )


def _is_module(source: object) -> bool:
    """Recognise a torch.nn.Module; without torch in the process there is none."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def _from_module(module: Any, activations: Mapping[str, str], steps: int | None) -> Network:
    """Read a live module: one that says which network it is, one of Brevitas, or any other."""
    trained = getattr(module, "network", None)
    if isinstance(trained, Network):
        return trained.replace(layers=act.apply(trained.layers, activations))
    name = module_name(type(module).__name__)
    if is_brevitas(module):
        if activations:
            raise UnsupportedError(_QUANTISED)
        return read_brevitas(module).replace(name=name)
    return read_module(module, activations, steps).replace(name=name)


def _from_quantised(model: Any, activations: Mapping[str, str]) -> Network:
    if activations:
        raise UnsupportedError(_QUANTISED)
    read = read_hgq if is_hgq(model) else read_qkeras
    return read(model).replace(name=module_name(model.name))


def _from_path(
    path: Path,
    activations: Mapping[str, str],
    architecture: str | PathLike[str] | None,
    steps: int | None,
) -> Network:
    try:
        if not path.exists():
            raise ModelError(f"{path}: no such file")
        if not path.is_file():
            raise ModelError(f"{path} is a directory or a device, not a file of weights")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ModelError(f"{str(path)!r} cannot be read: {error}") from None
    name = module_name(path.stem)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _from_mapping(read_npz(path), activations, name=name, where=f"{path}: ")
    if suffix in (".pt", ".pth"):
        content = read_checkpoint(path)
        if isinstance(content, Mapping):
            return _from_mapping(content, activations, name=name, where=f"{path}: ")
        return _from_stored_module(path, content, activations, name, steps)
    if suffix in (".keras", *_KERAS_WEIGHTS):
        # Imported only here, since most networks are read without h5py.
        from rnnrtl.frontends.keras_files import read_archive, read_weights_file

        if suffix == ".keras":
            network = read_archive(path)
        else:
            given = None if architecture is None else Path(architecture)
            network = read_weights_file(path, given)
        return _with_activations(network, activations).replace(name=name)
    if suffix == ".onnx":
        from rnnrtl.frontends.onnx_files import read_onnx

        return _with_activations(read_onnx(path), activations).replace(name=name)
    if suffix == ".safetensors":
        tensors = read_safetensors(path)
        return _from_mapping(tensors, activations, name=name, where=f"{path}: ")
    advice = f": {_ADVICE[suffix]}" if suffix in _ADVICE else ""
    raise UnsupportedError(
        f"{path}: files of type {suffix or 'unknown'} are not read, only {_TYPES}{advice}"
    )


def _from_mapping(
    source: Mapping[Any, Any], activations: Mapping[str, str], *, name: str, where: str = ""
) -> Network:
    """Read a dict; its parameter names say whose form it has."""
    try:
        flat = flatten(source)
        name = module_name(as_text(flat.pop("name"), "name")) if "name" in flat else name
        steps = as_count(flat.pop("steps"), "steps") if "steps" in flat else None
        precision = as_precision(flat.pop("precision")) if "precision" in flat else None
        stateful = as_flag(flat.pop("stateful"), "stateful") if "stateful" in flat else False
        mask_value = None
        if "mask_value" in flat:
            mask_value = float(as_array(flat.pop("mask_value"), "mask_value", ()))
        groups = grouped(flat)
        if any(is_state_dict(parameters) for parameters in groups.values()):
            layers = read_state_dict(groups, activations)
        else:
            layers = act.apply(read_arrays(groups), activations)
        return Network(
            layers,
            steps,
            name=name,
            precision=precision,
            stateful=stateful,
            mask_value=mask_value,
        )
    except RnnrtlError as error:
        raise type(error)(f"{where}{error}") from None


def _from_stored_module(
    path: Path, module: Any, activations: Mapping[str, str], name: str, steps: int | None
) -> Network:
    try:
        return read_module(module, activations, steps).replace(name=name)
    except RnnrtlError as error:
        raise type(error)(f"{path}: {error}") from None
    except Exception as error:  # a module put together by a damaged file lacks anything
        raise ModelError(f"{path}: the module in it is damaged: {error}") from None
