"""All cases."""

from tests.conformance import pytorch, pytorch_files, pytorch_forwards
from tests.conformance.case import Case

CASES: tuple[Case, ...] = (
    *pytorch.cases(),
    *pytorch_forwards.cases(),
    *pytorch_files.cases(),
)
