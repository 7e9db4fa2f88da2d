"""PyTorch: layers, forwards as people write them, and the files that torch.save makes."""

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.conformance.case import (
    BATCH,
    FEATURES,
    STEPS,
    UNITS,
    Build,
    Built,
    Case,
    NotMeaningful,
    Refused,
    Source,
    Works,
)

Answer = Works | Refused | NotMeaningful
Make = Callable[[Any], Any]  # torch -> module

WORKS = Works()
ANOTHER = Refused("does something else than its layers in order")


def live(make: Make, *, batch_first: bool = True, **options: Any) -> Build:
    """Return the building of a module in memory, loaded with these options."""

    def build(folder: Path) -> Built:
        module, x, y = made(make, batch_first)
        return Built((Source(module, options),), x, y)

    return build


def stored(make: Make, write: Callable[[Any, Path, Any], Source]) -> Build:
    """Return the building of a file; `write` is given the module, the folder and torch."""

    def build(folder: Path) -> Built:
        import torch

        module, x, y = made(make, batch_first=True)
        return Built((write(module, folder, torch),), x, y)

    return build


def made(make: Make, batch_first: bool) -> tuple[Any, Any, Callable[[], Any]]:
    """Return a seeded module, its input, and what gives its output in float64."""
    import torch

    torch.manual_seed(1)
    module = make(torch)
    rng = np.random.default_rng(2)
    x: Any = rng.standard_normal((BATCH, STEPS, FEATURES)).astype(np.float32)
    words = getattr(module, "words", None)  # an Embedding, if there is one
    if words is not None:
        x = rng.integers(0, words.num_embeddings, (BATCH, STEPS))

    def run() -> Any:
        twin = copy.deepcopy(module).double().eval()
        given = torch.from_numpy(x) if words is not None else torch.from_numpy(x).double()
        with torch.no_grad():
            y = twin(given if batch_first else given.swapaxes(0, 1))
        while isinstance(y, tuple):
            y = y[0]
        y = y.numpy()
        return y if batch_first or y.ndim < 3 else y.swapaxes(0, 1)

    return module, x if words is None else x[..., None], run


def own(forward: Callable[[Any, Any], Any], **layers: Make) -> Make:
    """Return a module with a hand-written forward(module, x)."""

    def make(torch: Any) -> Any:
        from tests.torch_models import Custom

        return Custom(forward, **{name: layer(torch) for name, layer in layers.items()})

    return make


def nn(name: str, *arguments: Any, **options: Any) -> Make:
    """Return a module of torch.nn."""
    return lambda torch: getattr(torch.nn, name)(*arguments, **options)


def rnn(kind: str, features: int = FEATURES, **options: Any) -> Make:
    options = {"batch_first": True, **options}
    return nn(kind, features, UNITS, **options)


def linear(features: int = UNITS, units: int = 2, **options: Any) -> Make:
    return nn("Linear", features, units, **options)


def tagger(kind: str = "LSTM", head: Make | None = None) -> Make:
    """Return what most people write: the last step, and a head."""
    return own(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=rnn(kind), head=head or linear())


def after_linear(layer: Make) -> Make:
    return lambda torch: torch.nn.Sequential(torch.nn.Linear(UNITS, 2), layer(torch))


# Option of a layer -> what is to be expected; another answer for single layers is below.
LAYER: Mapping[str, tuple[Mapping[str, Any], Answer]] = {
    "batch_first=True": ({}, WORKS),
    "batch_first=False": ({"batch_first": False}, WORKS),
    "bias=False": ({"bias": False}, WORKS),
    "num_layers=2": ({"num_layers": 2}, WORKS),
    "num_layers=3": ({"num_layers": 3}, WORKS),
    "num_layers=2, bias=False": ({"num_layers": 2, "bias": False}, WORKS),
    "num_layers=2, dropout=0.5": ({"num_layers": 2, "dropout": 0.5}, WORKS),
    "dtype=float64": ({"dtype": "float64"}, WORKS),
    "dtype=float16": ({"dtype": "float16"}, WORKS),
    "dtype=bfloat16": ({"dtype": "bfloat16"}, WORKS),
    "bidirectional=True": ({"bidirectional": True}, WORKS),
    "bidirectional=True, bias=False": ({"bidirectional": True, "bias": False}, WORKS),
    "bidirectional=True, num_layers=2": ({"bidirectional": True, "num_layers": 2}, WORKS),
}  # fmt: skip


def _layer(kind: str, options: Mapping[str, Any]) -> Make:
    def make(torch: Any) -> Any:
        given = dict(options)
        if "dtype" in given:
            given["dtype"] = getattr(torch, given["dtype"])
        return rnn(kind, **given)(torch)

    return make


