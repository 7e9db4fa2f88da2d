"""What a generated design costs: resource estimates with Yosys."""

from rnnrtl.synthesis.estimate import DEFAULT_CACHE, Estimate, estimate
from rnnrtl.synthesis.targets import TARGETS, Target

__all__ = ["DEFAULT_CACHE", "TARGETS", "Estimate", "Target", "estimate"]
