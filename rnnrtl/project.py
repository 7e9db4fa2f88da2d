"""The folder that `Design.write` makes: everything a hardware engineer goes on with."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import rnnrtl
from rnnrtl.errors import InputError, OutputError
from rnnrtl.files import reason
from rnnrtl.simulate import write_testbench
from rnnrtl.vectors import Vectors, random_clear, random_codes, random_offers, vectors_of

if TYPE_CHECKING:
    from rnnrtl.design import Design

_VIVADO_PARTS = {
    "xcup": "xcvu13p-flga2577-2-e",
    "xcu": "xcku115-flvb2104-2-e",
    "xc7": "xc7a200tfbg484-2",
}


def write_project(design: "Design", directory: Path, x: object | None = None) -> Path:
    """Write a design's folder; see `Design.write`.

    Everything is made in a folder beside it first and then moved, so that a full disk or Ctrl-C
    leaves what was there before. Files of other names in `directory` stay.
    """
    codes = design.input_codes(x) if x is not None else random_codes(design)
    if not len(codes):
        raise InputError("x holds no sequence: the testbench needs at least one")
    said = (random_clear(design, codes), random_offers(design, codes)) if x is None else ()
    vectors = vectors_of(design, codes, *said)
    staging: Path | None = None
    written = False
    above = [folder for folder in directory.absolute().parents if not folder.exists()]
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        if directory.exists() and not directory.is_dir():
            raise OutputError(f"{directory} is a file: give a folder to write into")
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        _fill(design, staging, codes.shape[1], vectors)
        _move(staging, directory)
        written = True
    except OSError as error:
        raise OutputError(f"cannot write {directory}: {reason(error)}") from None
    except OutputError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        # The testbench's own message names the folder beside it, which is gone by now.
        raise OutputError(f"cannot write {directory}: {reason(error.__cause__)}") from None
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in [] if written else above:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return directory


def _fill(design: "Design", folder: Path, steps: int, vectors: Vectors) -> None:
    schedule = design.schedule
    write_testbench(
        folder,
        design.hardware,
        vectors.codes,
        vectors.expected,
        clear=vectors.clear,
        states=vectors.states,
        latency_cycles=schedule.latency_of(steps),
        initiation_interval=schedule.interval_of(steps),
        extra={
            "generator": f"rnnrtl {rnnrtl.__version__}",
            "precision": str(design.precision),
            "mode": design.options.mode,
            "clock_mhz": design.options.clock_mhz,
            "target": design.options.target,
            "input_format": str(design.graph.input_format),
            "output_format": str(design.graph.output_format),
            "cycles_per_step": schedule.cycles_per_step,
            "multipliers": schedule.multipliers,
            **({"most_steps": design.network.steps} if design.network.backwards else {}),
        },
    )
    period = 1000 / design.options.clock_mhz
    texts = {
        "report.md": design.report(),
        "schedule.svg": schedule.svg(),
        "constraints/clock.xdc": f"create_clock -name clk -period {period:.3f} [get_ports clk]\n",
        "constraints/clock.sdc": f"create_clock -name clk -period {period:.3f} [get_ports clk]\n",
        "scripts/yosys.ys": _yosys(design),
        "scripts/vivado.tcl": _vivado(design),
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder.chmod(0o755)  # mkdtemp made it private


def _yosys(design: "Design") -> str:
    from rnnrtl.synthesis.targets import TARGETS

    script = TARGETS[design.options.target].script.replace("{top}", design.name)
    return (
        "# Run in the folder above this one: yosys scripts/yosys.ys\n"
        f"read_verilog {design.name}.v\n" + script.replace("; ", "\n") + "\nstat\n"
    )


def _vivado(design: "Design") -> str:
    part = _VIVADO_PARTS.get(design.options.target, "xc7a200tfbg484-2")
    return "\n".join(
        (
            "# Run in the folder above this one: vivado -mode batch -source scripts/vivado.tcl",
            f"read_verilog {design.name}.v",
            "read_xdc constraints/clock.xdc",
            f"synth_design -top {design.name} -part {part} -mode out_of_context",
            "opt_design",
            "place_design",
            "route_design",
            "report_utilization -file vivado_utilization.txt",
            "report_timing_summary -file vivado_timing.txt",
            "",
        )
    )


def _move(staging: Path, directory: Path) -> None:
    if not directory.exists():
        staging.replace(directory)
        return
    moves = [(path, directory / path.relative_to(staging)) for path in sorted(staging.rglob("*"))]
    for source, target in moves:  # before anything is moved
        if target.exists() and target.is_dir() != source.is_dir():
            kind = "folder" if target.is_dir() else "file"
            raise OutputError(f"{target} is a {kind}: remove it, or give another folder")
    for source, target in moves:
        if source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            source.replace(target)
