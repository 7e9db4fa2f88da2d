"""All cases."""

from tests.conformance import keras, onnx, onnx_chains, pytorch, pytorch_files, pytorch_forwards
from tests.conformance.case import Case

CASES: tuple[Case, ...] = (
    *pytorch.cases(),
    *pytorch_forwards.cases(),
    *pytorch_files.cases(),
    *onnx.cases(),
    *onnx_chains.cases(),
    *keras.cases(),
)
