"""Read Keras models: .keras files, .h5 files of whole models or of weights, and live models.

Each is a configuration (`keras_config`) and arrays by layer (`keras_weights`), from which
`keras_layers` builds the network. Keras itself is not needed, and no code of a file is run.
"""

import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends import keras_layers
from rnnrtl.frontends.hdf5 import Tree, read_hdf5
from rnnrtl.frontends.keras_config import Config, Spec, cells_of, major, parse, read_config
from rnnrtl.frontends.values import LIMIT_BYTES
from rnnrtl.network import Network

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def read_archive(path: Path) -> Network:
    """Read a .keras file: a zip file of the configuration and the weights in HDF5."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = parse(_member(path, archive, _CONFIG), f"{path}: {_CONFIG}")
            metadata = parse(_member(path, archive, _METADATA), f"{path}: {_METADATA}")
            data = _member(path, archive, _WEIGHTS)
    except RnnrtlError:
        raise
    # zipfile and zlib raise a dozen different errors over damaged files.
    except Exception as error:
        raise ModelError(f"{path} is a damaged .keras file: {_line(error)}") from None
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return _network(config, read_hdf5(path, data), major(version))


def read_weights_file(path: Path, architecture: Path | None) -> Network:
    """Read an .h5 file of a whole model, or one of weights with its architecture as JSON."""
    if path.stat().st_size > LIMIT_BYTES:
        raise ModelError(f"{path} is larger than the {LIMIT_BYTES >> 20} MiB that are read")
    file = read_hdf5(path, path.read_bytes())
    version = major(file.text("", "keras_version"))
    if architecture is not None:
        try:
            text = architecture.read_bytes()
        except (OSError, ValueError) as error:
            raise ModelError(f"{str(architecture)!r} cannot be read: {error}") from None
        model = parse(text, str(architecture))
        # What says how to compute goes before what only says who wrote the weights.
        said = isinstance(model, dict) and "module" in model
        return _network(model, file, None if said else version)
    config = file.text("", "model_config")
    if config is None:
        raise file.error(
            "there is no model_config, so it holds weights only: give the model's to_json() too, "
            'load(path, architecture="model.json")'
        )
    return _network(parse(config, f"{path}: model_config"), file, version)


def read_model(model: Any) -> Network:
    """Read a keras.Model that is in memory."""
    package = type(model).__module__.split(".")[0]
    keras: Any = sys.modules.get(package)
    try:
        text = model.to_json()
        arrays = {
            layer.name: {
                getattr(variable, "path", variable.name): values
                for variable, values in zip(layer.weights, layer.get_weights(), strict=True)
            }
            for layer in model.layers
        }
    # A layer of the user's own may raise anything.
    except Exception as error:
        raise UnsupportedError(
            f"{type(model).__name__} gives no configuration or weights: {_line(error)}"
        ) from None
    config = read_config(
        parse(text, "the model's configuration"), major(getattr(keras, "__version__", None))
    )
    return keras_layers.build(config, arrays)


def _network(model: object, file: Tree, version: int | None) -> Network:
    try:
        config = read_config(model, version)
        return keras_layers.build(config, _arrays(file, config))
    except RnnrtlError as error:
        text = " ".join(str(error).split())  # names in a file hold anything
        known = text.startswith(str(file.path))
        raise type(error)(text if known else f"{file.path}: {text}") from None


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return one file of the archive; the name is ours, so no path in it matters."""
    found = [member for member in archive.infolist() if member.filename == name]
    if len(found) != 1:
        raise ModelError(f"{path} holds {len(found)} files {name}, expected one")
    if found[0].file_size > LIMIT_BYTES // 4:
        raise ModelError(
            f"{path}: {name} unpacks to {found[0].file_size} bytes, more than the "
            f"{LIMIT_BYTES >> 22} MiB that are read"
        )
    return archive.read(found[0])


def _arrays(file: Tree, config: Config) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the arrays by layer, in either of the two forms of Keras' files."""
    for top in ("model_weights", ""):  # of a whole model, of weights only
        names = file.names(top, "layer_names")
        if names is not None:
            return {name: _listed(file, f"{top}/{name}".lstrip("/")) for name in names}
    for top in ("layers", "_layer_checkpoint_dependencies"):  # the latter in Keras 2.12 and 2.13
        if any(path.startswith(f"{top}/") for path in file.arrays):
            places = zip(_places(config.stored), config.stored, strict=True)
            return {
                spec.name: _both(file, f"{top}/{at}")
                if spec.kind == "Bidirectional"
                else _numbered(file, f"{top}/{at}", spec)
                for at, spec in places
            }
    raise file.error("it has neither the layer_names nor the layers of Keras' files")


def _listed(file: Tree, layer: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a layer in a file that lists them, as .h5 files do."""
    names = file.names(layer, "weight_names")
    if names is None:
        raise file.error(f"{layer!r} has no weight_names")
    return {name: file.array(f"{layer}/{name}") for name in names}


def _places(stored: Sequence[Spec]) -> list[str]:
    """Return the groups of layers: class in snake case, numbered from the second on.

    Source: `_save_container_state` in keras/src/saving/saving_lib.py.
    """
    places = []
    counts: dict[str, int] = {}
    for spec in stored:
        name = re.sub(r"\W+", "", spec.kind)
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        number = counts.get(name, 0)
        counts[name] = number + 1
        places.append(f"{name}_{number}" if number else name)
    return places


def _numbered(file: Tree, layer: str, spec: Spec | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of a layer in a file that numbers them, none where there are none."""
    if spec is not None and spec.kind == "RNN":
        cells = cells_of(spec)
        stacked = {
            f"{cell.name}/{number}": array
            for at, cell in zip(_places(cells), cells, strict=True)
            for number, array in _numbered(file, f"{layer}/cell/cells/{at}", cell).items()
        }
        if stacked:
            return stacked
    for inside in ("vars", "cell/vars", "layer/vars"):
        start = f"{layer}/{inside}/"
        found = [path for path in (*file.arrays, *file.refused) if path.startswith(start)]
        if found:
            return {path.removeprefix(start): file.array(path) for path in found}
    return {}


def _both(file: Tree, layer: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a bidirectional layer, those of the forward one first."""
    return {
        f"{way}/{name}": array
        for way in ("forward", "backward")
        for name, array in _numbered(file, f"{layer}/{way}_layer").items()
    }


def _line(error: Exception) -> str:
    """Return what an error says, on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
