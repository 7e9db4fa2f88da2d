"""The commands that look for formats: `rnnrtl precision` and `rnnrtl scan`."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.progress import Progress

import rnnrtl
from rnnrtl.cli_options import (
    DATA,
    MODEL,
    Normalise,
    read_metric,
    read_normalise,
    read_precision,
    read_x,
)
from rnnrtl.files import write_whole
from rnnrtl.tuning.metrics import METRICS
from rnnrtl.tuning.search import SPARE

_ModelArgument = Annotated[Path, typer.Argument(help=MODEL)]
_DataOption = Annotated[Path, typer.Option("--data", "-d", help=f"{DATA}; `y`: labels")]
_MetricOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--metric", help=f"{', '.join(METRICS)}: over the labels `y` in the data"),
]


def precision(
    model: _ModelArgument,
    data: _DataOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="file to write; for -p of other commands")
    ] = Path("precision.toml"),
    metric: _MetricOption = None,
    keep: Annotated[
        float, typer.Option("--keep", help="share of the float network's metric to keep")
    ] = 0.999,
    max_error: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--max-error", help="largest difference of an output from the float network"),
    ] = None,
    spare: Annotated[str, typer.Option("--spare", help=", ".join(SPARE))] = "hardware",
    state: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--state", help="what was tried: OUTPUT.search.json, removed when done"),
    ] = None,
    normalise: Normalise = None,
) -> None:
    """Find the fewest bits that keep a metric, or the outputs, on data.

    After Ctrl-C the same command goes on from where it was.
    """
    network = rnnrtl.load(model, normalise=read_normalise(normalise))
    x, figure = read_x(data), read_metric(metric, data)
    target = None if figure is None else keep * figure(network.predict(x))
    kept = state or Path(f"{output}.search.json")
    with Progress(transient=True, console=Console(stderr=True)) as bars:
        task = bars.add_task("searching", total=None)

        def show(found: rnnrtl.Found) -> None:
            bars.update(task, description=f"{found.trials} trials: {_bits(found.bits)}")

        found = rnnrtl.find_precision(
            network,
            x,
            metric=figure,
            target=target,
            max_error=max_error,
            spare=spare,
            state=kept,
            progress=show,
        )
    found.save(output)
    if state is None:
        kept.unlink(missing_ok=True)
    typer.echo(f"wrote {output}: {_bits(rnnrtl.average_bits(network, found))}")


def scan(
    model: _ModelArgument,
    data: _DataOption,
    formats: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--precision", "-p", help="format or .toml file; may be repeated"),
    ] = None,
    widths: Annotated[
        str, typer.Option("--widths", "-w", help="without -p: LOWEST:HIGHEST bits")
    ] = "8:16",
    integer_bits: Annotated[
        int, typer.Option("--integer-bits", help="without -p: bits left of the point")
    ] = 6,
    metric: _MetricOption = None,
    output: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--output", "-o", help=".md, .png or .svg file; may be repeated"),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="processes at work")] = 1,
    normalise: Normalise = None,
) -> None:
    """Compare formats on data: largest output error and metric against bits, table and plot."""
    asked = [read_precision(text) for text in formats or _of_widths(widths, integer_bits)]
    for path in output or []:
        if path.suffix not in (".md", ".png", ".svg"):
            raise typer.BadParameter(f"{path} is no .md, .png or .svg", param_hint="--output")
    network = rnnrtl.load(model, normalise=read_normalise(normalise))
    x, figure = read_x(data), read_metric(metric, data)
    with Progress(transient=True, console=Console(stderr=True)) as bars, ExitStack() as stack:
        task = bars.add_task("scanning", total=len(asked))
        found = rnnrtl.scan(
            network,
            asked,
            x,
            metric=figure,
            executor=stack.enter_context(_processes(jobs)) if jobs > 1 else None,
            progress=lambda done, total: bars.update(task, completed=done),
        )
    typer.echo(found.table())
    for path in output or []:
        if path.suffix == ".md":
            write_whole(path, found.table() + "\n")
        else:
            found.plot(path)


def _of_widths(text: str, integer_bits: int) -> list[str]:
    lowest, _, highest = text.partition(":")
    if not (lowest.isdecimal() and highest.isdecimal() and 0 < int(lowest) <= int(highest) <= 64):
        raise typer.BadParameter(f"{text!r} is not LOWEST:HIGHEST", param_hint="--widths")
    return [f"fixed<{width},{integer_bits}>" for width in range(int(lowest), int(highest) + 1)]


def _processes(jobs: int) -> ProcessPoolExecutor:
    # Not forked: threads of NumPy and of the progress bar would be copied half.
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


def _bits(bits: tuple[float, float]) -> str:
    return f"on average {bits[0]:.2f} bits a weight, {bits[1]:.2f} an activation"
