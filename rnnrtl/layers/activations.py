"""The activation functions that layers may have."""

ACTIVATIONS = (
    "linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_keras2",
    "hard_sigmoid_hgq", "hard_tanh", "softsign", "elu", "softplus", "exponential",
)  # fmt: skip
"""Activation functions of a lane; "hard_sigmoid" is x / 6 + 0.5 within 0..1 (Keras 3, PyTorch),
"hard_sigmoid_keras2" 0.2 x + 0.5 (Keras 1 and 2), "hard_sigmoid_hgq" 0.25 x + 0.5 (HGQ2)."""

HEAD_ACTIVATIONS = (*ACTIVATIONS, "softmax", "argmax")
"""Those of a dense layer; "argmax" gives one number, that of its largest unit, from 0 up."""

GATE_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", "hard_sigmoid_hgq")
"""Those of them that lie within 0..1, as a gate must."""
