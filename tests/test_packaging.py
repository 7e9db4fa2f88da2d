"""The wheel holds everything the package needs away from its repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel; return the names of the files in it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def sources(folder: str) -> set[str]:
    """Return the files below `folder`, relative to it, without what Python leaves there."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    paths = {path.relative_to(ROOT / folder) for path in found}
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


def test_wheel_holds_the_package_with_its_data(names: set[str]) -> None:
    assert {f"rnnrtl/{name}" for name in sources("rnnrtl")} <= names


def test_wheel_holds_the_testbench(names: set[str]) -> None:
    assert sources("sim")
    assert {f"rnnrtl/_sim/{name}" for name in sources("sim")} <= names


def test_wheel_holds_nothing_else(names: set[str]) -> None:
    others = {name for name in names if not name.startswith("rnnrtl/")}
    assert all(name.split("/")[0].endswith(".dist-info") for name in others)
    assert {name.split("/")[-1] for name in others} == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE",
    }  # fmt: skip
    assert not any(name.endswith(".pyc") for name in names)


def test_wheel_says_that_it_is_typed(names: set[str]) -> None:
    assert "rnnrtl/py.typed" in names
