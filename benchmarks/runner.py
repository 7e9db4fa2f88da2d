"""Runs what is missing of the benchmark, and keeps what it found in results.json."""

import hashlib
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import platformdirs

from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
CACHE = Path(platformdirs.user_cache_dir("rnnrtl", appauthor=False)) / "benchmarks"
_ARITHMETIC = ("cells", "fixedpoint", "frontends", "graph", "hardware", "lut", "schedule")


def source() -> str:
    """Return a digest of the sources that decide what hardware is made."""
    digest = hashlib.sha256()
    folders = [ROOT / "rnnrtl" / folder for folder in _ARITHMETIC]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    # Pictures of a schedule do not change it.
    for path in sorted(files):
        if path.name != "picture.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def machine() -> dict[str, object]:
    """Return what the seconds and megabytes were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        model = names[0] if names else model
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}


class Results:
    """results.json: row -> stage -> what was found. Every finding is written at once."""

    def __init__(self, path: Path = RESULTS) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if path.is_file():
            self.rows = json.loads(path.read_text(encoding="utf-8"))["rows"]

    def get(self, row: Row, stage: str) -> dict[str, Any] | None:
        """Return what was found, or None."""
        found: dict[str, Any] | None = self.rows.get(row.key, {}).get(stage)
        return found

    def put(self, row: Row, stage: str, found: dict[str, Any]) -> None:
        """Keep a finding; beside another schedule nothing stands that the last one gave."""
        if stage == "schedule" and _figures(found) != _figures(self.get(row, stage)):
            self.rows.pop(row.key, None)
        self.rows.setdefault(row.key, {"row": row.as_dict()})[stage] = found
        held = {"command": "python -m benchmarks", "machine": machine(), "rows": self.rows}
        scratch = self.path.with_suffix(".new")
        scratch.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        scratch.replace(self.path)

    def missing(self, row: Row, stage: str, *, stale: str | None) -> bool:
        """Whether a stage is to be run: never was, or, given a digest, by other sources."""
        found = self.get(row, stage)
        return found is None or (stale is not None and found.get("source") != stale)


def _figures(found: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a finding says of a design: without how and when that was found."""
    return {key: v for key, v in (found or {}).items() if key not in ("seconds", "source")}


def stages(row: Row, asked: Iterable[str]) -> Iterator[str]:
    """Yield the stages of a row in order, each after what it needs."""
    asked = list(asked)
    yield "schedule"
    if any(stage != "schedule" for stage in asked):
        yield "verilog"
    for stage in asked:
        if stage not in ("schedule", "verilog"):
            yield stage


def measure(row: Row, stage: str, *, seconds: float, gigabytes: float) -> dict[str, Any]:
    """Run a stage of a row in a process of its own, within limits; a failure is a finding too."""
    digest = source()  # before: sources may be edited while a stage runs
    networks = (ROOT / "benchmarks" / "networks.py").read_text(encoding="utf-8")
    name = hashlib.sha256((row.key + digest + networks).encode()).hexdigest()[:24]
    file = CACHE / f"{name}.v"
    if stage not in ("schedule", "verilog") and not file.is_file():
        made = measure(row, "verilog", seconds=seconds, gigabytes=gigabytes)
        if "failed" in made:
            return made
    asked = json.dumps({"row": row.as_dict(), "stage": stage, "file": str(file)})
    return {**_run(asked, seconds, gigabytes), "source": digest}


def _run(asked: str, seconds: float, gigabytes: float) -> dict[str, Any]:
    limited = threading.Event()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as answer,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.measure"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Yosys and Verilator end with it
        ) as process,
    ):
        most = int(gigabytes * 1e9)
        threading.Thread(target=_watch, args=(process, most, limited), daemon=True).start()
        try:
            _, errors = process.communicate(asked, timeout=seconds)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done in {seconds:g} s"}
        finally:
            _end(process)
        answer.seek(0)
        lines = answer.read().splitlines()
    if limited.is_set():
        return {"failed": f"took more than {gigabytes:g} GB"}
    if process.returncode != 0:
        said = errors.strip().splitlines() or [f"exit status {process.returncode}"]
        return {"failed": said[-1]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _watch(
    process: "subprocess.Popen[str]", most: int, limited: threading.Event, every: float = 0.5
) -> None:
    """End a process whose group holds too much memory.

    Resident memory is what counts: a limit of the address space would also forbid the terabytes
    that WebAssembly reserves and never touches.
    """
    while process.poll() is None:
        if _resident(process.pid) > most:
            limited.set()
            _end(process)
            return
        try:
            process.wait(every)
        except subprocess.TimeoutExpired:
            continue


def _resident(group: int) -> int:
    """Return the bytes that all processes of a group hold; 0 where there is no /proc."""
    pages = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[2]) == group:
            pages += int(fields[21])
    return pages * resource.getpagesize()


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
