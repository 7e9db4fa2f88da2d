"""PyTorch's files: state dicts in their wrappings, whole modules, TorchScript, and other forms."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance.case import FEATURES, UNITS, Case, Refused, Source, Works
from tests.conformance.pytorch import Answer, Make, linear, own, rnn, stored, tagger

Write = Callable[[Any, Path, Any], Source]
WORKS = Works()


def saved(
    content: Callable[[Any, Any], Any],
    name: str = "model.pt",
    load: Mapping[str, Any] | None = None,
    **options: Any,
) -> Write:
    """Return the writing of what `content` makes of (module, torch)."""

    def write(module: Any, folder: Path, torch: Any) -> Source:
        torch.save(content(module, torch), folder / name, **options)
        return Source(folder / name, load or {})

    return write


def own_class(module: Any, torch: Any) -> Any:
    from tests.torch_models import LastState

    return LastState()


def state(module: Any, torch: Any) -> Any:
    return module.state_dict()


def safetensors(module: Any, folder: Path, torch: Any) -> Source:
    from safetensors.torch import save_file

    save_file(module.state_dict(), folder / "model.safetensors")
    return Source(folder / "model.safetensors")


def npz(module: Any, folder: Path, torch: Any) -> Source:
    np.savez(folder / "model.npz", **{k: v.numpy() for k, v in module.state_dict().items()})
    return Source(folder / "model.npz")


def arrays(module: Any, folder: Path, torch: Any) -> Source:
    return Source({key: value.numpy() for key, value in module.state_dict().items()})


def tensors(module: Any, folder: Path, torch: Any) -> Source:
    return Source(module.state_dict())


def script(module: Any, folder: Path, torch: Any) -> Source:
    path = folder / "model.pt"
    torch.jit.save(torch.jit.script(module), path)
    return Source(path)


def live_script(module: Any, folder: Path, torch: Any) -> Source:
    return Source(torch.jit.script(module))


def exported(module: Any, folder: Path, torch: Any) -> Source:
    path = folder / "model.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(2, 4, FEATURES),)), path)
    return Source(path)


def compiled(module: Any, folder: Path, torch: Any) -> Source:
    return Source(torch.compile(module))


def traced(module: Any, folder: Path, torch: Any) -> Source:
    return Source(torch.fx.symbolic_trace(module))


def parallel(module: Any, folder: Path, torch: Any) -> Source:
    return Source(torch.nn.DataParallel(module))


def deep(torch: Any) -> Any:
    nn = torch.nn
    head = nn.Sequential(nn.Linear(UNITS, 3), nn.ReLU(), nn.Linear(3, 1), nn.Sigmoid())
    return own(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=rnn("LSTM"), head=lambda t: head)(torch)


def layers(torch: Any) -> Any:
    return torch.nn.Sequential(torch.nn.Linear(FEATURES, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))


SAID = {"activations": {"head_0": "relu", "head_2": "sigmoid"}}
FILES: Mapping[str, tuple[Make, Write, Answer]] = {
    "state dict, .pt": (tagger("LSTM"), saved(state), WORKS),
    "state dict, .pth": (tagger("GRU"), saved(state, "model.pth"), WORKS),
    "state dict of a bare layer": (rnn("GRU"), saved(state), WORKS),
    "state dict of a stack": (rnn("LSTM", num_layers=2), saved(state), WORKS),
    "state dict without biases": (rnn("LSTM", bias=False), saved(state), WORKS),
    "state dict, activations= said": (deep, saved(state, load=SAID), WORKS),
    "state dict, activations not said": (
        deep, saved(state), Refused("a state dict does not say what stands between"),
    ),
    "state dict of bidirectional layers": (
        rnn("LSTM", bidirectional=True, num_layers=2), saved(state), WORKS,
    ),
    "state dict of bidirectional layers and a head": (
        own(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=rnn("GRU", bidirectional=True),
            head=linear(2 * UNITS)),
        saved(state), Refused("a state dict does not say what head takes of the bidirectional rnn"),
    ),
    "state dict of projections": (rnn("LSTM", proj_size=1), saved(state), WORKS),
    "checkpoint, key 'state_dict'": (
        tagger(), saved(lambda m, t: {"state_dict": m.state_dict(), "epoch": 3}), WORKS,
    ),
    "checkpoint, key 'model_state_dict'": (
        tagger(), saved(lambda m, t: {"model_state_dict": m.state_dict(), "loss": 0.1}), WORKS,
    ),
    "names with a prefix, as Lightning's": (
        tagger(),
        saved(lambda m, t: {"state_dict": {f"model.{k}": v for k, v in m.state_dict().items()}}),
        WORKS,
    ),
    "before torch 1.6 (no zip)": (
        tagger(), saved(state, _use_new_zipfile_serialization=False), WORKS,
    ),
    "state dict in float16": (tagger(), saved(lambda m, t: m.half().state_dict()), WORKS),
    "state dict of tensors, in memory": (tagger(), tensors, WORKS),
    "state dict of arrays, in memory": (tagger(), arrays, WORKS),
    "state dict in .npz": (tagger("GRU"), npz, WORKS),
    "state dict in .safetensors": (rnn("GRU"), safetensors, WORKS),
    "whole module of torch.nn's layers": (layers, saved(lambda m, t: m), WORKS),
    "whole layer": (rnn("LSTM"), saved(lambda m, t: m), WORKS),
    "whole module of a class of its own": (
        tagger(), saved(own_class),
        Refused("when it is unpickled, which is refused"),
    ),
    "TorchScript file": (rnn("GRU"), script, Refused("is a TorchScript archive")),
    "TorchScript in memory": (
        rnn("GRU"), live_script, Refused("RecursiveScriptModule is not supported"),
    ),
    "torch.export file, .pt2": (rnn("GRU"), exported, Refused("files of type .pt2 are not read")),
    "torch.compile": (tagger("GRU"), compiled, WORKS),
    "torch.fx.symbolic_trace": (tagger("GRU"), traced, WORKS),
    "DataParallel": (tagger("GRU"), parallel, WORKS),
}  # fmt: skip


def cases() -> list[Case]:
    return [
        Case("PyTorch", "files", option, answer, stored(make, write))
        for option, (make, write, answer) in FILES.items()
    ]
