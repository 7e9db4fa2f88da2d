"""What the demo does with one network in one process; each job returns what it measured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from time import perf_counter
from typing import Any

import numpy as np

from rnnrtl.demo.jets import area_under_curve, tagger, test_jets
from rnnrtl.design import Design
from rnnrtl.errors import VerificationError
from rnnrtl.generation import generate
from rnnrtl.simulate import Hardware, run_verilog
from rnnrtl.simulation import SimulatorName
from rnnrtl.synthesis import estimate

PRECISION = "fixed<16,6>"
"""Format of the networks that become hardware."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """A piece of work on one network.

    Members
    -------
    network : its name
    kind : "write", "icarus", "verilator", "amaranth" or "estimate"
    sequences : jets to simulate
    target : FPGA family to estimate for
    """

    network: str
    kind: str
    sequences: int = 0
    target: str = ""

    @property
    def title(self) -> str:
        """What the progress bar says."""
        match self.kind:
            case "write":
                return f"{self.network}: Verilog"
            case "estimate":
                return f"{self.network}: Yosys, {self.target}"
        return f"{self.network}: {self.sequences} jets in {self.kind}"


@dataclass(frozen=True)
class Accuracy:
    """How well a precision keeps a network's physics, on all test jets."""

    network: str
    precision: str
    float_auc: float
    fixed_auc: float
    largest_error: float

    @property
    def ratio(self) -> float:
        """Fixed-point AUC by float AUC."""
        return self.fixed_auc / self.float_auc


def accuracy(network: str, precision: str) -> Accuracy:
    """Compare the bit-exact reference with float64 on all test jets."""
    x, y = test_jets()
    trained = tagger(network)
    exact, fixed = trained.predict(x), generate(trained, precision).predict(x)
    return Accuracy(
        network,
        precision,
        area_under_curve(y, exact),
        area_under_curve(y, fixed),
        float(np.abs(fixed - exact).max()),
    )


def run(job: Job, folder: Path, reports: "Queue[tuple[Job, int, int]]") -> dict[str, Any]:
    """Do a job; `reports` is told (job, done, all) as it goes on. Raises VerificationError."""
    design = generate(tagger(job.network), PRECISION)
    x, _ = test_jets()
    start = perf_counter()
    if job.kind == "write":
        design.write(folder / job.network, x)
        return {"lines": design.verilog.count("\n"), "seconds": perf_counter() - start}
    if job.kind == "amaranth":
        return _simulated(design, job, lambda done, of: reports.put((job, done, of)))
    verilog = (folder / job.network / f"{job.network}.v").read_text(encoding="utf-8")
    if job.kind == "estimate":
        found = estimate(verilog, job.network, job.target)
        return {**found.as_dict(), "seconds": found.seconds, "cached": found.cached}
    hardware = Hardware(verilog, job.network, design.input_stream, design.output_stream, False)
    codes = design.input_codes(x[: job.sequences])
    expected = design.predict_codes(codes)
    measured = run_verilog(
        hardware,
        codes,
        expected,
        simulator="icarus" if job.kind == "icarus" else "verilator",
        latency_cycles=design.schedule.latency_cycles,
        initiation_interval=design.schedule.initiation_interval,
        progress=lambda done, of: reports.put((job, done, of)),
    )
    return _checked(
        design,
        job,
        bool(np.array_equal(measured.codes, expected)),
        (measured.latency_cycles, measured.initiation_interval),
        perf_counter() - start,
    )


def _simulated(design: Design, job: Job, progress: Progress) -> dict[str, Any]:
    x, _ = test_jets()
    simulator: SimulatorName = "amaranth"
    start = perf_counter()
    # Stalls are tried in the two faster simulators; here every cycle takes milliseconds.
    found = design.simulate(x[: job.sequences], simulator, stalls=False, progress=progress)
    figures = (found.latency_cycles, found.initiation_interval)
    return _checked(design, job, found.bit_exact, figures, perf_counter() - start)


def _checked(
    design: Design, job: Job, bit_exact: bool, figures: tuple[int, int], seconds: float
) -> dict[str, Any]:
    schedule = design.schedule
    if not bit_exact:
        raise VerificationError(f"{job.title}: the hardware differs from its reference")
    if figures != (schedule.latency_cycles, schedule.initiation_interval):
        raise VerificationError(
            f"{job.title}: latency and initiation interval are {figures}, the schedule says "
            f"({schedule.latency_cycles}, {schedule.initiation_interval})"
        )
    return {
        "sequences": job.sequences,
        "latency_cycles": figures[0],
        "initiation_interval": figures[1],
        "seconds": seconds,
    }
