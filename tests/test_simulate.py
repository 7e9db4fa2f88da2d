"""A good core measures the same in every simulator: bits, latency, initiation interval."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnrtl.errors import InputError, VerificationError
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.simulate import Hardware, Measurement, run_amaranth, run_verilog, write_testbench
from tests.running_sum import INPUT, OUTPUT, RunningSum, hardware, vectors

GAP = 2
SIMULATORS = ("amaranth", "icarus", "verilator")


def measure(simulator: str, batch: int, steps: int, *, return_sequences: bool) -> Measurement:
    component = RunningSum(return_sequences=return_sequences, gap=GAP)
    codes, expected = vectors(batch, steps, return_sequences=return_sequences)
    notes: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        notes.append((done, total))

    if simulator == "amaranth":
        measured = run_amaranth(
            component, INPUT, OUTPUT, return_sequences, codes, expected, progress=progress
        )
    else:
        measured = run_verilog(
            hardware(component, return_sequences=return_sequences),
            codes,
            expected,
            simulator="icarus" if simulator == "icarus" else "verilator",
            progress=progress,
            latency_cycles=(steps - 1) * (GAP + 1) + 1,
            initiation_interval=steps * (GAP + 1),
        )
    assert notes == sorted(notes)
    assert notes[-1][0] == notes[-1][1]
    np.testing.assert_array_equal(measured.codes, expected)
    return measured


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_bits_latency_and_interval(simulator: str, return_sequences: bool) -> None:
    steps = 5
    measured = measure(simulator, 7, steps, return_sequences=return_sequences)
    assert measured.latency_cycles == (steps - 1) * (GAP + 1) + 1
    assert measured.initiation_interval == steps * (GAP + 1)
    assert measured.cycles > 7 * steps * (GAP + 1)
    assert measured.seconds > 0


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("simulator", ["amaranth", "icarus"])
def test_one_short_sequence_has_a_steady_state(simulator: str, steps: int) -> None:
    measured = measure(simulator, 1, steps, return_sequences=False)
    assert measured.initiation_interval == steps * (GAP + 1)


@pytest.mark.parametrize(
    ("latency", "interval", "message"),
    [
        (12, None, "latency is 13 cycles, the schedule says 12"),
        (None, 16, "interval is 15 cycles, the schedule says 16"),
    ],
)
def test_a_wrong_schedule_is_an_error(
    latency: int | None, interval: int | None, message: str
) -> None:
    codes, expected = vectors(2, 5)
    with pytest.raises(VerificationError, match=message):
        run_verilog(
            hardware(RunningSum(gap=GAP)),
            codes,
            expected,
            simulator="icarus",
            latency_cycles=latency,
            initiation_interval=interval,
        )


def run_isolated(script: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would, outside pytest, without the current folder on its path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-I", str(script), "icarus"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_written_folder_runs_without_rnnrtl(tmp_path: Path) -> None:
    codes, expected = vectors(3, 4)
    folder = tmp_path / "a folder"
    write_testbench(folder, hardware(RunningSum()), codes, expected, extra={"report": "kept"})
    assert json.loads((folder / "manifest.json").read_text())["report"] == "kept"
    script = folder / "sim" / "run.py"
    done = run_isolated(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 tests passed" in done.stdout
    assert "rnnrtl" not in "".join(path.read_text() for path in (folder / "sim").glob("*.py"))

    expected[0, 0] += 1
    write_testbench(folder, hardware(RunningSum()), codes, expected)
    done = run_isolated(script)
    assert done.returncode == 1
    assert "2 of 4 tests passed" in done.stdout


@pytest.mark.parametrize("shape", [(2, 3), (0, 4, 3), (2, 0, 3), (2, 4, 2)])
def test_input_of_the_wrong_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    core = Hardware("", "running_sum", INPUT, OUTPUT, return_sequences=False)
    codes, expected = np.zeros(shape, np.int64), np.zeros((2, 3), np.int64)
    with pytest.raises(InputError, match="input codes must have shape"):
        write_testbench(tmp_path, core, codes, expected)


def test_expected_codes_of_the_wrong_shape(tmp_path: Path) -> None:
    core = Hardware("", "running_sum", INPUT, OUTPUT, return_sequences=False)
    codes, expected = vectors(2, 4, return_sequences=True)
    with pytest.raises(InputError, match=r"expected codes must have shape \(2, 3\)"):
        write_testbench(tmp_path, core, codes, expected)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("width", "lane_bytes"),
    [(1, 1), (8, 1), (9, 2), (16, 2), (17, 4), (32, 4), (33, 8), (64, 8)],
)
def test_a_lane_is_an_integer_of_a_dma_engine(width: int, lane_bytes: int) -> None:
    stream = StreamFormat(lanes=3, width=width)
    assert stream.lane_bytes == lane_bytes
    assert stream.beat_bits == 24 * lane_bytes
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    codes = np.array([[low, high, 0], [high, -1, low]])
    packed = stream.pack(codes)
    assert packed.shape == (2, 3 * lane_bytes)
    np.testing.assert_array_equal(np.frombuffer(packed.tobytes(), stream.dtype), codes.ravel())
    np.testing.assert_array_equal(stream.unpack(packed), codes)
    if width < 64:
        with pytest.raises(ValueError, match="does not fit"):
            stream.pack(np.array([0, 0, high + 1]))
    if width < stream.lane_bits:
        packed[0, lane_bytes - 1] ^= 0x80
        with pytest.raises(VerificationError, match="lane 0 of an output beat"):
            stream.unpack(packed)


@pytest.mark.parametrize(("lanes", "width"), [(0, 8), (1, 0), (1, 65)])
def test_a_stream_that_cannot_be(lanes: int, width: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        StreamFormat(lanes=lanes, width=width)
