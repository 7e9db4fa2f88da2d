"""The options of Keras' layers: which of them change what a layer computes.

Options are known by name: those that only matter in training pass, those that change what a layer
computes must have the value that rnnrtl computes, and an unknown one must be off.
"""

import re

from rnnrtl.errors import UnsupportedError
from rnnrtl.frontends.keras_config import Spec
from rnnrtl.frontends.values import brief

# What matters only in training, or says in other words what the arrays say.
_WITHOUT_EFFECT = re.compile(
    r"name|trainable|dtype|seed|units|output_dim|input_dim|input_length|batch_(input_)?shape"
    r"|\w*_?(initializer|regularizer|constraint|init)|unit_forget_bias"
    r"|(recurrent_)?dropout|dropout_[WU]|implementation|consume_less|unroll|zero_output_for_mask"
    r"|activation|(recurrent|inner)_activation|use_bias|bias|return_sequences|reset_after"
)
# The options that rnnrtl does not compute, with what to do about each.
_ADVICE = {
    "time_major": "save a model with time_major=False and the same weights",
}


def check_options(spec: Spec, *allowed: str) -> None:
    """Raise for options that change what the layer computes."""
    for key, value in spec.options.items():
        if key in allowed or value is None or value is False:
            continue
        if key in _ADVICE:
            raise UnsupportedError(f"{spec}: {key}={brief(value)} is not supported: {_ADVICE[key]}")
        if not _WITHOUT_EFFECT.fullmatch(key):
            raise UnsupportedError(f"{spec}: the option {key}={brief(value)} is not supported")
