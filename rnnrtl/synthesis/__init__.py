"""What a generated design costs: resource estimates with Yosys."""

from rnnrtl.synthesis.estimate import DEFAULT_CACHE, Estimate, estimate
from rnnrtl.synthesis.route import DEVICES, Routing, place_and_route
from rnnrtl.synthesis.targets import TARGETS, Target

__all__ = [
    "DEFAULT_CACHE",
    "DEVICES",
    "TARGETS",
    "Estimate",
    "Routing",
    "Target",
    "estimate",
    "place_and_route",
]
