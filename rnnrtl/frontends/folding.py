"""Fold what scales and moves each feature by itself into the weights of the layers beside it.

A normalisation with statistics of its own is x -> scale * x + offset, feature by feature. Before a
layer, W (s x + t) + b = (W s) x + (W t + b): a recurrent layer takes it in the kernel and the bias
of every gate, which see its input, never in the recurrent ones. After a dense layer without an
activation it is part of that one. All of it is exact but for rounding in float64.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends.names import identifier
from rnnrtl.frontends.values import as_array
from rnnrtl.layers import Convolution, Dense, FloatArray, Layer, Part, Recurrent, changed
from rnnrtl.network import Network

REFUSED = dict.fromkeys(
    (
        "LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization",
        "LayerNorm", "GroupNorm", "InstanceNorm1d", "RMSNorm", "InstanceNormalization",
        "LpNormalization", "MeanVarianceNormalization",
    ),
    "it divides by what it measures of each vector as it runs, which no weights can hold; "
    "normalise by fixed statistics, as batch normalisation does",
)  # fmt: skip
"""Normalisations that cannot be folded, under every framework's name -> what to do."""


@dataclass(frozen=True, eq=False)
class Affine:
    """scale * x + offset for each feature of x.

    Members
    -------
    scale, offset : (features,), or () for the same in each
    """

    scale: FloatArray
    offset: FloatArray

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            array = np.asarray(getattr(self, name), np.float64)
            if not np.isfinite(array).all():
                raise ModelError(f"a normalisation has the {name} {array[~np.isfinite(array)][0]}")
            object.__setattr__(self, name, array)

    @property
    def features(self) -> int | None:
        """Length of the vectors that it fits, None where it fits all."""
        shape: tuple[int, ...] = np.broadcast_shapes(self.scale.shape, self.offset.shape)
        return shape[0] if shape else None

    def after(self, first: "Affine") -> "Affine":
        """Return the two as one, `first` going first."""
        return Affine(self.scale * first.scale, self.scale * first.offset + self.offset)

    def spread(self, features: int, where: str) -> "Affine":
        """Return the same for vectors of `features`; raises ModelError if it is for others."""
        if self.features not in (None, features):
            raise ModelError(
                f"{where}: the normalisation before it is of {self.features} features, "
                f"it takes {features}"
            )
        return Affine(*(np.broadcast_to(part, features) for part in (self.scale, self.offset)))


