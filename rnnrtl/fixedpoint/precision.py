"""Which format each tensor of each layer has."""

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint.format import Format

TENSORS: Mapping[str, str] = {
    "input": "what the network takes in",
    "kernel": "input weights of a layer",
    "recurrent_kernel": "weights of the hidden state",
    "bias": "biases of a layer",
    "preactivation": "what goes into an activation table; the sums before it are exact",
    "inner": "GRU's U h + b of the candidate, which the reset gate multiplies (reset_after)",
    "gate": "sigmoid gates, as their tables give them",
    "candidate": "candidate of the cell (LSTM g, GRU n, plain RNN h), as its table gives it",
    "cell": "cell state of an LSTM",
    "cell_preactivation": "cell state of an LSTM, as it goes into the table of tanh",
    "cell_activation": "tanh of the cell state of an LSTM, as the table gives it",
    "cell_output": "o * tanh(c) of an LSTM, where a projection makes the hidden state of it",
    "projection": "weights of an LSTM's projection",
    "hidden": "hidden state",
    "output": "what a dense layer gives",
}
"""Tensor name -> what it is."""

COVERED_BY: Mapping[str, str] = {
    "inner": "preactivation",
    "cell_preactivation": "preactivation",
    "cell_activation": "candidate",
    "cell_output": "hidden",
}
"""Tensor -> another one whose rules are meant for it too."""

GATED: Mapping[str, tuple[str, ...]] = {
    "preactivation": ("i", "f", "g", "o", "z", "r", "n"),
    "gate": ("i", "f", "o", "z", "r"),
}
"""Tensor that a cell has once a gate -> the gates that may have a format of their own."""

Rules = tuple[tuple[str, Format], ...]


