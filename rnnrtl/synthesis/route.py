"""Place and route with nextpnr, where an open flow exists: Lattice ECP5 and iCE40 UltraPlus."""

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
from rnnrtl.hardware.verilog import to_verilog
from rnnrtl.synthesis.harness import Harness, Port
from rnnrtl.synthesis.products import keep_largest
from rnnrtl.synthesis.targets import TARGETS
from rnnrtl.synthesis.tools import COUNT, NEXTPNR_ECP5, NEXTPNR_ICE40, counted, run_tool, run_yosys


@dataclass(frozen=True)
class Device:
    """A device that nextpnr knows, in a package.

    Members
    -------
    target : key of `TARGETS` whose commands map a design to it
    tool : nextpnr for its family
    pins : that a design may have; one with more is placed inside a `Harness`
    multipliers : DSP blocks; of a design with more products the largest get them
    untimed : the resource through which nextpnr times no path, if there is one: it takes every
        block for a register, while designs have paths that go on behind it
    options : nextpnr's, for the device and for its family
    clock_pin : where the clock comes in, with a wire of its own to the clock network: from other
        pins it takes those of signals, of which a full device has none left; "" where nextpnr sees
        to it
    """

    target: str
    tool: tuple[str, str]
    pins: int
    multipliers: int
    options: tuple[str, ...]
    untimed: str = ""
    clock_pin: str = ""


_UP5K = ("--up5k", "--package", "sg48")
_ECP5 = (
    # Out of context: pins go anywhere but for the clock's. Router 2 ends where router 1 crawls.
    *("--speed", "6", "--lpf", "design.lpf", "--lpf-allow-unconstrained", "--router", "router2"),
    # Sums and products that many units share pull their readers apart: with the default weight of
    # 10 a GRU of eight units that asked for 100 MHz reached 82, with 40 it reached 87.
    *("--placer-heap-timingweight", "40"),
)

DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "ecp5-25k": Device(
            "ecp5",
            NEXTPNR_ECP5,
            197,
            28,
            ("--25k", "--package", "CABGA381", *_ECP5),
            clock_pin="B11",
        ),
        "ecp5-45k": Device(
            "ecp5",
            NEXTPNR_ECP5,
            245,
            72,
            ("--45k", "--package", "CABGA554", *_ECP5),
            clock_pin="A12",
        ),
        "ecp5-85k": Device(
            "ecp5",
            NEXTPNR_ECP5,
            365,
            156,
            ("--85k", "--package", "CABGA756", *_ECP5),
            clock_pin="C17",
        ),
        "ice40-up5k": Device("ice40", NEXTPNR_ICE40, 39, 8, _UP5K, "ICESTORM_DSP"),
        # All products in look-up tables, so that all paths are timed.
        "ice40-up5k-no-dsp": Device("ice40", NEXTPNR_ICE40, 39, 0, _UP5K),
    }
)
"""Device -> how nextpnr is called for it; ECP5 of speed grade 6."""


@dataclass(frozen=True)
class Routing:
    """A placed and routed design.

    Members
    -------
    device : which one
    fmax_mhz : the fastest clock that static timing analysis allows, of the paths that it sees
    untimed : multipliers through which it sees no path: where there are any, `fmax_mhz` is no more
        than an upper bound
    clock_mhz : the clock that was asked for
    utilisation : resource -> (used, available), with the harness
    harness : registers of the shift registers that stand for pins, where a design has more than
        the package; 0 where it has not and is placed as it is
    critical_ns : the slowest path between registers: what it is made of ("clk-to-q", "logic",
        "routing", "setup") -> ns
    critical_ends : the cells that it starts and ends at
    seconds : wall-clock time
    """

    device: str
    fmax_mhz: float
    untimed: int
    clock_mhz: float
    utilisation: Mapping[str, tuple[int, int]]
    harness: int
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
    chosen = DEVICES[device]
    if importlib.util.find_spec(chosen.tool[0]) is None:
        raise ToolError("nextpnr is missing: pip install 'rnnrtl[route]'")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rnnrtl-route-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(verilog, encoding="utf-8")
        harness = _harness(top, chosen.pins, folder)
        _synthesise(chosen, f"{top}_harness" if harness else top, folder)
        if chosen.clock_pin:
            text = f'LOCATE COMP "clk" SITE "{chosen.clock_pin}";\n'
            (folder / "design.lpf").write_text(text, encoding="utf-8")
        options = ["--json", "design.json", "--report", "report.json", "--quiet"]
        options += ["--freq", f"{clock_mhz:g}", "--seed", str(seed), "--timing-allow-fail"]
        run_tool(chosen.tool, [*chosen.options, *options], folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    clocks = report["fmax"].values()
    if not clocks:
        raise ToolError(f"nextpnr found no clock in {top}: it has no register")
    return Routing(
        device,
        min(clock["achieved"] for clock in clocks),
        report["utilization"].get(chosen.untimed, {"used": 0})["used"],
        clock_mhz,
        MappingProxyType(
            {
                resource: (count["used"], count["available"])
                for resource, count in report["utilization"].items()
                if count["used"]
            }
        ),
        harness,
        *_slowest(report["critical_paths"]),
        time.perf_counter() - start,
    )


def _synthesise(device: Device, top: str, folder: Path) -> None:
    """Make design.json of all *.v in `folder`, with no more multipliers than the device has."""
    target = TARGETS[device.target]
    read = [f"read_verilog {file.name}" for file in sorted(folder.glob("*.v"))]
    mapped = [target.script.format(top=top), COUNT, "write_json design.json"]
    run_yosys("\n".join([*read, *mapped]), folder)
    if target.count(counted(folder))["dsp"] > device.multipliers:
        # As far as Yosys' own flows are the same before they map products.
        flat = [f"hierarchy -top {top}", "proc", "flatten", "opt", "wreduce", "opt_clean"]
        run_yosys("\n".join([*read, *flat, "write_json flat.json"]), folder)
        keep_largest(folder / "flat.json", device.target, device.multipliers)
        run_yosys("\n".join(["read_json flat.json", *mapped]), folder)


def _harness(top: str, pins: int, folder: Path) -> int:
    """Write harness.v for design.v where that has more than `pins` bits at its ports.

    Returns the registers of the harness, 0 where none is needed.
    """
    # As a library: ports are read, contents skipped.
    run_yosys("read_verilog -lib design.v\nwrite_json ports.json", folder)
    modules = json.loads((folder / "ports.json").read_text(encoding="utf-8"))["modules"]
    if top not in modules:
        raise ToolError(f"there is no module {top} to place and route")
    ports = [
        Port(name, port["direction"] == "input", len(port["bits"]))
        for name, port in modules[top]["ports"].items()
    ]
    if sum(port.width for port in ports) <= pins:
        return 0
    harness = Harness(top, ports)
    text = to_verilog(harness, f"{top}_harness")
    (folder / "harness.v").write_text(text, encoding="utf-8")
    return harness.registers


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
