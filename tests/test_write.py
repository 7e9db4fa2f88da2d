"""The folder that a design writes: whole, runnable without rnnrtl, or not there at all."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnrtl import project
from rnnrtl.errors import InputError, OutputError
from rnnrtl.generation import generate
from rnnrtl.vectors import RANDOM_SEQUENCES
from tests.networks import dense, inputs, network, recurrent

NET = network(recurrent("gru_after", 2, 2), dense(2, 1, "sigmoid"), steps=3, name="tiny")
DESIGN = generate(NET, "fixed<10,4>", clock_mhz=125)
FILES = {
    "tiny.v",
    "manifest.json",
    "inputs.npy",
    "expected.npy",
    "report.md",
    "constraints/clock.xdc",
    "constraints/clock.sdc",
    "scripts/yosys.ys",
    "scripts/vivado.tcl",
    "sim/__init__.py",
    "sim/bus.py",
    "sim/run.py",
    "sim/testbench.py",
    "sim/vectors.py",
}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_in_the_folder(tmp_path: Path) -> None:
    folder = DESIGN.write(tmp_path / "build")
    assert folder == tmp_path / "build"
    files = tree(folder)
    assert set(files) >= FILES
    assert not [name for name in files if "__pycache__" in name]
    assert files["tiny.v"].decode() == DESIGN.verilog
    assert files["report.md"].decode() == DESIGN.report()
    assert b"-period 8.000 " in files["constraints/clock.xdc"]
    assert b"tiny.v" in files["scripts/yosys.ys"]
    assert b"-top tiny " in files["scripts/vivado.tcl"]
    manifest = json.loads(files["manifest.json"])
    assert manifest["top"] == "tiny"
    assert manifest["latency_cycles"] == DESIGN.schedule.latency_cycles
    assert manifest["initiation_interval"] == DESIGN.schedule.initiation_interval
    assert manifest["cycles_per_step"] == DESIGN.schedule.cycles_per_step
    assert manifest["precision"] == "fixed<10,4>"
    codes = np.load(folder / "inputs.npy")
    assert codes.shape == (RANDOM_SEQUENCES, 3, 2)
    np.testing.assert_array_equal(np.load(folder / "expected.npy"), DESIGN.predict_codes(codes))
    for name, content in files.items():  # nothing of this machine
        assert str(tmp_path).encode() not in content, name
    assert list(tmp_path.iterdir()) == [folder]


def test_the_callers_vectors(tmp_path: Path) -> None:
    x = inputs(NET, 3, 5)
    folder = DESIGN.write(str(tmp_path / "a" / "b"), x)
    np.testing.assert_array_equal(np.load(folder / "inputs.npy"), DESIGN.input_codes(x))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["latency_cycles"] == DESIGN.schedule.latency_of(5)


def test_the_same_files_in_every_folder(tmp_path: Path) -> None:
    assert tree(DESIGN.write(tmp_path / "a")) == tree(DESIGN.write(tmp_path / "b"))


def test_the_folder_verifies_itself(tmp_path: Path) -> None:
    folder = DESIGN.write(tmp_path / "build")
    command = [sys.executable, "sim/run.py", "icarus"]

    def run() -> "subprocess.CompletedProcess[str]":
        # Isolated from the package: the folder must do without it.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    # And it fails when the bits are wrong.
    expected = np.load(folder / "expected.npy")
    expected[-1] ^= 1
    np.save(folder / "expected.npy", expected)
    assert run().returncode == 1


def test_a_second_write_replaces_the_first_and_leaves_the_rest(tmp_path: Path) -> None:
    folder = DESIGN.write(tmp_path / "build")
    (folder / "notes.txt").write_text("mine")
    (folder / "scripts" / "mine.tcl").write_text("mine too")
    (folder / "report.md").write_text("old")
    other = generate(NET, "fixed<11,4>")
    assert other.write(folder) == folder
    files = tree(folder)
    assert files["notes.txt"] == b"mine"
    assert files["scripts/mine.tcl"] == b"mine too"
    assert files["report.md"].decode() == other.report()
    assert files["tiny.v"].decode() == other.verilog
    assert list(tmp_path.iterdir()) == [folder]


def test_an_empty_folder_and_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DESIGN.write(".")
    assert set(tree(tmp_path)) >= FILES
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def bad_path(tmp_path: Path, kind: str) -> Path:
    (tmp_path / "file").write_text("a file")
    if kind == "a file":
        return tmp_path / "file"
    if kind == "below a file":
        return tmp_path / "file" / "build"
    if kind == "too long":
        return tmp_path / ("x" * 300)
    (tmp_path / "build" / "report.md").mkdir(parents=True)
    return tmp_path / "build"


@pytest.mark.parametrize("kind", ["a file", "below a file", "too long", "a folder named as a file"])
def test_folders_that_cannot_be_written(tmp_path: Path, kind: str) -> None:
    path = bad_path(tmp_path, kind)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"build|file|xxx") as caught:
        DESIGN.write(path)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before
    assert not [found for found in tmp_path.iterdir() if found.name.startswith(".")]


def raising(error: BaseException) -> Any:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    return fail


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
MOMENTS = {
    "the testbench": (shutil, "copytree"),
    "the vectors": (np, "save"),
    "the scripts": (project, "_vivado"),
    "the move": (project, "_move"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "there already"])
def test_what_fails_in_the_middle_leaves_nothing(
    moment: str,
    error: BaseException,
    there: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "above" / "build"
    if there:
        generate(NET, "fixed<9,4>").write(folder)
    before = tree(tmp_path)
    monkeypatch.setattr(*MOMENTS[moment], raising(error))
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            DESIGN.write(folder)
    else:
        with pytest.raises(OutputError, match=rf"cannot write {folder}: the disk is full$"):
            DESIGN.write(folder)
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["above"] if there else [])
    if there:
        assert [path.name for path in folder.parent.iterdir()] == ["build"]


@pytest.mark.parametrize("x", [np.zeros((0, 3, 2)), np.zeros((1, 3, 9)), [[["a", "b"]]]])
def test_bad_vectors_write_nothing(x: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^x "):
        DESIGN.write(tmp_path / "build", x)
    assert not list(tmp_path.iterdir())
