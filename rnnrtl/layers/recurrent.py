"""Recurrent layers: plain, LSTM and GRU.

Gates are looked up by name, so no framework's gate order survives past its front end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.layers.activations import ACTIVATIONS, GATE_ACTIVATIONS
from rnnrtl.layers.stepping import FloatArray, Stepping, checked


@dataclass(frozen=True, eq=False)
class Gate:
    """The affine map of one gate: kernel @ x + bias, and recurrent_kernel @ h + recurrent_bias.

    Members
    -------
    kernel : (units, features)
    recurrent_kernel : (units, lanes of h), which are units but for an LSTM with a projection
    bias, recurrent_bias : (units,); frameworks with a single bias leave recurrent_bias zero
    """

    kernel: FloatArray
    recurrent_kernel: FloatArray
    bias: FloatArray
    recurrent_bias: FloatArray


def _made(kind: "type[Recurrent]", members: Mapping[str, Any]) -> "Recurrent":
    return kind(**members)


@dataclass(frozen=True, eq=False)
class Recurrent(Stepping):
    """What recurrent layers share: named gates of equal shapes, and which steps are given on.

    Members
    -------
    name : layer name, unique in its network
    gates : gate name -> Gate; the names are `gate_names` of the class
    return_sequences : give every hidden state on (True) or only the last one (False)
    activation : of the candidate, which is a plain RNN's state
    initial : state vector -> its values before a sequence's first step (lanes,); zeros where it is
        not named
    go_backwards : read the sequence from its last step to its first; what is given on comes in that
        order, as Keras has it
    """

    gate_names: ClassVar[tuple[str, ...]] = ()
    states: ClassVar[Mapping[str, str]] = MappingProxyType({"h": "hidden"})
    """State vector -> the tensor whose format it has; "h" is what the layer gives on."""

    name: str
    gates: Mapping[str, Gate]
    return_sequences: bool = False
    activation: str = "tanh"
    initial: Mapping[str, FloatArray] = field(default_factory=dict, kw_only=True)
    go_backwards: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        missing = [gate for gate in self.gate_names if gate not in self.gates]
        unknown = [gate for gate in self.gates if gate not in self.gate_names]
        if missing or unknown:
            raise ModelError(
                f"{kind} {self.name!r} needs the gates {', '.join(self.gate_names)}"
                + (f"; missing: {', '.join(missing)}" if missing else "")
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            )
        first = np.asarray(self.gates[self.gate_names[0]].kernel)
        if first.ndim != 2 or 0 in first.shape:
            raise ModelError(
                f"{kind} {self.name!r}: a kernel has shape {first.shape}, "
                "expected (units, features)"
            )
        units, features = first.shape
        shapes = {
            "kernel": (units, features),
            "recurrent_kernel": (units, self.outputs),
            "bias": (units,),
            "recurrent_bias": (units,),
        }
        gates = {
            gate: Gate(
                **{
                    part: checked(
                        getattr(self.gates[gate], part), f"{self.name}.{part} of gate {gate}", shape
                    )
                    for part, shape in shapes.items()
                }
            )
            for gate in self.gate_names
        }
        object.__setattr__(self, "gates", MappingProxyType(gates))
        object.__setattr__(self, "initial", MappingProxyType(self._checked_initial()))
        self._check_activation(self.activation, ACTIVATIONS)

    def _check_activation(self, given: str, allowed: tuple[str, ...]) -> None:
        if given not in allowed:
            raise UnsupportedError(
                f"{type(self).__name__} {self.name!r}: activation {given!r} is not supported, "
                f"only {', '.join(allowed)} in this place"
            )

    def _checked_initial(self) -> dict[str, FloatArray]:
        unknown = [state for state in self.initial if state not in self.states]
        if unknown:
            raise ModelError(
                f"{type(self).__name__} {self.name!r} has no state {unknown[0]!r}, only "
                f"{', '.join(self.states)}"
            )
        return {
            state: checked(
                self.initial.get(state, np.zeros(self.lanes(state))),
                f"initial {state} of {self.name}",
                (self.lanes(state),),
            )
            for state in self.states
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the members: a read-only view of a mapping has no pickle of its own."""
        members = {member.name: getattr(self, member.name) for member in fields(self)}
        mappings = {"gates": dict(self.gates), "initial": dict(self.initial)}
        return _made, (type(self), {**members, **mappings})

    @property
    def features(self) -> int:
        """Length of the vector taken in at each step."""
        return int(self.gates[self.gate_names[0]].kernel.shape[1])

    @property
    def units(self) -> int:
        """Number of cells, which is the length of the hidden state but where it is projected."""
        return int(self.gates[self.gate_names[0]].kernel.shape[0])

    @property
    def outputs(self) -> int:
        """Length of the vector given on."""
        return self.units

    def lanes(self, state: str) -> int:
        """Return the length of a state vector."""
        return self.outputs if state == "h" else self.units

    @property
    def parameters(self) -> int:
        """Number of trained weights, biases counted as the hardware holds them."""
        return sum(
            gate.kernel.size + gate.recurrent_kernel.size + gate.bias.size
            for gate in self.gates.values()
        )


@dataclass(frozen=True, eq=False)
class SimpleRNN(Recurrent):
    """Plain recurrent layer, h' = activation(W x + b + U h): one gate, h (PyTorch: nn.RNN)."""

    gate_names = ("h",)


@dataclass(frozen=True, eq=False)
class Gated(Recurrent):
    """What LSTM and GRU share.

    Members
    -------
    recurrent_activation : of the gates
    """

    recurrent_activation: str = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_activation(self.recurrent_activation, GATE_ACTIVATIONS)


@dataclass(frozen=True, eq=False)
class LSTM(Gated):
    """Long short-term memory; gates input i, forget f, candidate g (Keras: c), output o.

    Members
    -------
    rounded_products : f * c and i * g are brought into the format of the cell state before they are
        added (Brevitas), as their sum is always; it matters in fixed point only
    projection : (outputs, units), by which o * tanh(c) is multiplied to give h (PyTorch's
        `proj_size`), or None where it is h itself
    """

    gate_names = ("i", "f", "g", "o")
    states = MappingProxyType({"h": "hidden", "c": "cell"})

    rounded_products: bool = False
    projection: FloatArray | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.projection is not None:
            what = f"projection of {self.name}"
            projection = checked(self.projection, what)
            if projection.ndim != 2 or 0 in projection.shape:
                raise ModelError(f"{what} has shape {projection.shape}, expected (outputs, units)")
            object.__setattr__(self, "projection", projection)
        super().__post_init__()
        if self.projection is not None:
            checked(self.projection, what, (self.outputs, self.units))

    @property
    def outputs(self) -> int:
        return self.units if self.projection is None else int(self.projection.shape[0])

    @property
    def parameters(self) -> int:
        return super().parameters + (0 if self.projection is None else self.projection.size)


@dataclass(frozen=True, eq=False)
class GRU(Gated):
    """Gated recurrent unit; gates update z, reset r, candidate n (Keras: h).

    Members
    -------
    reset_after : r multiplies recurrent_kernel @ h + recurrent_bias (True: PyTorch, Keras' default)
        or h itself (False)
    """

    gate_names = ("z", "r", "n")

    reset_after: bool = True

    @property
    def parameters(self) -> int:
        return super().parameters + (self.units if self.reset_after else 0)
