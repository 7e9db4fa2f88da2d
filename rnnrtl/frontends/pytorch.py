"""Read .pt and .pth files that torch.save wrote, always with weights_only=True.

A pickle is a program; torch's restricted unpickler runs only what builds tensors, plain containers
and the few torch.nn classes named here. Nothing else of torch.load is ever used.
"""

import importlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError
from rnnrtl.frontends.npz import check_sizes
from rnnrtl.frontends.values import LIMIT_BYTES

_MODULES = (
    "RNN", "LSTM", "GRU", "Linear", "ReLU", "Sigmoid", "Tanh", "Identity", "Dropout", "Sequential",
)  # fmt: skip
# Where training scripts and Lightning put the weights among other things.
_WRAPPERS = ("state_dict", "model_state_dict")


def read_checkpoint(path: Path) -> Any:
    """Return what the file holds: a mapping of state dicts and tensors, or a torch.nn.Module.

    Raises UnsupportedError without torch, ModelError for a file that is damaged or that needs
    other classes to be run.
    """
    _check_file(path)
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise UnsupportedError(
            f'{path}: reading PyTorch files needs torch: pip install "rnnrtl[torch]"'
        ) from None
    allowed = [getattr(torch.nn, name) for name in _MODULES]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or hostile pickle can make the unpickler raise anything.
    except Exception as error:
        raise _refused(path, error) from None
    if isinstance(content, torch.nn.Module):
        return content
    if not isinstance(content, Mapping):
        raise ModelError(
            f"{path} holds a {type(content).__name__}, expected a state dict: "
            "torch.save(module.state_dict(), path)"
        )
    return unwrapped(content)


def unwrapped(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the state dict inside a checkpoint that has other things beside it."""
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, Mapping):
            return inner
    return content


def _check_file(path: Path) -> None:
    """Raise for sizes and kinds of file that are never to reach torch."""
    if path.stat().st_size > LIMIT_BYTES:
        raise ModelError(f"{path} is larger than the {LIMIT_BYTES >> 20} MiB that are read")
    try:
        if not zipfile.is_zipfile(path):
            return  # the format before torch 1.6, or a damaged file: torch.load says which
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelError(f"{path} is a damaged zip file: {error}") from None
    check_sizes(path, members)
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise UnsupportedError(
            f"{path} is a TorchScript archive: save the state dict of the module instead, "
            "torch.save(module.state_dict(), path)"
        )


def _refused(path: Path, error: Exception) -> RnnrtlError:
    """Say in one line why torch.load did not read the file."""
    text = str(error)
    match = re.search(r"Unsupported (?:global: GLOBAL|class) ((?:\w+\.)+\w+)", text) or re.search(
        r"(?:GLOBAL|global|class) ((?:\w+\.)+\w+)", text
    )
    if match:
        return ModelError(
            f"{path} runs {match[1]} when it is unpickled, which is refused: save "
            "module.state_dict() instead of the module, or pass the module itself to load()"
        )
    reason = text.rsplit("WeightsUnpickler error:", 1)[-1].strip().splitlines()
    summary = reason[0].strip() if reason else type(error).__name__
    return ModelError(f"{path} cannot be read as a PyTorch file: {summary}")
