"""Run a core's Verilog in Icarus or Verilator, through the cocotb testbench."""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from find_libpython import find_libpython
from numpy.typing import NDArray

from rnnrtl.errors import ToolError, VerificationError
from rnnrtl.simulate.measurement import (
    RESET_ROUNDS,
    Hardware,
    Measurement,
    Progress,
    StateVectors,
    by_result,
)
from rnnrtl.simulate.process import run
from rnnrtl.simulate.testbench import write_testbench
from rnnrtl.simulate.verilator import find_verilator

Simulator = Literal["icarus", "verilator"]

#: The exit status of `sim/run.py` when the model could not be built.
_BUILD_FAILED = 3

#: Of the caller's environment, what would change how cocotb or make run.
_FOREIGN = re.compile(r"COCOTB_|GPI_|PYGPI_|MAKE|MFLAGS$|PYTEST_|WAVES$|GUI$|VERILATOR_ROOT$")


def run_verilog(
    hardware: Hardware,
    codes: NDArray[np.int64],
    expected: NDArray[np.int64],
    *,
    simulator: Simulator,
    clear: NDArray[np.bool_] | None = None,
    states: StateVectors | None = None,
    stalls: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    directory: Path | None = None,
    stall_sequences: int | None = None,
    reset_rounds: int = RESET_ROUNDS,
    latency_cycles: int | None = None,
    initiation_interval: int | None = None,
    watchdog_cycles: int | None = None,
) -> Measurement:
    """Simulate a core and measure it: alone, back to back, under random stalls, and reset.

    Parameters
    ----------
    codes, expected : arrays of int64
        Input (batch, steps, features), and the reference's output. Wrong bits do not raise: the
        measurement carries what the hardware gave, and the caller compares.
    simulator : "icarus" or "verilator"
        Icarus knows X and Z and is slow; Verilator knows 0 and 1 and has to compile the model.
    progress : callable, optional
        Called with the sequences done and all sequences.
    directory : Path, optional
        Where to leave everything, logs included; by default a folder that is removed.

    The other parameters are those of `write_testbench`.

    Raises
    ------
    VerificationError
        X or Z on the bus, a broken bus rule, a hang, bits that change under stalls or after a
        reset, an interval that varies, or cycles other than the predicted ones.
    ToolError
        The simulator is missing, or cannot build the model.
    """
    environment = _environment(simulator)
    with contextlib.ExitStack() as stack:
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="rnnrtl-", ignore_cleanup_errors=True)
            directory = Path(stack.enter_context(temporary))
        write_testbench(
            directory,
            hardware,
            codes,
            expected,
            clear=clear,
            states=states,
            stalls=stalls,
            seed=seed,
            stall_sequences=stall_sequences,
            reset_rounds=reset_rounds,
            latency_cycles=latency_cycles,
            initiation_interval=initiation_interval,
            watchdog_cycles=watchdog_cycles,
        )
        output = directory / "results" / simulator
        # Results of an earlier run in the same folder must not pass for this one's.
        shutil.rmtree(output, ignore_errors=True)
        watch = _watcher(output / "progress", progress) if progress else None
        log = directory / f"{simulator}.log"
        command = [sys.executable, str(Path("sim") / "run.py"), simulator]
        status = run(command, directory=directory, environment=environment, log=log, watch=watch)
        if watch:
            watch()
        if status == _BUILD_FAILED:
            raise ToolError(
                f"{simulator} cannot build {hardware.top}: {_error_line(output / 'build.log')}"
            )
        values, observed = _results(output, log, status, simulator)
    found, ended = by_result(observed, expected, states, hardware.interleave)
    return Measurement(
        codes=found,
        latency_cycles=values["latency_cycles"],
        initiation_interval=values["initiation_interval"],
        cycles=values["cycles"],
        seconds=values["seconds"],
        states=ended,
    )


def _environment(simulator: Simulator) -> dict[str, str]:
    """Return the environment for the testbench; `ToolError` where the simulator is missing."""
    if simulator == "verilator":
        environment = find_verilator().environment()
        root = environment.get("VERILATOR_ROOT")
    elif simulator == "icarus":
        for program in ("iverilog", "vvp"):
            if shutil.which(program) is None:
                raise ToolError(
                    f"Icarus Verilog is not installed: there is no `{program}` on the PATH; "
                    "on Debian or Ubuntu `apt-get install iverilog`"
                )
        environment, root = dict(os.environ), None
    else:
        raise ToolError(f'simulator must be "icarus" or "verilator", not {simulator!r}')
    if find_libpython() is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise ToolError(
            "cocotb needs Python as a shared library, and there is none: on Debian or Ubuntu "
            f"`apt-get install libpython{version}`"
        )
    kept = {name: value for name, value in environment.items() if not _FOREIGN.match(name)}
    return kept | ({"VERILATOR_ROOT": root} if root else {})


def _watcher(path: Path, progress: Progress) -> Callable[[], None]:
    """Return a function that reports the progress file at `path` when it has changed."""
    last = (0, 0)

    def watch() -> None:
        nonlocal last
        # The testbench may be writing it at this moment; the next look will do.
        with contextlib.suppress(OSError, ValueError):
            done, total = map(int, path.read_text().split())
            if (done, total) != last:
                last = (done, total)
                progress(done, total)

    return watch


def _results(
    output: Path, log: Path, status: int, simulator: Simulator
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Return what the testbench measured, and the codes that the core gave at full speed."""
    path = output / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"failures": []}
    for failure in results["failures"]:
        if failure["kind"] != "bits":
            phase = failure["phase"].replace("_", " ")
            raise VerificationError(f"{simulator}, {phase}: {failure['message']}")
    # Wrong bits are the caller's to judge; a test that failed for no reason of its own is not.
    try:
        tests = list(ElementTree.parse(output / "results.xml").iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        raise ToolError(f"{simulator} ended before its time: {_error_line(log)}") from error
    for test in tests:
        for failed in (*test.findall("failure"), *test.findall("error")):
            if failed.get("type") != "BusError":
                reason = f"{failed.get('type')}: {failed.get('message')}".splitlines()[0]
                raise ToolError(f"{simulator}, {test.get('name')}: {reason}")
    if not tests or status not in (0, 1):
        raise ToolError(f"{simulator} failed with status {status}: {_error_line(log)}")
    observed: NDArray[np.int64] = np.load(output / "observed.npy", allow_pickle=False)
    return results, observed


def _error_line(log: Path) -> str:
    """Return the first line of a log that tells of an error, or else its last line."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        return "it left no log"
    lines = [line for line in lines if line]
    # Not the flag -Werror in a command line.
    errors = [line for line in lines if re.search(r"(?<![-\w])error\b|\w+Error:", line, re.I)]
    return (errors or lines[-1:] or ["its log is empty"])[0][:500]
