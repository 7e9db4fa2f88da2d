"""The demo's figures, and its machinery on a few jets."""

from pathlib import Path
from queue import Queue

import pytest

from rnnrtl.demo.jets import NETWORKS, tagger
from rnnrtl.demo.jobs import PRECISION, Job, accuracy, run
from rnnrtl.generation import generate


@pytest.mark.parametrize("network", NETWORKS)
def test_sixteen_bits_keep_the_physics(network: str) -> None:
    found = accuracy(network, "fixed<16,6>")
    assert found.ratio >= 0.999
    assert found.largest_error <= 0.03


@pytest.mark.parametrize("network", NETWORKS)
def test_twelve_bits_keep_the_physics(network: str) -> None:
    assert accuracy(network, "fixed<12,4>").ratio >= 0.999


@pytest.mark.parametrize(("network", "auc"), [("top_gru20", 0.9078), ("top_lstm20", 0.9125)])
def test_the_trained_networks_are_as_good_as_they_were(network: str, auc: float) -> None:
    assert accuracy(network, PRECISION).float_auc == pytest.approx(auc, abs=5e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_takes_at_most_eight_cycles(network: str) -> None:
    schedule = generate(tagger(network), PRECISION).schedule
    assert schedule.cycles_per_step <= 8
    assert schedule.initiation_interval == 20 * schedule.cycles_per_step


def test_the_jobs_of_a_network(tmp_path: Path) -> None:
    reports: Queue[tuple[Job, int, int]] = Queue()
    written = run(Job("top_lstm20", "write"), tmp_path, reports)
    assert written["lines"] > 1000
    schedule = generate(tagger("top_lstm20"), PRECISION).schedule
    for kind in ("icarus", "verilator", "amaranth"):
        found = run(Job("top_lstm20", kind, 2), tmp_path, reports)
        assert found["sequences"] == 2
        assert found["latency_cycles"] == schedule.latency_cycles
        assert found["initiation_interval"] == schedule.initiation_interval
    kinds = {job.kind for job, _, _ in reports.queue}
    assert kinds == {"icarus", "verilator", "amaranth"}