@dataclass(frozen=True, repr=False)
class Precision:
    """A format for every tensor: the last rule whose pattern matches decides.

    Members
    -------
    default : format of every tensor that no rule names
    rules : ordered pairs (pattern, format). A pattern is `tensor`, `layer.tensor`, or `layer.*`,
        with shell wildcards; tensor names are those of `TENSORS`. What a cell has once a gate may
        have a rule for one of them: `preactivation.i`, `lstm.gate.f`. The network's own input is
        `input` (without a layer). A rule for `preactivation` is one for `inner` and
        `cell_preactivation` too, one for `candidate` for `cell_activation`, and one for `hidden`
        for `cell_output`, unless a later rule names these. Text is read as a format. Of equal
        patterns the last is kept, and a rule for "*" is the default from there on, so that equal
        precisions compare equal.

    `repr` gives the call that makes it, `str` one line for people.

    Raises
    ------
    PrecisionError : for what is no format, no pattern or no pair of them
    """

    default: Format
    rules: Rules = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "default", Format.parse(self.default))
        given: object = self.rules
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise PrecisionError(f"rules are pairs (pattern, format), not {given!r}")
        kept: dict[str, Format] = {}
        for rule in given:
            if not isinstance(rule, tuple | list) or len(rule) != 2:
                raise PrecisionError(f"a rule is a pair (pattern, format), not {rule!r}")
            pattern, form = _pattern(rule[0]), Format.parse(rule[1])
            if pattern == "*":
                kept.clear()
                object.__setattr__(self, "default", form)
            else:
                kept.pop(pattern, None)
                kept[pattern] = form
        object.__setattr__(self, "rules", tuple(kept.items()))

    @classmethod
    def parse(cls, precision: "str | Format | Mapping[str, object] | Precision") -> "Precision":
        """Read one format for everything, or a mapping of patterns to formats.

        A mapping needs a `"*"` entry, the default; nested mappings {layer: {tensor: format}} mean
        the same as "layer.tensor". `"auto"` is read by `generate` alone, which has the data.
        """
        if isinstance(precision, Precision):
            return precision
        if isinstance(precision, str) and precision.strip() == "auto":
            raise PrecisionError(
                "precision 'auto' needs data to find formats with: use rnnrtl.generate(weights, "
                "'auto', calibration=x, ...), rnnrtl.find_precision, or `rnnrtl precision`"
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

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Precision":
        """Read a TOML file, of the mapping that `parse` takes.

        Raises PrecisionError for a file that cannot be read or that holds anything else.
        """
        from rnnrtl.fixedpoint.files import load_precision

        return load_precision(path)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a TOML file that `load` reads back to an equal precision.

        A file of that name is replaced only once the new one is complete. Raises PrecisionError
        for another suffix than .toml, OutputError where the file cannot be written.
        """
        from rnnrtl.fixedpoint.files import save_precision

        save_precision(self, path)

    def as_dict(self) -> dict[str, str]:
        """Return the mapping of patterns to text that `parse` reads back to an equal precision."""
        return {"*": str(self.default), **{pattern: str(form) for pattern, form in self.rules}}

    def with_rules(self, rules: Mapping[str, object]) -> "Precision":
        """Return a copy with more rules, which go before those it has."""
        return Precision(self.default, (*self.rules, *_flat(rules)))

    def format(self, layer: str, tensor: str, gate: str = "") -> Format:
        """Return the format of one tensor of one layer (layer "" for the network's input).

        With the name of a gate, that of its own part of the tensor.
        """
        chosen = self.default
        for pattern, form in self.rules:
            if _matches(pattern, layer, tensor, gate):
                chosen = form
        return chosen

    def check(self, tensors: Mapping[str, Collection[str]]) -> None:
        """Raise PrecisionError for a rule that decides nothing in a network.

        `tensors` holds the tensors that each layer reads, as `rnnrtl.tensors(network)` gives them.
        The name of a tensor alone, such as `cell`, may find no layer that has it: so one mapping
        serves networks of GRUs and of LSTMs.
        """
        layers = [layer for layer in tensors if layer]
        for pattern, _ in self.rules:
            if pattern in TENSORS or any(
                _matches(pattern, layer, t, gate)
                for layer, read in tensors.items()
                for t in read
                for gate in GATED.get(t, ("",))
            ):
                continue
            named = [n for n in tensors if any(_matches(pattern, n, t) for t in TENSORS)]
            if not named:
                raise PrecisionError(
                    f"precision rule {pattern!r} names nothing: layers are {', '.join(layers)}; "
                    f"tensors are {', '.join(TENSORS)}"
                )
            has = "; ".join(f"{n} has {', '.join(tensors[n]) or 'none'}" for n in named if n)
            hint = ". The network's input is `input`, without a layer"
            raise PrecisionError(
                f"precision rule {pattern!r} names nothing that is read: "
                f"{has or 'the network itself has its input only'}"
                + (hint if pattern.endswith("input") else "")
            )

    def __str__(self) -> str:
        if not self.rules:
            return str(self.default)
        return ", ".join(f"{pattern}: {form}" for pattern, form in self.as_dict().items())

    def __repr__(self) -> str:
        given = self.as_dict() if self.rules else str(self.default)
        return f"Precision.parse({given!r})"


def _matches(pattern: str, layer: str, tensor: str, gate: str = "") -> bool:
    names = [layer] if layer else []
    for name in (tensor, COVERED_BY.get(tensor)):
        names += [name, f"{layer}.{name}"] if name else []
    if gate:
        names += [f"{tensor}.{gate}", f"{layer}.{tensor}.{gate}"]
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _pattern(given: object) -> str:
    if not isinstance(given, str):
        raise PrecisionError(f"a pattern of a precision is text, not {given!r}")
    if not given.isprintable():
        raise PrecisionError(f"a pattern of a precision is one line of text, not {given!r}")
    return given


def _flat(mapping: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, Format]]:
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise PrecisionError(f"a key of a precision mapping is text, not {key!r}")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, Format.parse(value)  # type: ignore[arg-type]
