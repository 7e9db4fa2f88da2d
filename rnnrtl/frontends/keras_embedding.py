"""Read Keras' Embedding."""

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from rnnrtl.errors import ModelError
from rnnrtl.frontends.arrays import embedding_layer
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.keras_options import check_options
from rnnrtl.frontends.keras_shapes import Shape
from rnnrtl.frontends.keras_weights import check_shapes
from rnnrtl.layers import Embedding


def read_embedding(
    spec: Spec, shape: Shape, weights: Callable[..., Mapping[str, NDArray[Any]]]
) -> tuple[Embedding, Shape]:
    """Return the layer of an Embedding that takes `shape`, and the shape that it gives.

    What is a vector to Keras, a number for each step, is a sequence of steps of one number.
    `weights` returns the arrays of some names, which are all that the layer shall have.
    """
    check_options(spec, "mask_zero")
    if shape.sequence:
        raise ModelError(f"{spec} takes one number a step: the model's input is (batch, steps)")
    arrays = weights("embeddings")
    expected = (spec.count("input_dim"), spec.count("output_dim"))
    check_shapes(spec, arrays, {"embeddings": expected})
    layer = embedding_layer(spec.name, arrays)
    return layer, Shape(shape.features, layer.outputs)
