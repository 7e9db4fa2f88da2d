"""The fewest bits that keep what counts: a greedy search that begins where nothing is lost."""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from rnnrtl.errors import PrecisionError
from rnnrtl.fixedpoint import Precision
from rnnrtl.graph.tensors import Seen, Tensor
from rnnrtl.network import Network
from rnnrtl.tuning.formats import TO_TABLES, Formats, fitting, precision_of
from rnnrtl.tuning.survey import averages, survey
from rnnrtl.tuning.trials import Metric, Trial, Trials

NARROWEST, WIDEST = 2, 24
"""Bits of a format that the search looks between."""

FIRST = 12
"""Bits that are tried first for all tensors alike."""

SLACK_BITS = 2
"""Bits more than all tensors need alike: what the search begins with."""

LOST_WEIGHT = 4
"""Trials that keep a metric for one that loses it, where errors are taken to be too large."""

SPARE = ("hardware", "bits")

Report = Callable[["Found"], None]


@dataclass(frozen=True)
class Found:
    """Where a search stands.

    Members
    -------
    precision : the best so far
    trial : what it gave
    trials : how many precisions have been tried
    bits : average bits of a weight and of an activation
    """

    precision: Precision
    trial: Trial
    trials: int
    bits: tuple[float, float]


def find_precision(
    network: Network,
    x: object,
    *,
    metric: Metric | None = None,
    target: float | None = None,
    max_error: float | None = None,
    margin: float = 0.25,
    spare: str = "hardware",
    state: str | PathLike[str] | None = None,
    progress: Report | None = None,
) -> Precision:
    """Return formats with the fewest bits that keep a metric, or the outputs, on data.

    Bits left of the point come from what each tensor takes on over x in float64; bits right of it
    are taken from one tensor after another, that first which changes the outputs least for the
    hardware it spares (`rnnrtl.tuning.cost`), each choice tried in the bit-exact reference. The
    same arguments give the same precision. Weights at the end of their range may saturate by less
    than an LSB, of which a PrecisionWarning tells when a design is made.

    Parameters
    ----------
    network : what `load` gives
    x : (batch, steps, features); inputs like those the hardware will meet, some hundreds
    metric, target : figure of the outputs (an array of the shape that `Network.predict` gives) ->
        float, which is to stay at or above `target`
    max_error : largest difference of any output from the float network's
    margin : share by which values may exceed those of x before they saturate
    spare : "hardware", or "bits": those of an average weight and an average activation, where what
        counts is memory, or a comparison with other work
    state : a JSON file that keeps what was tried: a search that was interrupted goes on from there
    progress : called with a `Found` for every bit that was taken

    Raises
    ------
    PrecisionError : where what is asked for cannot be reached, or `state` is another search's
    InputError : for x that is no input of the network, and a metric that gives no number
    """
    _check_aim(metric, target, max_error, margin)
    if spare not in SPARE:
        raise PrecisionError(f"unknown spare {spare!r}, known: {', '.join(SPARE)}")
    trials = Trials(network, x, metric, None if state is None else Path(state))
    seen = survey(network, trials.x)
    search = _Search(trials, target, max_error, seen, margin, spare == "bits")
    try:
        formats = search.run(progress)
    finally:
        trials.save()
    return precision_of(formats)


def _check_aim(
    metric: Metric | None, target: float | None, max_error: float | None, margin: float
) -> None:
    if (metric is None) != (target is None):
        raise PrecisionError("metric and target go together: a figure, and what it is to be")
    if metric is None and max_error is None:
        raise PrecisionError(
            "what is to be kept? Give metric and target, or max_error, the largest output error"
        )
    if metric is not None and not callable(metric):
        raise PrecisionError(f"metric must be a function of the outputs, not {metric!r}")
    numbers: dict[str, object] = {"target": target, "max_error": max_error, "margin": margin}
    for name, value in numbers.items():
        if value is not None and not (isinstance(value, float | int) and math.isfinite(value)):
            raise PrecisionError(f"{name} must be a finite number, not {value!r}")
    if margin < 0 or (max_error is not None and max_error <= 0):
        raise PrecisionError("max_error must be positive, and margin not negative")


def _figures(trial: Trial) -> str:
    metric = "" if trial.metric is None else f"a metric of {trial.metric:.6g} and "
    return f"{metric}a largest error of {trial.largest:.4g}"


@dataclass(frozen=True, order=True)
class _Move:
    """A bit less for a tensor: right of the point, or left of it."""

    tensor: Tensor
    left: bool

    def of(self, formats: Formats) -> Formats:
        form = formats[self.tensor]
        changed = form.replace(width=form.width - 1, int_bits=form.int_bits - self.left)
        return {**formats, self.tensor: changed}


