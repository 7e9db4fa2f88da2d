"""Lint generated Verilog with Verilator: every warning but those that `sim/lint.vlt` explains."""

import re
import subprocess
import tempfile
from pathlib import Path

from rnnrtl.errors import ToolError
from rnnrtl.simulate.testbench import testbench_sources
from rnnrtl.simulate.verilator import find_verilator

# "%Warning-WIDTHTRUNC: top.v:3:5: ..."; the last line, that there were some, is no finding.
_FINDING = re.compile(r"%(Warning|Error)(?!: Exiting due to)")


def lint(verilog: str, top: str) -> list[str]:
    """Return what `verilator --lint-only -Wall` finds in `verilog`, read as Verilog-2005.

    A finding is one line: its rule, the place in `<top>.v`, what is wrong. What the explained
    exceptions in `sim/lint.vlt` cover is no finding. Raises ToolError where Verilator is missing
    or does not run.
    """
    verilator = find_verilator()
    # Out of the way of the design, and named in findings by a path that is the same everywhere.
    with tempfile.TemporaryDirectory(prefix="rnnrtl-lint-") as folder:
        Path(folder, f"{top}.v").write_text(verilog, encoding="utf-8")
        command = [
            str(verilator.executable),
            *("--lint-only", "-Wall", "--language", "1364-2005"),
            *("--top-module", top),
            str(testbench_sources() / "lint.vlt"),
            f"{top}.v",
        ]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=verilator.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise ToolError(f"Verilator does not run: {error}") from None
    findings = [line for line in done.stderr.splitlines() if _FINDING.match(line)]
    if done.returncode != 0 and not findings:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ToolError(f"Verilator failed: {said[-1]}")
    return findings