def layers() -> Iterator[Case]:
    for kind in ("LSTM", "GRU", "RNN"):
        for option, (given, answer) in LAYER.items():
            first = given.get("batch_first", True)
            build = live(_layer(kind, given), batch_first=first)
            yield Case("PyTorch", kind, option, answer, build)
    yield Case("PyTorch", "RNN", "nonlinearity='relu'", WORKS,
               live(_layer("RNN", {"nonlinearity": "relu"})))  # fmt: skip
    yield Case("PyTorch", "LSTM", "proj_size=1", WORKS, live(rnn("LSTM", proj_size=1)))
    for kind in ("GRU", "RNN"):
        yield Case("PyTorch", kind, "proj_size", NotMeaningful("only torch.nn.LSTM has it"))
    for kind in ("LSTMCell", "GRUCell", "RNNCell"):
        by_hand = own(_loop, cell=nn(kind, FEATURES, UNITS))
        yield Case("PyTorch", kind, "in a loop of the user's", WORKS, live(by_hand))


def _loop(module: Any, x: Any) -> Any:
    state = None
    for t in range(x.shape[1]):
        state = module.cell(x[:, t], state)
    return state[0] if isinstance(state, tuple) else state


# A module after a Linear -> what is to be expected.
HEADS: Mapping[str, tuple[Make, Answer]] = {
    "ReLU": (nn("ReLU"), WORKS),
    "Sigmoid": (nn("Sigmoid"), WORKS),
    "Tanh": (nn("Tanh"), WORKS),
    "Hardsigmoid": (nn("Hardsigmoid"), WORKS),
    "Hardtanh": (nn("Hardtanh"), WORKS),
    "Hardtanh(-2, 2)": (nn("Hardtanh", -2, 2), Refused("min_val=-2 is not supported")),
    "Softsign": (nn("Softsign"), WORKS),
    "ELU": (nn("ELU"), WORKS),
    "ELU(alpha=0.5)": (nn("ELU", 0.5), Refused("alpha=0.5 is not supported")),
    "Softplus": (nn("Softplus"), WORKS),
    "Softplus(beta=2)": (nn("Softplus", beta=2), Refused("beta=2 is not supported")),
    "Softmax(-1)": (nn("Softmax", -1), WORKS),
    "Softmax(0)": (nn("Softmax", 0), ANOTHER),
    "Dropout": (nn("Dropout", 0.5), WORKS),
    "Identity": (nn("Identity"), WORKS),
    **{
        f"{name}": (nn(name), Refused(f"({name}) is not"))
        for name in ("LeakyReLU", "GELU", "SiLU", "ReLU6", "Mish", "LogSigmoid", "Hardswish")
    },
    "LogSoftmax(-1)": (nn("LogSoftmax", -1), Refused("(LogSoftmax) is not")),
    "PReLU": (nn("PReLU"), Refused("(PReLU) is not")),
    "LayerNorm": (nn("LayerNorm", 2), Refused("(LayerNorm) is not")),
    "BatchNorm1d": (nn("BatchNorm1d", 2), WORKS),
}


CHAINS: Mapping[str, Make] = {
    "Linear after the last state": tagger("GRU"),
    "Linear with bias=False": tagger(head=linear(bias=False)),
    "Linear, ReLU, Linear": tagger(
        head=lambda t: t.nn.Sequential(t.nn.Linear(UNITS, 3), t.nn.ReLU(), t.nn.Linear(3, 1))
    ),
    "BatchNorm1d, ReLU after the last state": own(
        lambda m, x: m.head(m.act(m.norm(m.rnn(x)[0][:, -1]))),
        rnn=rnn("GRU"), norm=nn("BatchNorm1d", UNITS), act=nn("ReLU"), head=linear(),
    ),
    "BatchNorm1d before a GRU, transposed": own(
        lambda m, x: m.rnn(m.norm(x.transpose(1, 2)).transpose(1, 2))[0],
        norm=nn("BatchNorm1d", FEATURES), rnn=rnn("GRU"),
    ),
    "Linear on each step": own(lambda m, x: m.head(m.rnn(x)[0]), rnn=rnn("GRU"), head=linear()),
    "Linear before a GRU": own(
        lambda m, x: m.rnn(m.inner(x))[0], inner=linear(FEATURES, 3), rnn=rnn("GRU", 3)
    ),
    "LSTM, GRU": own(lambda m, x: m.b(m.a(x)[0])[0], a=rnn("LSTM"), b=rnn("GRU", UNITS)),
    "GRU, Linear, LSTM": own(
        lambda m, x: m.c(m.b(m.a(x)[0]))[0][:, -1],
        a=rnn("GRU"), b=linear(UNITS, 3), c=rnn("LSTM", 3),
    ),
}  # fmt: skip


def heads() -> Iterator[Case]:
    group = "after Linear"
    for name, (layer, answer) in HEADS.items():
        yield Case("PyTorch", group, name, answer, live(tagger(head=after_linear(layer))))
    for option, make in CHAINS.items():
        yield Case("PyTorch", "chains", option, WORKS, live(make))
    conv = own(lambda m, x: m.rnn(m.first(x))[0],
               first=nn("Conv2d", FEATURES, 3, 2), rnn=rnn("GRU"))  # fmt: skip
    yield Case("PyTorch", "other layers", "Conv2d", Refused("(Conv2d) is not"), live(conv))


def cases() -> list[Case]:
    return [*layers(), *heads()]
