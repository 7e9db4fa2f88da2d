"""A trained network: layers in series.

Front ends produce this, whatever the framework; everything else reads only this.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from rnnrtl.errors import ModelError
from rnnrtl.fixedpoint.precision import Precision
from rnnrtl.layers import FloatArray, Layer, Recurrent


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in series.

    Members
    -------
    layers : at least one
    steps : time steps of a sequence, or None where the source does not say. The hardware takes any
        number of steps (`tlast` ends a sequence); `steps` serves the figures of the schedule.
    name : default name of the Verilog top module
    precision : the formats that it was trained in, or None where it was trained in floats
    """

    layers: tuple[Layer, ...]
    steps: int | None = None
    name: str = field(default="network", kw_only=True)
    precision: Precision | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError("a network needs at least one layer, got none")
        if self.steps is not None and (
            isinstance(self.steps, bool)
            or not isinstance(self.steps, int | np.integer)  # type: ignore[redundant-expr]
            or self.steps < 1
        ):
            raise ModelError(f"steps must be a positive integer, not {self.steps!r}")
        if self.steps is not None:
            object.__setattr__(self, "steps", int(self.steps))
        names = [layer.name for layer in self.layers]
        for name in names:
            if not str(name).isidentifier() or not str(name).isascii() or name is None:
                # A layer becomes a Verilog module, and its name part of precision rules.
                raise ModelError(f"layer name {name!r}: use letters, digits and _ only")
            if names.count(name) > 1:
                raise ModelError(f"two layers are called {name!r}: layer names must be unique")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.outputs != after.features:
                raise ModelError(
                    f"layer {after.name!r} takes {after.features} features, "
                    f"but layer {before.name!r} before it gives {before.outputs}"
                )
        ended = False
        for layer in self.layers:
            if isinstance(layer, Recurrent):
                if ended:
                    raise ModelError(
                        f"layer {layer.name!r} needs a sequence, but a layer before it gives only "
                        "its last state: set return_sequences there"
                    )
                ended = not layer.return_sequences

    @property
    def features(self) -> int:
        """Length of the input vector of one step."""
        return self.layers[0].features

    @property
    def outputs(self) -> int:
        """Length of an output vector."""
        return self.layers[-1].outputs

    @property
    def recurrent(self) -> tuple[Recurrent, ...]:
        """The recurrent layers."""
        return tuple(layer for layer in self.layers if isinstance(layer, Recurrent))

    @property
    def return_sequences(self) -> bool:
        """Whether there is an output for every step (True) or one a sequence (False)."""
        return all(layer.return_sequences for layer in self.recurrent)

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
