"""The whole path on real input: trained top taggers to Verilog, verified and sized."""

import json
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from rnnrtl.demo.jets import NETWORKS, tagger
from rnnrtl.demo.jobs import PRECISION, Job, accuracy, run
from rnnrtl.errors import OutputError
from rnnrtl.generation import generate

ACCURACY_PRECISIONS = (PRECISION, "fixed<12,4>")
SEQUENCES = {"verilator": 2000, "icarus": 20, "amaranth": 5}
"""Jets that each simulator runs."""

Results = dict[Job, dict[str, Any]]


def demo(folder: Path, targets: Iterable[str] = ("xcup",), console: Console | None = None) -> None:
    """Run the demo, with progress bars, and leave everything in `folder`.

    Raises VerificationError where anything is not bit-exact or not as scheduled.
    """
    console = console or Console()
    start = perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from None
    rows = [accuracy(network, p) for network in NETWORKS for p in ACCURACY_PRECISIONS]
    table = Table("network", "precision", "float AUC", "fixed AUC", "ratio", "largest error")
    for row in rows:
        table.add_row(
            row.network,
            row.precision,
            f"{row.float_auc:.4f}",
            f"{row.fixed_auc:.4f}",
            f"{row.ratio:.4f}",
            f"{row.largest_error:.4f}",
        )
    console.print("2,000 jets: network in float64, and its bit-exact fixed-point reference")
    console.print(table)
    for network in NETWORKS:
        schedule = generate(tagger(network), PRECISION).schedule
        console.print(
            f"{network}, {PRECISION}, {schedule.target} at {schedule.clock_mhz:g} MHz: "
            f"{schedule.cycles_per_step} cycles a step, latency {schedule.latency_cycles} cycles "
            f"({schedule.latency_us:.2f} us), II {schedule.initiation_interval}"
        )
    results = _work(folder, tuple(targets), console)
    _summary(results, tuple(targets), console)
    record = {
        "accuracy": [{**asdict(row), "ratio": row.ratio} for row in rows],
        "jobs": [{**asdict(job), **found} for job, found in results.items()],
    }
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    console.print(f"{perf_counter() - start:.0f} s; everything is in {folder}/:")
    for network in NETWORKS:
        console.print(f"  {network}/{network}.v, report.md, sim/ (python sim/run.py icarus)")
    console.print("  results.json")


def _work(folder: Path, targets: tuple[str, ...], console: Console) -> Results:
    """Do all jobs, independent ones side by side."""
    waiting = [Job(network, kind, n) for network in NETWORKS for kind, n in SEQUENCES.items()]
    waiting += [Job(network, "estimate", target=t) for t in targets for network in NETWORKS]
    waiting.sort(key=lambda job: (job.kind == "estimate", job.kind == "amaranth"))
    results: Results = {}
    with _workers() as (pool, reports), _bars(console, reports) as bars:
        running: dict[Future[dict[str, Any]], Job] = {}

        def start(job: Job) -> None:
            bars.start(job)
            running[pool.submit(run, job, folder, reports)] = job

        for network in NETWORKS:
            start(Job(network, "write"))
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                results[job] = future.result()
                bars.finish(job, _line(job, results[job]))
                if job.kind == "write":
                    for following in [j for j in waiting if j.network == job.network]:
                        waiting.remove(following)
                        start(following)
    return results


def _line(job: Job, found: dict[str, Any]) -> str:
    match job.kind:
        case "write":
            return f"{job.title}, {found['lines']} lines, {found['seconds']:.0f} s"
        case "estimate":
            seconds = "from the cache" if found["cached"] else f"{found['seconds']:.0f} s"
            return f"{job.title}: {found['lut']} LUT, {found['dsp']} DSP, {seconds}"
    return (
        f"{job.title}: bit-exact, latency {found['latency_cycles']}, "
        f"II {found['initiation_interval']} as scheduled, {found['seconds']:.0f} s"
    )


@contextmanager
def _workers() -> "Iterator[tuple[ProcessPoolExecutor, Queue[Any]]]":
    """Give one process a core; none is left behind, whatever happens."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        pool = ProcessPoolExecutor(min(4, os.cpu_count() or 1), mp_context=context)
        try:
            yield pool, manager.Queue()
        finally:
            pool.shutdown(cancel_futures=True)


class _Bars:
    """A progress bar for every job under way, and a line for every one done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Job, TaskID] = {}

    def start(self, job: Job) -> None:
        self._tasks[job] = self._progress.add_task(job.title, total=None)

    def update(self, job: Job, done: int, total: int) -> None:
        if job in self._tasks:
            self._progress.update(self._tasks[job], completed=done, total=total)

    def finish(self, job: Job, line: str) -> None:
        self._progress.remove_task(self._tasks.pop(job))
        self._progress.console.print(line)


@contextmanager
def _bars(console: Console, reports: "Queue[Any]") -> Iterator[_Bars]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars = _Bars(progress)

        def listen() -> None:
            while (report := reports.get()) is not None:
                bars.update(*report)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield bars
        finally:
            reports.put(None)
            listener.join(timeout=5)


def _summary(results: Results, targets: tuple[str, ...], console: Console) -> None:
    table = Table("network", "bit-exact", "latency", "II", "target", "LUT", "FF", "DSP", "BRAM")
    for network in NETWORKS:
        found = {(job.kind, job.target): r for job, r in results.items() if job.network == network}
        runs = {kind: found[kind, ""] for kind in SEQUENCES}
        exact = ", ".join(str(run["sequences"]) for run in runs.values())
        for target in targets:
            size = found["estimate", target]
            table.add_row(
                network,
                exact,
                str(runs["verilator"]["latency_cycles"]),
                str(runs["verilator"]["initiation_interval"]),
                target,
                *(f"{size[resource]:g}" for resource in ("lut", "ff", "dsp", "bram")),
            )
    console.print(table)
    console.print(f"bit-exact: jets in {', '.join(kind.capitalize() for kind in SEQUENCES)}")