@dataclass
class _Search:
    """A search under way.

    A metric can be lucky on a few hundred sequences, so that far too coarse formats keep it. So
    one trial does not tell: no precision is taken whose outputs are off by more than the
    `ceiling`, a mean square that parts the trials that kept the metric from those that did not.
    """

    trials: Trials
    target: float | None
    max_error: float | None
    seen: Mapping[Tensor, Seen]
    margin: float
    bits: bool
    outcomes: dict[Trial, bool] = field(default_factory=dict)

    @property
    def ceiling(self) -> float:
        """Mean square of the errors from which on the metric is likely lost.

        Of all ceilings it is the one with the fewest trials on the wrong side.
        """
        tried = sorted((trial.mean_square, kept) for trial, kept in self.outcomes.items())
        best, wrong, fewest = math.inf, 0, 0
        for mean_square, kept in reversed(tried):
            wrong += 1 if kept else -LOST_WEIGHT
            if not kept and wrong <= fewest:
                best, fewest = mean_square, wrong
        return best

    def run(self, progress: Report | None) -> Formats:
        """Return the formats that the search ends with."""
        way = [self._start()]
        self._tell(progress, *way[-1])
        tried = -1
        while tried < len(self.outcomes):  # one bit too much may do after others were taken
            tried = len(self.outcomes)
            for step in self._descent(*way[-1]):
                way.append(step)
                self._tell(progress, *step)
            while len(way) > 1 and way[-1][1].mean_square >= self.ceiling:
                way.pop()
        self._tell(progress, *way[-1])
        return way[-1][0]

    def _tell(self, progress: Report | None, formats: Formats, trial: Trial) -> None:
        if progress is not None:
            precision = precision_of(formats)
            progress(Found(precision, trial, self.trials.made, self._bits(formats)))

    def _kept(self, trial: Trial | None) -> bool:
        """Return whether a trial keeps what is asked for."""
        if trial is None:
            return False
        near = self.max_error is None or trial.largest <= self.max_error
        return near and self._metric_kept(trial)

    def _metric_kept(self, trial: Trial) -> bool:
        return self.target is None or (trial.metric is not None and trial.metric >= self.target)

    def _start(self) -> tuple[Formats, Trial]:
        """Return formats of one width that keep what is asked for, with some bits to take."""
        figure = self.trials.figure(self.trials.floats)
        if self.target is not None and figure is not None and figure < self.target:
            raise PrecisionError(
                f"the float network itself reaches {figure:.6g}, and {self.target:.6g} is asked for"
            )
        width = FIRST
        if self._kept(self._noted(self._alike(width))):
            # Down to the first that fails, not up to the first that does: that may be luck.
            while width > NARROWEST and self._kept(self._noted(self._alike(width - 1))):
                width -= 1
        else:
            while not self._kept(self._tried(self._alike(width))):
                width += 1
                if width > WIDEST:
                    best = self._tried(self._alike(WIDEST))
                    reached = "" if best is None else f": {WIDEST} bits reach {_figures(best)}"
                    raise PrecisionError(f"no formats keep what is asked for{reached}")
        for more in range(SLACK_BITS, -1, -1):  # not all wider formats have tables
            formats = self._alike(width + more)
            trial = self._tried(formats)
            if trial is not None and self._kept(trial):
                break
        assert trial is not None
        return formats, trial

    def _alike(self, width: int) -> Formats:
        """Return formats of one width for all tensors, each with the integer bits it needs."""
        return {tensor: fitting(tensor, self.seen, width, self.margin) for tensor in self.seen}

    def _descent(self, formats: Formats, trial: Trial) -> Iterator[tuple[Formats, Trial]]:
        """Take bits one by one, and yield what is left each time; end where that is too coarse.

        A move that was worse than another one before is hardly better after: only the first of
        the queue is tried again, until one stays first.
        """
        closed: set[_Move] = set()
        queue = [(-math.inf, move, -1) for move in sorted(self._moves(formats))]
        heapq.heapify(queue)
        taken = 0
        while queue:
            _, move, at = heapq.heappop(queue)
            if move in closed or formats[move.tensor].width <= NARROWEST:
                continue
            following = move.of(formats)
            found = self._noted(following)
            if found is None or not self._kept(found) or found.mean_square >= self.ceiling:
                closed.add(move)
                if trial.mean_square >= self.ceiling:
                    return
            elif at == taken:
                formats, trial, taken = following, found, taken + 1
                yield formats, trial
                heapq.heappush(queue, (-math.inf, move, -1))
            else:
                more_error = found.mean_square - trial.mean_square
                spared = self._cost(formats, trial) - self._cost(following, found)
                heapq.heappush(queue, (more_error / max(spared, 1e-9), move, taken))

    def _cost(self, formats: Formats, trial: Trial) -> float:
        return sum(self._bits(formats)) if self.bits else trial.cost

    def _bits(self, formats: Formats) -> tuple[float, float]:
        return averages(self.seen, {tensor: form.width for tensor, form in formats.items()})

    def _moves(self, formats: Formats) -> Iterator[_Move]:
        for tensor in formats:
            yield _Move(tensor, left=False)
            if tensor[1] in TO_TABLES:
                yield _Move(tensor, left=True)

    def _noted(self, formats: Formats) -> Trial | None:
        """Try formats, and note for the ceiling whether they keep the metric."""
        found = self._tried(formats)
        if found is not None:
            self.outcomes[found] = self._metric_kept(found)
        return found

    def _tried(self, formats: Formats) -> Trial | None:
        return self.trials(precision_of(formats))
