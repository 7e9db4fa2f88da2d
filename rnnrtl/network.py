"""A trained network: layers in series.

Front ends produce this, whatever the framework; everything else reads only this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.layers import (
    AveragePooling,
    Bidirectional,
    Convolution,
    Dense,
    Embedding,
    FloatArray,
    Layer,
    Part,
    Pooling,
    Recurrent,
    Reshape,
    Stepping,
    parts,
)
from rnnrtl.layers.stepping import count

if TYPE_CHECKING:
    from rnnrtl.streaming import Stream


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in series.

    Members
    -------
    layers : at least one
    steps : time steps of a sequence, or None where the source does not say. The hardware takes any
        number of steps (`tlast` ends a sequence); `steps` serves the figures of the schedule. Where
        a layer reads time in reverse it is the most that the hardware takes.
    name : default name of the Verilog top module
    precision : the formats that it was trained in, or None where it was trained in floats
    stateful : whether the states live on after a sequence, so that the next one goes on from them
        until they are cleared (Keras' `stateful`)
    mask_value : a step whose features all have this value leaves the states as they are, and a
        layer gives its hidden state once more (Keras' `Masking`); None where every step counts
    """

    layers: tuple[Layer, ...]
    steps: int | None = None
    name: str = field(default="network", kw_only=True)
    precision: Precision | None = field(default=None, kw_only=True)
    stateful: bool = field(default=False, kw_only=True)
    mask_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError("a network needs at least one layer, got none")
        if self.steps is not None:
            object.__setattr__(self, "steps", count(self.steps, "steps"))
        self._check_names()
        self._check_chain()
        self._check_steps()
        self._check_stateful()
        self._check_mask()
        self._check_convolutions()

    def _check_steps(self) -> None:
        steps, lost = self.steps, 0
        for layer in self.layers:
            lost += layer.lost if isinstance(layer, Stepping) else 0
            wanted = layer.steps if isinstance(layer, AveragePooling | Reshape) else None
            if wanted is not None and steps is None:
                steps = wanted + lost
                object.__setattr__(self, "steps", steps)
            if wanted is not None and steps is not None and wanted + lost != steps:
                what = "divides by" if isinstance(layer, AveragePooling) else "takes"
                raise ModelError(
                    f"layer {layer.name!r} {what} {wanted} steps, but steps is {steps}"
                    + (f", of which {lost} fill windows" if lost else "")
                )
            if steps is not None and steps <= lost:
                raise ModelError(
                    f"steps is {steps}, but convolutions with padding 'valid' take {lost + 1}"
                )
            if isinstance(layer, Reshape):
                steps, lost = layer.output_steps, 0

    def _check_convolutions(self) -> None:
        for place, layer in enumerate(self.layers):
            if not isinstance(layer, Convolution) or not layer.lost:
                continue
            reversing, every = "", self.return_sequences
            for behind in self.layers[place + 1 :]:
                if isinstance(behind, Reshape):
                    every = behind.steps is not None
                    break
                if reversing and isinstance(behind, Pooling | Convolution):
                    raise UnsupportedError(
                        f"layer {behind.name!r} is not supported behind {reversing!r}, which goes "
                        f"backwards, and {layer.name!r} with padding 'valid'"
                    )
                if isinstance(behind, Recurrent) and behind.go_backwards:
                    reversing = behind.name
            if every:
                raise UnsupportedError(
                    f"layer {layer.name!r} has padding 'valid', so the first {layer.lost} steps "
                    "have no output, but every step is given on to the end: use padding 'causal', "
                    "or return_sequences=False in the last recurrent layer"
                )

    def _check_stateful(self) -> None:
        if not isinstance(self.stateful, bool):
            raise ModelError(f"stateful must be True or False, not {self.stateful!r}")
        if not self.stateful:
            return
        if not self.recurrent:
            raise ModelError("stateful is for recurrent layers, and the network has none")
        for layer in self.layers:
            if isinstance(layer, Stepping | Reshape) and not isinstance(layer, Recurrent):
                raise UnsupportedError(
                    f"stateful is for recurrent layers, but {layer.name!r} is a "
                    f"{type(layer).__name__}, which begins anew with each sequence"
                )
        both = [layer.name for layer in self.layers if isinstance(layer, Bidirectional)]
        if both or self.backwards:
            raise UnsupportedError(
                f"layer {[*both, *self.backwards][0]!r} reads time in reverse: stateful is for "
                "networks that read it forwards"
            )

    def _check_names(self) -> None:
        within = [part for layer in self.layers for part in parts(layer) if part is not layer]
        names = [layer.name for layer in (*self.layers, *within)]
        for name in names:
            if not str(name).isidentifier() or not str(name).isascii() or name is None:
                # A layer becomes a Verilog module, and its name part of precision rules.
                raise ModelError(f"layer name {name!r}: use letters, digits and _ only")
            if names.count(name) > 1:
                raise ModelError(f"two layers are called {name!r}: layer names must be unique")

    def _check_chain(self) -> None:
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.outputs != after.features:
                raise ModelError(
                    f"layer {after.name!r} takes {after.features} features, "
                    f"but layer {before.name!r} before it gives {before.outputs}"
                )
        for layer in self.layers[1:]:
            if isinstance(layer, Embedding):
                raise UnsupportedError(
                    f"layer {layer.name!r} is an Embedding behind {self.layers[0].name!r}: it is "
                    "supported as the first layer only"
                )
        ended = False
        for layer in self.layers:
            if isinstance(layer, Dense | Embedding):
                continue
            if isinstance(layer, Reshape) and layer.steps is None:
                if not ended:
                    raise ModelError(
                        f"layer {layer.name!r} takes one vector a sequence, but the layers before "
                        "it give every step"
                    )
            elif ended:
                raise ModelError(
                    f"layer {layer.name!r} needs a sequence, but a layer before it gives only "
                    "its last state: set return_sequences there"
                )
            ended = not layer.return_sequences

    def _check_mask(self) -> None:
        value = self.mask_value
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise ModelError(f"mask_value must be a number, not {value!r}")
        if not np.isfinite(value):
            raise ModelError(f"mask_value is {value}: inputs must be finite")
        object.__setattr__(self, "mask_value", float(value))
        if not self.recurrent:
            raise ModelError("mask_value is for recurrent layers, and the network has none")
        for layer in self.layers:
            if not isinstance(layer, Recurrent | Dense | Embedding) or layer.name in self.backwards:
                raise UnsupportedError(
                    f"layer {layer.name!r} ({type(layer).__name__}) and a mask exclude each other: "
                    "a mask is for recurrent layers that read time forwards"
                )

    @property
    def features(self) -> int:
        """Length of the input vector of one step."""
        return self.layers[0].features

    @property
    def outputs(self) -> int:
        """Length of an output vector."""
        return self.layers[-1].outputs

    @property
    def parts(self) -> tuple[Part, ...]:
        """The layers by themselves: of a bidirectional one its two."""
        return tuple(part for layer in self.layers for part in parts(layer))

    @property
    def recurrent(self) -> tuple[Recurrent, ...]:
        """The recurrent layers, of a bidirectional one its two."""
        return tuple(part for part in self.parts if isinstance(part, Recurrent))

    @property
    def lost(self) -> int:
        """First steps of a sequence that give nothing on: those that fill windows."""
        found = 0
        for layer in self.layers:
            if isinstance(layer, Reshape):
                break  # what follows has steps of its own
            found += layer.lost if isinstance(layer, Stepping) else 0
        return found

    @property
    def fixed_by(self) -> str | None:
        """The layer because of which every sequence must have `steps` steps, if there is one."""
        for layer in self.layers:
            if isinstance(layer, AveragePooling | Reshape) and layer.steps is not None:
                return layer.name
            if isinstance(layer, Reshape):
                break  # what follows has steps of its own
        return None

    @property
    def return_sequences(self) -> bool:
        """Whether there is an output for every step (True) or one a sequence (False)."""
        given = [
            each.return_sequences for each in self.layers if not isinstance(each, Dense | Embedding)
        ]
        return not given or given[-1]

    @property
    def output_steps(self) -> int | None:
        """Time steps of the outputs of a sequence, where they are not those of the input (None)."""
        reshaped = [layer for layer in self.layers if isinstance(layer, Reshape)]
        return reshaped[-1].output_steps if reshaped and self.return_sequences else None

    @property
    def backwards(self) -> tuple[str, ...]:
        """The layers that read a sequence from its end, which hardware has to keep for it."""
        return tuple(
            layer.name
            for layer in self.layers
            if (isinstance(layer, Bidirectional) and not layer.last_output)
            or (isinstance(layer, Recurrent) and layer.go_backwards)
        )

    @property
    def memories(self) -> Mapping[str, str]:
        """The layers before which hardware has a memory -> what they do to need one."""
        found = dict.fromkeys(self.backwards, "reads time in reverse")
        for layer in self.layers:
            if isinstance(layer, Reshape):
                found[layer.name] = "takes a whole sequence" if layer.steps else "makes a sequence"
        return found

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        return sum(layer.parameters for layer in self.layers)

    def replace(self, **changes: object) -> "Network":
        """Return a copy with some members changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def predict(self, x: object) -> FloatArray:
        """Run the network in float64.

        x has shape (batch, steps, features); the result (batch, outputs), or
        (batch, steps, outputs) where every recurrent layer returns sequences.
        """
        from rnnrtl.graph.real import predict  # the same cell equations, on real numbers

        return predict(self, x)

    def stream(
        self,
        batch: int | None = None,
        *,
        state: Mapping[str, Mapping[str, object]] | None = None,
    ) -> "Stream":
        """Return sequences that go on in float64 from one `predict` to the next.

        They begin from the initial states, `batch` of them (1), or from `state`, which the member
        `state` of a stream gave. Raises InputError.
        """
        from rnnrtl.graph.real import InFloat
        from rnnrtl.streaming import Stream

        return Stream(self, InFloat(self), batch, state)
