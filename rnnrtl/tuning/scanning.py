"""A network in one precision after another: what its outputs are worth against the bits."""

import io
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from rnnrtl.errors import InputError, OutputError, PrecisionError, ToolError
from rnnrtl.files import write_whole
from rnnrtl.fixedpoint import Format, Precision
from rnnrtl.graph.tensors import tensors
from rnnrtl.layers import FloatArray
from rnnrtl.network import Network
from rnnrtl.tuning.survey import average_bits
from rnnrtl.tuning.trials import Metric, Trials

Given = str | Format | Mapping[str, object] | Precision


@dataclass(frozen=True)
class Scanned:
    """What one precision gives.

    Members
    -------
    precision : the formats
    weight_bits, activation_bits : averages, as `rnnrtl.average_bits` counts them
    largest_error : of any output against the float network
    rms_error : root of the mean square of the outputs' errors
    metric : the metric's figure, or None where there is none
    """

    precision: Precision
    weight_bits: float
    activation_bits: float
    largest_error: float
    rms_error: float
    metric: float | None

    @property
    def title(self) -> str:
        """The format, or how many tensors have one of their own."""
        rules = len(self.precision.rules)
        return f"{rules} rule{'s' * (rules > 1)}" if rules else str(self.precision)


@dataclass(frozen=True)
class Scan:
    """What several precisions give, in the order in which they were asked for.

    Members
    -------
    name : of the network
    rows : one a precision
    float_metric : the metric's figure of the float network, or None where there is none
    """

    name: str
    rows: tuple[Scanned, ...]
    float_metric: float | None

    def table(self) -> str:
        """Return a Markdown table."""
        from rnnrtl.report import table

        heads = ["precision", "bits a weight", "bits an activation", "largest error", "RMS error"]
        with_metric = self.float_metric is not None
        lines: list[tuple[object, ...]] = []
        for row in self.rows:
            line = [row.title, f"{row.weight_bits:.2f}", f"{row.activation_bits:.2f}"]
            line += [f"{row.largest_error:.4g}", f"{row.rms_error:.4g}"]
            lines.append((*line, *([f"{row.metric:.5f}"] if with_metric else [])))
        if with_metric:
            lines.append(("float64", "64", "64", "0", "0", f"{self.float_metric:.5f}"))
        return table((*heads, *(["metric"] if with_metric else [])), lines)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw errors, and the metric where there is one, against bits: a .png or .svg file.

        Raises ToolError where matplotlib is missing, OutputError where nothing can be written.
        """
        target = Path(path)
        kind = target.suffix.lower().removeprefix(".")
        if kind not in ("png", "svg"):
            raise OutputError(f"{target}: a plot is saved as .png or .svg, name the file so")
        try:
            import matplotlib as mpl
            from matplotlib.figure import Figure
        except ImportError:
            raise ToolError("plots need matplotlib: pip install 'rnnrtl[plot]'") from None
        bits = [(row.weight_bits + row.activation_bits) / 2 for row in self.rows]
        order = sorted(range(len(bits)), key=bits.__getitem__)
        panels: list[tuple[str, list[float]]] = []
        if self.float_metric is not None:
            panels.append(("metric", [row.metric or 0.0 for row in self.rows]))
        panels.append(("largest output error", [row.largest_error for row in self.rows]))
        # The same data give the same file, and nothing is left of it in matplotlib's own state.
        with mpl.rc_context({"svg.hashsalt": "rnnrtl"}):
            figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
            for number, (label, values) in enumerate(panels):
                axes = figure.add_subplot(1, len(panels), number + 1)
                axes.plot([bits[n] for n in order], [values[n] for n in order], "o-")
                axes.set_xlabel("bits, average of weights and activations")
                axes.set_ylabel(label)
                axes.grid(visible=True, alpha=0.3)
                if label == "metric" and self.float_metric is not None:
                    axes.axhline(self.float_metric, linestyle="--", color="grey", label="float64")
                    axes.legend()
                elif min(values) > 0:
                    axes.set_yscale("log")
            figure.suptitle(self.name)
            drawn = io.BytesIO()
            dated: dict[str, str | None] = {"Date": None} if kind == "svg" else {}
            figure.savefig(drawn, format=kind, dpi=150, metadata=dated)
        write_whole(target, drawn.getvalue())


def scan(
    network: Network,
    formats: Iterable[Given],
    x: object,
    *,
    metric: Metric | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Return what a network's outputs are worth in each of several precisions.

    Parameters
    ----------
    network : what `load` gives
    formats : each of them anything that `generate` takes as a precision, but for "auto"
    x : (batch, steps, features)
    metric : figure of the outputs (an array of the shape that `Network.predict` gives) -> float
    executor : where to compute, a job a precision: any `concurrent.futures.Executor`, such as
        `ProcessPoolExecutor()` or Dask's `client.get_executor()`; here, one by one, where None.
        With processes the metric must be something that pickles, such as `AreaUnderCurve`
    progress : called with how many are done, and of how many

    Raises
    ------
    PrecisionError : for a precision that cannot be read, or that there are no tables for
    InputError : for x that is no input of the network, and a metric that gives no number
    """
    if isinstance(formats, str | Mapping | Format | Precision):
        raise PrecisionError(f"formats is a list of precisions, not one: [{str(formats)!r}]")
    asked = [Precision.parse(given) for given in formats]
    if not asked:
        raise InputError("formats is empty: give at least one precision")
    read = tensors(network)
    for precision in asked:
        precision.check(read)
    here = Trials(network, x, metric)
    floats = here.figure(here.floats)
    rows: list[Scanned] = []
    jobs: list[Future[Scanned]] = []
    try:
        if executor is not None:
            jobs = [executor.submit(_scanned, network, p, here.x, metric) for p in asked]
        for number, precision in enumerate(asked):
            rows.append(jobs[number].result() if jobs else _one(here, precision))
            if progress is not None:
                progress(number + 1, len(asked))
    finally:
        for job in jobs:  # what has not begun, where one failed or Ctrl-C came
            job.cancel()
    return Scan(network.name, tuple(rows), floats)


def _scanned(
    network: Network, precision: Precision, x: FloatArray, metric: Metric | None
) -> Scanned:
    return _one(Trials(network, x, metric), precision)


def _one(trials: Trials, precision: Precision) -> Scanned:
    trial = trials.tried(precision)
    return Scanned(
        precision,
        *average_bits(trials.network, precision),
        trial.largest,
        math.sqrt(trial.mean_square),
        trial.metric,
    )
