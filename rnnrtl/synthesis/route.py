"""Place and route with nextpnr, where an open flow exists: Lattice ECP5."""

import importlib.util
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rnnrtl.errors import ToolError, UnsupportedError
from rnnrtl.synthesis.targets import TARGETS
from rnnrtl.synthesis.tools import NEXTPNR_ECP5, YOSYS, run_tool

DEVICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ecp5-25k": ("--25k", "--package", "CABGA381"),
        "ecp5-45k": ("--45k", "--package", "CABGA554"),
        "ecp5-85k": ("--85k", "--package", "CABGA756"),
    }
)
"""Device -> nextpnr's options for it; speed grade 6."""


@dataclass(frozen=True)
class Routing:
    """A placed and routed design.

    Members
    -------
    device : which one
    fmax_mhz : the fastest clock that static timing analysis allows
    clock_mhz : the clock that was asked for
    utilisation : resource -> (used, available)
    critical_ns : the slowest path between registers: what it is made of ("clk-to-q", "logic",
        "routing", "setup") -> ns
    critical_ends : the cells that it starts and ends at
    seconds : wall-clock time
    """

    device: str
    fmax_mhz: float
    clock_mhz: float
    utilisation: Mapping[str, tuple[int, int]]
    critical_ns: Mapping[str, float]
    critical_ends: tuple[str, str]
    seconds: float = field(compare=False)

    @property
    def met(self) -> bool:
        """Whether the clock asked for was reached."""
        return self.fmax_mhz >= self.clock_mhz


def place_and_route(
    verilog: str, top: str, device: str = "ecp5-85k", *, clock_mhz: float, seed: int = 1
) -> Routing:
    """Synthesise module `top` for a device, place and route it.

    Raises UnsupportedError for an unknown device, ToolError where a tool is missing or fails (a
    design that does not fit, for one).
    """
    if device not in tuple(DEVICES):
        raise UnsupportedError(f"device {device!r} is unknown: use one of {', '.join(DEVICES)}")
    if importlib.util.find_spec(NEXTPNR_ECP5[0]) is None:
        raise ToolError("nextpnr is missing: pip install 'rnnrtl[route]'")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rnnrtl-route-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(verilog, encoding="utf-8")
        script = TARGETS["ecp5"].script.format(top=top)
        (folder / "script.ys").write_text(
            f"read_verilog design.v\n{script}\nwrite_json design.json\n", encoding="utf-8"
        )
        run_tool(YOSYS, ["-q", "-s", "script.ys"], folder)
        options = ["--json", "design.json", "--report", "report.json", "--speed", "6"]
        options += ["--freq", f"{clock_mhz:g}", "--seed", str(seed), "--timing-allow-fail"]
        # Out of context: pins go anywhere. Router 2 ends where router 1 crawls.
        options += ["--lpf-allow-unconstrained", "--router", "router2", "--quiet"]
        # Sums and products that many units share pull their readers apart: with the default weight
        # of 10 a GRU of eight units reaches 82 MHz, with 40 it reaches 87.
        options += ["--placer-heap-timingweight", "40"]
        run_tool(NEXTPNR_ECP5, [*DEVICES[device], *options], folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    clocks = report["fmax"].values()
    if not clocks:
        raise ToolError(f"nextpnr found no clock in {top}: it has no register")
    return Routing(
        device,
        min(clock["achieved"] for clock in clocks),
        clock_mhz,
        MappingProxyType(
            {
                resource: (count["used"], count["available"])
                for resource, count in report["utilization"].items()
                if count["used"]
            }
        ),
        *_slowest(report["critical_paths"]),
        time.perf_counter() - start,
    )


def _slowest(paths: list[dict[str, Any]]) -> tuple[Mapping[str, float], tuple[str, str]]:
    """Return the parts and the ends of the slowest path between registers; pins are left out."""
    inside = [
        path["path"]
        for path in paths
        if path["from"] == path["to"] and path["from"].startswith("posedge")
    ]
    slowest = max(inside, key=lambda path: sum(part["delay"] for part in path))
    parts: dict[str, float] = {}
    for part in slowest:
        parts[part["type"]] = parts.get(part["type"], 0.0) + part["delay"]
    ends = (slowest[0]["from"]["cell"], slowest[-1]["to"]["cell"])
    return MappingProxyType({kind: round(delay, 3) for kind, delay in parts.items()}), ends
