"""The command line: each command is the same call as in Python."""

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

import rnnrtl
from rnnrtl.cli_options import DATA, design_command, read_x
from rnnrtl.cli_precision import precision, scan
from rnnrtl.design import Design
from rnnrtl.errors import PrecisionWarning, RnnrtlError, VerificationError
from rnnrtl.report import table
from rnnrtl.simulation import SIMULATORS, SimulatorName
from rnnrtl.synthesis import DEVICES
from rnnrtl.vectors import random_codes

app = typer.Typer(
    name="rnnrtl",
    help="Trained LSTM and GRU networks to Verilog, proved bit-exact against its reference.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130  # what typer makes of Ctrl-C

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="folder to write")]


@design_command(app)
def generate(
    design: Design,
    output: OutputOption = Path("build"),
) -> None:
    """Write Verilog, testbench, constraints, scripts, manifest and report into a folder."""
    _describe(design)
    with Console(stderr=True).status("writing"):
        design.write(output)
    typer.echo(f"wrote {output}/{design.name}.v, report.md, sim/ and more")


@design_command(app)
def simulate(
    design: Design,
    simulator: Annotated[
        str, typer.Option("--simulator", "-s", help=", ".join(SIMULATORS))
    ] = "icarus",
    inputs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--input", "-i", help=DATA),
    ] = None,
    sequences: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--sequences", "-n", min=1, help="only the first so many sequences"),
    ] = None,
) -> None:
    """Simulate the hardware, with random stalls, and compare every bit with the reference.

    Without --input the vectors are random.
    """
    x = read_x(inputs) if inputs is not None else _random_x(design, sequences)
    with Progress(transient=True, console=Console(stderr=True)) as bars:
        task = bars.add_task(simulator, total=None)
        found = design.simulate(
            x[:sequences],
            _simulator(simulator),
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    typer.echo(
        f"{design.name} in {simulator}: {len(found.outputs)} sequences, "
        f"latency {found.latency_cycles} cycles, II {found.initiation_interval}, "
        + ("bit-exact" if found.bit_exact else "NOT bit-exact")
    )
    if not found.bit_exact:
        raise VerificationError("the hardware differs from its reference")


@design_command(app)
def estimate(
    design: Design,
) -> None:
    """Synthesise with Yosys and count LUT, FF, DSP, block RAM and carry chains."""
    with Console(stderr=True).status(f"Yosys, {design.options.target}"):
        found = design.estimate()
    typer.echo(
        f"{design.name} on {found.target}: {found.lut} LUT, {found.ff} FF, {found.dsp} DSP, "
        f"{found.bram:g} BRAM, {found.carry} carry"
    )


@design_command(app, clock_mhz=50.0, target="ecp5")
def place(
    design: Design,
    device: Annotated[
        str,
        typer.Option("--device", "-d", help=f"{', '.join(DEVICES)} (ice40: with -t ice40)"),
    ] = "ecp5-85k",
    seed: Annotated[int, typer.Option("--seed", min=1, help="of the placer")] = 1,
) -> None:
    """Place and route with nextpnr: the clock that is reached, and what the design takes.

    Minutes for a thousand LUTs and more. A design of more pins than the device has is placed
    inside a harness of shift registers.
    """
    with Console(stderr=True).status(f"Yosys and nextpnr, {device}"):
        found = design.place_and_route(device, seed=seed)
    line = (
        f"{design.name} on {found.device}: {found.fmax_mhz:.1f} MHz, "
        f"{'meets' if found.met else 'MISSES'} the {found.clock_mhz:g} MHz asked for"
    )
    if design.schedule.steps is not None:
        line += f", latency {1000 * design.schedule.latency_cycles / found.fmax_mhz:.0f} ns"
    typer.echo(line)
    if found.untimed:
        typer.echo(f"not timed: paths through {found.untimed} multipliers, so MHz at most")
    if found.harness:
        typer.echo(f"harness: {found.harness} registers for pins, counted below")
    for resource, (used, available) in found.utilisation.items():
        typer.echo(f"{resource}: {used:,} of {available:,}")


@design_command(app)
def explore(
    design: Design,
    points: Annotated[int, typer.Option("--points", min=2, help="how many at most")] = 12,
    estimated: Annotated[
        bool, typer.Option("--estimate", help="count resources with Yosys; minutes each")
    ] = False,
) -> None:
    """Compare reuse factors: cycles, latency, II, multipliers, and what they take of an FPGA."""
    headings = ["reuse factor", "cycles a step", "latency", "II", "multipliers", "DSP at most"]
    headings += ["DSP", "LUT", "FF", "BRAM"] * estimated
    lines = []
    with Progress(transient=True, console=Console(stderr=True)) as bars:
        for other in bars.track(design.explore(points), total=points, description="exploring"):
            made = other.schedule
            known = made.steps is not None
            line: list[object] = [
                other.options.reuse_factor,
                made.cycles_per_step,
                made.latency_cycles if known else "",
                made.initiation_interval if known else "",
                made.multipliers,
                made.dsp,
            ]
            if estimated:
                found = other.estimate()
                line += [found.dsp, found.lut, found.ff, f"{found.bram:g}"]
            lines.append(tuple(line))
    typer.echo(table(tuple(headings), lines))


@design_command(app)
def report(
    design: Design,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--data", "-d", help=f"{DATA}: how often do values leave their formats"),
    ] = None,
) -> None:
    """Print formats, proved ranges, table errors and the schedule, as Markdown."""
    x = None if data is None else read_x(data)
    with Console(stderr=True).status("running the reference"):
        text = design.report(x)
    typer.echo(text, nl=False)


app.command()(precision)
app.command()(scan)


@app.command()
def demo(
    output: OutputOption = Path("build/demo"),
    target: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--target", "-t", help="FPGA family to size for; may be repeated"),
    ] = None,
) -> None:
    """Take trained top taggers (GRU and LSTM) all the way, on 2,000 jets."""
    from rnnrtl.demo.top_tagging import demo as run

    run(output, target or ["xcup"])


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(rnnrtl.__version__)


def main() -> None:
    """Run the command line: exit status 0, 1 (our own error, in one line) or 2 (usage)."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", PrecisionWarning)
        warnings.showwarning = _show_warning
        try:
            app()
        except RnnrtlError as error:
            typer.echo(f"rnnrtl: {error}", err=True)
            sys.exit(1)
        except SystemExit as ending:
            if ending.code != _INTERRUPTED:
                raise
            typer.echo("rnnrtl: interrupted", err=True)
            sys.exit(1)


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    typer.echo(f"rnnrtl: warning: {message}", err=True)


def _describe(design: Design) -> None:
    schedule = design.schedule
    line = (
        f"{design.name}: {schedule.cycles_per_step} cycles a step, "
        f"{schedule.multipliers} multipliers, {schedule.clock_mhz:g} MHz on {schedule.target}"
    )
    if schedule.steps is not None:
        line += f", latency {schedule.latency_cycles} cycles, II {schedule.initiation_interval}"
    typer.echo(line)


def _simulator(name: str) -> SimulatorName:
    for known in SIMULATORS:
        if name == known:
            return known
    raise typer.BadParameter(
        f"unknown simulator {name!r}, known: {', '.join(SIMULATORS)}", param_hint="--simulator"
    )


def _random_x(design: Design, sequences: int | None) -> NDArray[np.float64]:
    codes = random_codes(design, sequences or 8)
    return codes * design.graph.input_format.lsb
