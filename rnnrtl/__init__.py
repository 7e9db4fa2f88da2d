"""Trained LSTM and GRU networks to Verilog that is proved bit-exact against its NumPy reference.

network = rnnrtl.load("model.h5")
design = rnnrtl.generate(network, "fixed<16,6>")
design.predict(x), design.verilog, design.schedule, design.simulate(x), design.estimate()
"""

from rnnrtl.design import Design
from rnnrtl.errors import (
    InputError,
    ModelError,
    OutputError,
    PrecisionError,
    PrecisionWarning,
    RnnrtlError,
    ToolError,
    UnsupportedError,
    VerificationError,
)
from rnnrtl.fixedpoint import Format, Overflow, Precision, Rounding
from rnnrtl.frontends import load, save
from rnnrtl.generation import generate
from rnnrtl.graph.overflow import Saturation
from rnnrtl.graph.tensors import tensors
from rnnrtl.layers import (
    GRU,
    LSTM,
    AveragePooling,
    Bidirectional,
    Convolution,
    Dense,
    Embedding,
    Gate,
    MaxPooling,
    Reshape,
    SimpleRNN,
)
from rnnrtl.network import Network
from rnnrtl.simulation import Simulation
from rnnrtl.streaming import Stream
from rnnrtl.tuning import (
    Accuracy,
    AreaUnderCurve,
    Found,
    Scan,
    Scanned,
    average_bits,
    find_precision,
    scan,
)

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "Accuracy",
    "AreaUnderCurve",
    "AveragePooling",
    "Bidirectional",
    "Convolution",
    "Dense",
    "Design",
    "Embedding",
    "Format",
    "Found",
    "Gate",
    "InputError",
    "MaxPooling",
    "ModelError",
    "Network",
    "OutputError",
    "Overflow",
    "Precision",
    "PrecisionError",
    "PrecisionWarning",
    "Reshape",
    "RnnrtlError",
    "Rounding",
    "Saturation",
    "Scan",
    "Scanned",
    "SimpleRNN",
    "Simulation",
    "Stream",
    "ToolError",
    "UnsupportedError",
    "VerificationError",
    "average_bits",
    "find_precision",
    "generate",
    "load",
    "save",
    "scan",
    "tensors",
]
