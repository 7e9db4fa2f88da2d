"""PyTorch: what a hand-written forward does with the states of its layers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.conformance.case import FEATURES, STEPS, UNITS, Case, Refused
from tests.conformance.pytorch import ANOTHER, WORKS, Answer, Make, linear, live, nn, own, rnn


def flipped(module: Any, x: Any) -> Any:
    return module.rnn(x.flip(1))[0]


def packed(module: Any, x: Any) -> Any:
    import torch

    lengths = torch.tensor([STEPS - n % 2 for n in range(len(x))])
    whole = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    return module.rnn(whole)[1][-1]


def zeros(module: Any, x: Any) -> Any:
    return module.rnn(x, x.new_zeros(1, len(x), UNITS))[0]


def ones(module: Any, x: Any) -> Any:
    return module.rnn(x, x.new_ones(1, len(x), UNITS))[0]


def _ends(module: Any, x: Any) -> Any:
    import torch

    state = module.rnn(x)[1]
    return module.head(torch.cat([state[-2], state[-1]], 1))


def decoded(module: Any, x: Any, steps: int) -> Any:
    return module.decoder(module.rnn(x)[1][0][-1][:, None].repeat(1, steps, 1))[0]


BOTH = rnn("GRU", bidirectional=True)
ALL_STEPS = linear(STEPS * UNITS)
DECODER = rnn("GRU", UNITS)

# What forward does with the states of an LSTM or GRU (`rnn`) and a Linear (`head`).
FORWARDS: Mapping[str, tuple[Make, Answer]] = {
    "out[:, -1]": (own(lambda m, x: m.rnn(x)[0][:, -1], rnn=rnn("LSTM")), WORKS),
    "out[:, -1, :]": (own(lambda m, x: m.rnn(x)[0][:, -1, :], rnn=rnn("GRU")), WORKS),
    "out[-1], steps first": (
        own(lambda m, x: m.rnn(x.transpose(0, 1))[0][-1], rnn=rnn("GRU", batch_first=False)), WORKS,
    ),
    "h_n[-1] of a GRU": (own(lambda m, x: m.rnn(x)[1][-1], rnn=rnn("GRU")), WORKS),
    "h_n[-1] of an LSTM": (own(lambda m, x: m.rnn(x)[1][0][-1], rnn=rnn("LSTM")), WORKS),
    "h_n[-1] of two layers": (
        own(lambda m, x: m.rnn(x)[1][-1], rnn=rnn("GRU", num_layers=2)), WORKS,
    ),
    "h_n.squeeze(0)": (own(lambda m, x: m.rnn(x)[1].squeeze(0), rnn=rnn("GRU")), WORKS),
    "h_n, as it is": (own(lambda m, x: m.rnn(x)[1], rnn=rnn("GRU")), WORKS),
    "h_n[0] of two layers": (own(lambda m, x: m.rnn(x)[1][0], rnn=rnn("GRU", num_layers=2)),
                             ANOTHER),
    "out[:, -1], bidirectional": (
        own(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=BOTH, head=linear(2 * UNITS)), WORKS,
    ),
    "out[:, -1], bidirectional, two layers": (
        own(lambda m, x: m.rnn(x)[0][:, -1], rnn=rnn("LSTM", bidirectional=True, num_layers=2)),
        WORKS,
    ),
    "h_n[-2] and h_n[-1], bidirectional": (own(_ends, rnn=BOTH, head=linear(2 * UNITS)), WORKS),
    "every step of both directions, a head": (
        own(lambda m, x: m.head(m.rnn(x)[0]), rnn=BOTH, head=linear(2 * UNITS)), WORKS,
    ),
    "h_n[-1], bidirectional": (own(lambda m, x: m.rnn(x)[1][-1], rnn=BOTH), ANOTHER),
    "the sum of both directions": (
        own(lambda m, x: sum(m.rnn(x)[0].chunk(2, -1)), rnn=BOTH), ANOTHER,
    ),
    "c_n[-1]": (own(lambda m, x: m.rnn(x)[1][1][-1], rnn=rnn("LSTM")), ANOTHER),
    "squeeze(-1)": (
        own(lambda m, x: m.head(m.rnn(x)[0][:, -1]).squeeze(-1), rnn=rnn("GRU"),
            head=linear(units=1)), WORKS,
    ),
    "view(batch, -1) of the last": (
        own(lambda m, x: m.head(m.rnn(x)[1].view(len(x), -1)), rnn=rnn("GRU"), head=linear()),
        WORKS,
    ),
    "flatten of all steps": (own(lambda m, x: m.rnn(x)[0].flatten(1), rnn=rnn("GRU")), WORKS),
    "Linear of all steps": (
        own(lambda m, x: m.head(m.rnn(x)[0].flatten(1)), rnn=rnn("GRU"), head=ALL_STEPS), WORKS,
    ),
    "h_n repeated for a decoder": (
        own(lambda m, x: decoded(m, x, STEPS), rnn=rnn("LSTM"), decoder=DECODER), WORKS,
    ),
    "h_n repeated as often as there are steps": (
        own(lambda m, x: decoded(m, x, x.shape[1])[:, -1], rnn=rnn("LSTM"), decoder=DECODER),
        Refused("say how many steps there are"),
    ),
    "F.dropout": (
        own(lambda m, x: __import__("torch").nn.functional.dropout(m.rnn(x)[0], 0.5, m.training),
            rnn=rnn("GRU")), WORKS,
    ),
    "torch.sigmoid, not said": (
        own(lambda m, x: m.head(m.rnn(x)[0][:, -1]).sigmoid(), rnn=rnn("GRU"), head=linear()),
        ANOTHER,
    ),
    "initial states of zeros": (own(zeros, rnn=rnn("GRU")), WORKS),
    "initial states of ones": (own(ones, rnn=rnn("GRU")), ANOTHER),
    "flip of the steps": (own(flipped, rnn=rnn("GRU")), ANOTHER),
    "pack_padded_sequence": (own(packed, rnn=rnn("GRU")), ANOTHER),
    "mean over the steps, not said how many": (
        own(lambda m, x: m.rnn(x)[0].mean(1), rnn=rnn("GRU")),
        Refused("takes the mean over time: say how many steps"),
    ),
    "maximum over the steps": (own(lambda m, x: m.rnn(x)[0].amax(1), rnn=rnn("GRU")), WORKS),
    "the first step": (own(lambda m, x: m.rnn(x)[0][:, 0], rnn=rnn("GRU")), ANOTHER),
    "a residual sum": (own(lambda m, x: m.rnn(x)[0] + x, rnn=rnn("GRU")), ANOTHER),
    "a layer used twice": (own(lambda m, x: m.rnn(m.rnn(x)[0])[0], rnn=rnn("GRU")), ANOTHER),
    "scaled input": (own(lambda m, x: m.rnn(x / 3)[0], rnn=rnn("GRU")), ANOTHER),
    "registered in another order": (
        own(lambda m, x: m.head(m.rnn(x)[0]), head=linear(UNITS, 3), rnn=rnn("GRU")),
        Refused("layers are read in the order of registration"),
    ),
}  # fmt: skip


def convolved(before: int = 0, behind: int = 0, **options: Any) -> Make:
    """Return a Conv1d with zeros before it, the last steps cut off, and an LSTM."""

    def forward(module: Any, x: Any) -> Any:
        import torch

        y = module.conv(torch.nn.functional.pad(x.transpose(1, 2), (before, 0)))
        y = torch.tanh(y[..., : y.shape[-1] - behind]).transpose(1, 2)
        return module.rnn(y)[0][:, -1]

    conv = nn("Conv1d", FEATURES, UNITS, 2, **options)
    return own(forward, conv=conv, rnn=rnn("LSTM", UNITS))


CONVOLUTIONS: Mapping[str, tuple[Make, Answer]] = {
    "the defaults": (convolved(), WORKS),
    "dilation=2": (convolved(dilation=2), WORKS),
    "bias=False": (convolved(bias=False), WORKS),
    "F.pad before": (convolved(1), WORKS),
    "padding=1, the last step cut off": (convolved(behind=1, padding=1), WORKS),
    "padding=1": (convolved(padding=1), ANOTHER),
    "padding='same'": (convolved(padding="same"), Refused("still to come")),
    "stride=2": (convolved(stride=2), Refused("stride=2 is not supported")),
    "padding_mode='replicate'": (
        convolved(behind=1, padding=1, padding_mode="replicate"), Refused("padding_mode="),
    ),
}  # fmt: skip


def embedded(forward: Callable[[Any, Any], Any], **options: Any) -> Make:
    """Return an Embedding and an LSTM of its vectors."""
    return own(forward, words=nn("Embedding", 5, 3, **options), rnn=rnn("LSTM", 3))


def _last(module: Any, x: Any) -> Any:
    return module.rnn(module.words(x))[0][:, -1]


EMBEDDINGS: Mapping[str, tuple[Make, Answer]] = {
    "the defaults": (embedded(_last), WORKS),
    "every step": (embedded(lambda m, x: m.rnn(m.words(x))[0]), WORKS),
    "padding_idx=0": (embedded(_last, padding_idx=0), WORKS),
    "max_norm=1.0": (embedded(_last, max_norm=1.0), Refused("max_norm=1.0 is not supported")),
    "scaled": (embedded(lambda m, x: m.rnn(3 * m.words(x))[0]), ANOTHER),
}


def cases() -> Iterator[Case]:
    for option, (make, answer) in EMBEDDINGS.items():
        yield Case("PyTorch", "Embedding", option, answer, live(make))
    for option, (make, answer) in CONVOLUTIONS.items():
        yield Case("PyTorch", "Conv1d", option, answer, live(make, activations={"conv": "tanh"}))
    for option, (make, answer) in FORWARDS.items():
        yield Case("PyTorch", "forward", option, answer, live(make))
    mean = own(lambda m, x: m.rnn(x)[0].mean(1), rnn=rnn("GRU"))
    yield Case("PyTorch", "forward", "mean over the steps", WORKS, live(mean, steps=STEPS))
    for word in ("sigmoid", "tanh", "relu"):
        make = own(_function(word), rnn=rnn("LSTM"), head=linear())
        for told, said, answer in (("said", word, WORKS), ("another one", "softsign", ANOTHER)):
            build = live(make, activations={"head": said})
            option = f"torch.{word}, {told} by activations="
            yield Case("PyTorch", "forward", option, answer, build)


def _function(word: str) -> Callable[[Any, Any], Any]:
    return lambda m, x: getattr(m.head(m.rnn(x)[0][:, -1]), word)()
