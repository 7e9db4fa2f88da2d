"""The benchmark's command line: `python -m benchmarks --help`."""

from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.networks import SHAPES
from benchmarks.publish import publish
from benchmarks.rows import rows
from benchmarks.runner import Results, measure, source, stages

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

OnlyOption = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads Optional
    typer.Option("--only", help=f"network: {', '.join(SHAPES)}; may be repeated"),
]
RowsOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--rows", help="rows whose name has this in it, as 'gru/fixed<16,6>/static'"),
]
SynthOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--synth", help="count resources with Yosys: xcup, ecp5; minutes a row"),
]


@app.command()
def main(
    only: OnlyOption = None,
    select: RowsOption = None,
    verilog: Annotated[bool, typer.Option("--verilog", help="generate the Verilog")] = False,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="compare every bit in Verilator, with stalls")
    ] = False,
    synth: SynthOption = None,
    route: Annotated[
        bool, typer.Option("--route", help="place and route the rows for ecp5 and ice40; minutes")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="run anew what other sources of rnnrtl found")
    ] = False,
    seconds: Annotated[float, typer.Option(help="time limit of each measurement")] = 1800,
    gigabytes: Annotated[float, typer.Option(help="memory limit of each measurement")] = 8,
) -> None:
    """Measure what is missing, then write results.json and results.md.

    Without --verilog, --simulate, --synth or --route only schedules are made. Everything found is
    kept in results.json at once, so that a run that was stopped goes on where it was.
    """
    asked = ["verilog"] * verilog + ["simulate"] * simulate
    asked += [f"synth {target}" for target in synth or []]
    chosen = [
        row
        for row in rows()
        if (not only or row.network in only)
        and (not route or row.target in ("ecp5", "ice40"))
        and (not select or any(text in row.key for text in select))
    ]
    if not chosen:
        raise typer.BadParameter("no row is called so; results.json has their names")
    results = Results()
    stale = source() if again else None
    work = [
        (row, stage)
        for row in chosen
        for stage in stages(row, [*asked, *[f"route {row.device}"] * route])
        if results.missing(row, stage, stale=stale)
    ]
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        task = bars.add_task("", total=len(work))
        failed = set()
        for row, stage in work:
            bars.update(task, description=f"{row.key}: {stage}")
            if row not in failed:
                found = measure(row, stage, seconds=seconds, gigabytes=gigabytes)
                results.put(row, stage, found)
                if "failed" in found:
                    failed.add(row)
                    console.print(f"{row.key}: {stage}: {found['failed']}", markup=False)
            bars.advance(task)
    publish(results)
    console.print("wrote benchmarks/results.json and benchmarks/results.md")


if __name__ == "__main__":
    app()