def standardised(where: str, epsilon: float, values: Mapping[str, FloatArray]) -> Affine:
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, a batch normalisation.

    `values` holds mean and variance, and gamma and beta where they are not 1 and 0; raises
    ModelError, beginning with `where`, if their shapes differ.
    """
    check_equal_shapes(where, values)
    with np.errstate(all="ignore"):  # a negative variance ends as a scale that is not finite
        scale = values.get("gamma", 1.0) / np.sqrt(values["variance"] + epsilon)
        return Affine(scale, values.get("beta", 0.0) - values["mean"] * scale)


def check_equal_shapes(where: str, values: Mapping[str, FloatArray]) -> None:
    """Raise ModelError if arrays of one normalisation are for different numbers of features."""
    if len({array.shape for array in values.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in values.items())
        raise ModelError(f"{where}: its arrays differ in shape: {shapes}")


def before(layer: Layer, affine: Affine) -> Layer:
    """Return the layer that gives for x what `layer` gives for the affine map of x."""
    affine = affine.spread(layer.features, f"layer {layer.name!r}")
    return changed(layer, lambda part: _before(part, affine))


def _before(layer: Part, affine: Affine) -> Part:
    if isinstance(layer, Dense | Convolution):
        columns = layer.kernel.shape[1] // layer.features  # of each feature: one a tap
        return replace(
            layer,
            kernel=layer.kernel * np.tile(affine.scale, columns),
            bias=layer.bias + layer.kernel @ np.tile(affine.offset, columns),
        )
    assert isinstance(layer, Recurrent)  # others take no affine map
    gates = {
        name: replace(
            gate, kernel=gate.kernel * affine.scale, bias=gate.bias + gate.kernel @ affine.offset
        )
        for name, gate in layer.gates.items()
    }
    return replace(layer, gates=gates)


def _goes_through(layer: Layer, affine: Affine) -> bool:
    """Tell whether a layer is a convolution without zeros before it that the map would move."""
    return isinstance(layer, Convolution) and (layer.padding == "valid" or not affine.offset.any())


def behind(layer: Dense | Convolution, affine: Affine) -> Dense | Convolution:
    """Return the layer that gives the affine map of what `layer`, a linear one, gives."""
    affine = affine.spread(layer.units, f"layer {layer.name!r}")
    return replace(
        layer,
        kernel=affine.scale[:, None] * layer.kernel,
        bias=affine.scale * layer.bias + affine.offset,
    )


def _diagonal(name: str, affine: Affine, activation: str = "linear") -> Dense:
    """Return a dense layer that does to each feature what an affine map does."""
    return Dense(identifier(name), np.diag(affine.scale), affine.offset, activation)


class Chain:
    """Layers in series as a source gives them, with the normalisations and activations between.

    An affine map goes into the dense layer before it where that is linear, else into the layer
    behind it. Where there is none, or an activation comes, a dense layer is added that multiplies
    each feature by its own scale: by 1 where there is nothing but the activation.
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._pending: tuple[str, Affine] | None = None

    def add(self, *layers: Layer) -> None:
        """Add layers behind what there is."""
        for layer in layers:
            if self._pending:
                name, affine = self._pending
                self._pending = None
                if isinstance(layer, Dense | Recurrent) or _goes_through(layer, affine):
                    layer = before(layer, affine)
                else:
                    self.layers.append(_diagonal(name, affine.spread(layer.features, name)))
            self.layers.append(layer)

    def affine(self, name: str, affine: Affine) -> None:
        """Add an affine map; `name` is what a layer is called if one must be made for it."""
        linear = self._linear()
        if linear:
            self.layers[-1] = behind(linear, affine)
        elif self._pending:
            self._pending = name, affine.after(self._pending[1])
        else:
            self._pending = name, affine

    def activate(self, name: str, activation: str, features: int | None = None) -> None:
        """Add an activation; `name` and `features` are of the layer if one must be made for it."""
        if activation == "linear":
            return
        linear = self._linear()
        if linear:
            self.layers[-1] = replace(linear, activation=activation)
        else:
            self._identity(name, activation, features)

    def network(self, steps: int | None = None) -> Network:
        """Return what there is as a network."""
        return Network(self.finished(), steps)

    def finished(self) -> tuple[Layer, ...]:
        """Return the layers, the last affine map with them."""
        if self._pending:
            self._identity(self._pending[0], "linear")
        return tuple(self.layers)

    def outputs(self, name: str, features: int | None = None) -> int:
        """Return the length of what the next layer, called `name`, takes.

        `features` is what the source says of it; ModelError where it says nothing, nor do layers.
        """
        if self.layers:
            features = self.layers[-1].outputs
        elif self._pending and features is None:
            features = self._pending[1].features
        if features is None:
            raise ModelError(f"nothing says how many features {name!r} takes")
        return features

    def _linear(self) -> Dense | Convolution | None:
        """Return the last layer if it is a dense one or a convolution, without an activation."""
        last = self.layers[-1] if self.layers else None
        if isinstance(last, Dense | Convolution) and last.activation == "linear":
            return last
        return None

    def _identity(self, name: str, activation: str, features: int | None = None) -> None:
        features = self.outputs(name, features)
        name = identifier(name)
        if any(layer.name == name for layer in self.layers):
            name = f"{name}_{activation}"
        self.add(Dense(name, np.eye(features), np.zeros(features), activation))


def normalised(network: Network, normalise: object) -> Network:
    """Return the network that takes x where `network` takes (x - mean) / scale.

    `normalise` is (mean, scale), each a number or (features,). Raises ModelError for other values,
    UnsupportedError for a network that was trained in fixed point.
    """
    if not isinstance(normalise, tuple | list) or len(normalise) != 2:
        raise ModelError(f"normalise must be (mean, scale), not {normalise!r}")
    if network.precision is not None:
        raise UnsupportedError(
            "normalise would change the weights of a network that was trained in fixed point: "
            "normalise its input instead"
        )
    if network.mask_value is not None:
        raise UnsupportedError(
            "normalise and a mask exclude each other: steps of mask_value would have to stay as "
            "they are; normalise the network's input instead"
        )
    features = network.features
    parts = []
    for key, value in zip(("mean", "scale"), normalise, strict=True):
        array = as_array(value, f"normalise: {key}")
        if array.shape not in ((), (1,), (features,)):
            raise ModelError(
                f"normalise: {key} has shape {array.shape}, expected one number or one for each "
                f"of the {features} features"
            )
        if not np.isfinite(array).all():
            raise ModelError(f"normalise: {key} is {array[~np.isfinite(array)][0]}")
        parts.append(np.broadcast_to(array, features))
    mean, scale = parts
    if not scale.all():
        raise ModelError(f"normalise: scale is 0 for feature {int(np.argmin(scale != 0))}")
    chain = Chain()
    chain.affine("normalise", Affine(1 / scale, -mean / scale))
    chain.add(*network.layers)
    return network.replace(layers=chain.finished())
