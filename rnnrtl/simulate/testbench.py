"""Lay out a folder in which the cocotb testbench of `sim/` runs, with or without rnnrtl."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.errors import InputError, OutputError, ToolError
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.simulate.measurement import (
    RESET_ROUNDS,
    Hardware,
    StateVectors,
    check_vectors,
    default_stall_sequences,
    output_beats,
)


def testbench_sources() -> Path:
    """Return the folder of the testbench: in the installed package, or at the repository's root."""
    package = Path(next(iter(rnnrtl.__path__)))
    for folder in (package / "_sim", package.parent / "sim"):
        if (folder / "testbench.py").is_file():
            return folder
    raise ToolError(f"the testbench is missing: there is no _sim in {package}; reinstall rnnrtl")


def write_testbench(
    directory: Path,
    hardware: Hardware,
    codes: NDArray[np.int64],
    expected: NDArray[np.int64],
    *,
    clear: NDArray[np.bool_] | None = None,
    states: StateVectors | None = None,
    stalls: bool = True,
    seed: int = 0,
    stall_sequences: int | None = None,
    reset_rounds: int = RESET_ROUNDS,
    latency_cycles: int | None = None,
    initiation_interval: int | None = None,
    watchdog_cycles: int | None = None,
    extra: Mapping[str, object] | None = None,
) -> Path:
    """Write Verilog, vectors, manifest and testbench into `directory`; return the manifest's path.

    There `python sim/run.py icarus` (or verilator) runs the testbench; it needs cocotb,
    cocotbext-axi and NumPy, but not rnnrtl.

    Parameters
    ----------
    codes, expected : arrays of int64
        Input (batch, steps, features) and output (batch, outputs) or (batch, steps, outputs).
    clear : array of bool, optional
        Of a stateful core: which steps begin from the initial state (batch, steps). The expected
        output is that of the sequences in this order.
    states : StateVectors, optional
        Of a core that states go in and out of: those of every beat.
    stalls : bool
        Also run sequences under random stalls.
    seed : int
        Of stalls and of the moments of reset.
    stall_sequences : int, optional
        How many; by default the batch, but at least 6 and at most 50.
    reset_rounds : int
        How many resets to try.
    latency_cycles, initiation_interval : int, optional
        What the schedule predicts; the testbench fails if it measures anything else.
    watchdog_cycles : int, optional
        So many cycles without a beat are a hang; by default derived from the latency.
    extra : mapping, optional
        More keys for the manifest, which the testbench ignores.

    Raises
    ------
    InputError
        Vectors of the wrong shape.
    OutputError
        A folder that cannot be written.
    """
    if hardware.stateful is (clear is None):
        raise InputError("clear goes with a stateful core, and such a core needs it")
    if hardware.state != (states and states.form):
        raise InputError("states go with a core that they go in and out of, which needs them")
    check_vectors(
        codes,
        expected,
        hardware.input,
        hardware.output,
        hardware.return_sequences,
        hardware.interleave,
        clear,
        states,
    )
    batch, steps = codes.shape[:2]
    phases = ["latency", "back_to_back", *(["stalls"] if stalls else []), "reset"]
    manifest = {
        **(extra or {}),
        "top": hardware.top,
        "verilog": f"{hardware.top}.v",
        "input": _side(hardware.input),
        "output": _side(hardware.output),
        "output_beats": output_beats(expected),
        "steps": steps,
        "sequences": batch,
        "interleave": hardware.interleave,
        "stateful": hardware.stateful,
        "state": None if hardware.state is None else _side(hardware.state),
        "seed": seed,
        "phases": phases,
        "stall_sequences": default_stall_sequences(batch // hardware.interleave)
        if stall_sequences is None
        else stall_sequences,
        "reset_rounds": reset_rounds,
        "latency_cycles": latency_cycles,
        "initiation_interval": initiation_interval,
        "watchdog_cycles": watchdog_cycles,
    }
    path = directory / "manifest.json"
    sources = testbench_sources()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            sources,
            directory / "sim",
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        (directory / f"{hardware.top}.v").write_text(hardware.verilog)
        np.save(directory / "inputs.npy", codes.astype(np.int64))
        np.save(directory / "expected.npy", expected.astype(np.int64))
        if clear is not None:
            np.save(directory / "clear.npy", clear)
        if states is not None:
            np.save(directory / "offers.npy", states.offers)
            np.save(directory / "offered.npy", states.offered.astype(np.int64))
            np.save(directory / "ended.npy", states.ended.astype(np.int64))
        path.write_text(json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write the testbench to {directory}: {error}") from error
    return path


def _side(stream: StreamFormat) -> dict[str, int]:
    return {"lanes": stream.lanes, "width": stream.width, "lane_bits": stream.lane_bits}
