"""Which format each tensor of each layer has."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint.format import Format

TENSORS: Mapping[str, str] = {
    "input": "what the network takes in",
    "kernel": "input weights of a layer",
    "recurrent_kernel": "weights of the hidden state",
    "bias": "biases of a layer",
    "preactivation": "what goes into an activation table; the sums before it are exact",
    "gate": "sigmoid gates",
    "candidate": "candidate of the cell (LSTM g, GRU n), and tanh of the LSTM's cell state",
    "cell": "cell state of an LSTM",
    "hidden": "hidden state",
    "output": "what a dense layer gives",
}
"""Tensor name -> what it is."""


@dataclass(frozen=True)
class Precision:
    """A format for every tensor: the last rule whose pattern matches decides.

    Members
    -------
    default : format of every tensor that no rule names
    rules : ordered pairs (pattern, format). A pattern is `tensor`, `layer.tensor`, or `layer.*`,
        with shell wildcards; tensor names are those of `TENSORS`. The network's own input is
        `input` (without a layer).
    """

    default: Format
    rules: tuple[tuple[str, Format], ...] = field(default=())

    @classmethod
    def parse(cls, precision: "str | Format | Mapping[str, object] | Precision") -> "Precision":
        """Read one format for everything, or a mapping of patterns to formats.

        A mapping needs a `"*"` entry, the default; nested mappings {layer: {tensor: format}} mean
        the same as "layer.tensor".
        """
        if isinstance(precision, Precision):
            return precision
        if isinstance(precision, str) and precision.strip() == "auto":
            from rnnrtl.errors import UnsupportedError

            raise UnsupportedError(
                "precision 'auto' is not supported yet: give a format, such as 'fixed<16,6>'"
            )
        if isinstance(precision, str | Format):
            return cls(Format.parse(precision))
        if not isinstance(precision, Mapping):
            raise PrecisionError(
                f"a precision is a format such as 'fixed<16,6>' or a mapping, not {precision!r}"
            )
        rules = list(_flat(precision))
        default = [form for pattern, form in rules if pattern == "*"]
        if not default:
            raise PrecisionError('a precision mapping needs an entry "*" for all other tensors')
        return cls(default[-1], tuple(rule for rule in rules if rule[0] != "*"))

    def format(self, layer: str, tensor: str) -> Format:
        """Return the format of one tensor of one layer (layer "" for the network's input)."""
        chosen = self.default
        for pattern, form in self.rules:
            if _matches(pattern, layer, tensor):
                chosen = form
        return chosen

    def check(self, layers: Iterable[str]) -> None:
        """Raise PrecisionError for a rule that names nothing in a network with these layers."""
        names = ["", *layers]
        for pattern, _ in self.rules:
            if not any(_matches(pattern, layer, tensor) for layer in names for tensor in TENSORS):
                raise PrecisionError(
                    f"precision rule {pattern!r} names nothing: layers are {', '.join(names[1:])}; "
                    f"tensors are {', '.join(TENSORS)}"
                )

    def __str__(self) -> str:
        if not self.rules:
            return str(self.default)
        return ", ".join(f"{k}: {v}" for k, v in (("*", self.default), *self.rules))


def _matches(pattern: str, layer: str, tensor: str) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) for name in (tensor, f"{layer}.{tensor}", layer) if name
    )


def _flat(mapping: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, Format]]:
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise PrecisionError(f"a key of a precision mapping is text, not {key!r}")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, Format.parse(value)  # type: ignore[arg-type]
