"""The benchmark: networks of the published sizes, results that go on where they stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import publish as publishing
from benchmarks.aims import aims
from benchmarks.networks import CELLS, FORMATS, ROUTED, SHAPES, inputs, network, precision
from benchmarks.rows import NARROW, ROUTED_ON, Row, rows
from benchmarks.runner import RESULTS, Results, measure, stages
from rnnrtl.fixedpoint import Precision
from rnnrtl.layers import Dense

#: Of arXiv 2207.00559. Keras counts two biases for each gate of a GRU, of which the hardware
#: holds one for z and one for r.
PARAMETERS = {("top", "gru"): 3089 - 2 * 20, ("top", "lstm"): 3569}
TINY = Row("top", "gru", "fixed<10,4>", "static", "dsp")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", SHAPES)
def test_networks_have_their_shape(name: str, cell: str) -> None:
    net, shape = network(name, cell), SHAPES[name]
    assert (net.steps, net.features, net.layers[0].units) == (
        shape.steps, shape.features, shape.units,
    )  # fmt: skip
    heads = [(d.units, d.activation) for d in net.layers if isinstance(d, Dense)]
    assert tuple(heads) == shape.dense
    if (name, cell) in PARAMETERS:
        assert net.parameters == PARAMETERS[name, cell]
    y = net.predict(inputs(name, 4))
    assert np.isfinite(y).all()
    assert np.ptp(y) > 0


@pytest.mark.parametrize("name", SHAPES)
def test_formats_fit_the_weights(name: str) -> None:
    for cell in CELLS:
        given = Precision.parse(precision(name, cell, "w8a12") or "")
        for layer in network(name, cell).parts:
            form = given.format(layer.name, "kernel")
            kernels = (
                [layer.kernel]
                if isinstance(layer, Dense)
                else [gate.kernel for gate in layer.gates.values()]  # type: ignore[union-attr]
            )
            largest = max(np.abs(kernel).max() for kernel in kernels)
            assert form.width == 8
            assert largest <= 2.0 ** (form.width - 1) * form.lsb
            assert given.format(layer.name, "output").width == 12


def test_rows_are_all_different_and_the_aims_name_them() -> None:
    keys = [row.key for row in rows()]
    assert len(set(keys)) == len(keys)
    assert {row.form for row in rows()} == {*FORMATS, *ROUTED.values(), NARROW, "trained"}
    names: set[str] = set()

    class Asked(dict[str, dict[str, dict[str, Any]]]):
        def get(self, key: str, default: object = None) -> dict[str, dict[str, Any]]:
            names.add(key)
            figures = [
                "cycles_per_step", "latency_cycles", "initiation_interval", "beat_interval",
                "lut", "dsp", "ff", "bram", "multipliers",
            ]  # fmt: skip
            found: dict[str, dict[str, Any]] = {
                stage: dict.fromkeys(figures, 1)
                for stage in ("schedule", "synth xcup", "synth xcup-packed")
            }
            return {**found, f"route {ROUTED_ON}": {"latency_ns": 1, "met": True}}

    for aim in aims():
        assert aim.found(Asked()) is not None
    assert names <= set(keys)


def test_a_clock_that_was_accepted_and_missed_is_an_aim_missed() -> None:
    """A refusal beforehand is none, and what was not routed is not known."""
    (aim,) = (a for a in aims() if a.what.startswith("eight units, LSTM, shift_add"))
    row = "units8/lstm/fixed<12,4>/static/shift_add/ecp5@{}"
    refused = {"schedule": {"failed": "clock_mhz=100 is too fast for ECP5-6: ..."}}
    met, missed = ({f"route {ROUTED_ON}": {"met": met}} for met in (True, False))
    found: dict[str, dict[str, Any]] = {row.format(50): met, row.format(100): refused}
    assert aim.found(found) is None
    assert aim.found({**found, row.format(80): missed}) == 1
    assert aim.found({**found, row.format(80): met}) == 0
    assert aim.found({**found, row.format(80): {"schedule": {"failed": "crashed"}}}) is None


def test_no_clock_that_was_accepted_was_missed() -> None:
    """Each was routed, or refused before that."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    routed = [aim for aim in aims() if "missed" in aim.figure]
    found = {aim.what: aim.found(kept) for aim in routed}
    assert len(found) == 8
    assert set(found.values()) == {0}


def test_stages_come_after_what_they_need() -> None:
    assert list(stages(TINY, [])) == ["schedule"]
    assert list(stages(TINY, ["simulate", "synth xcup"])) == [
        "schedule", "verilog", "simulate", "synth xcup",
    ]  # fmt: skip


def test_a_row_is_measured_once_and_kept(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    assert results.missing(TINY, "schedule", stale=None)
    results.put(TINY, "schedule", measure(TINY, "schedule", seconds=120, gigabytes=4))
    again = Results(tmp_path / "results.json")
    found = again.get(TINY, "schedule")
    assert found is not None
    assert found["initiation_interval"] == 20 * found["cycles_per_step"]
    assert 0.9 < found["auc_ratio"] < 1.1
    assert not again.missing(TINY, "schedule", stale=None)
    assert not again.missing(TINY, "schedule", stale=found["source"])
    assert again.missing(TINY, "schedule", stale="another")
    publishing.publish(again)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (
        f"| GRU | fixed<10,4> | static | dsp | 1 | xcup, 200 | {found['cycles_per_step']} |" in text
    )
    assert "uw-acme/HLS4ML_VS_MANUAL" in text


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"seconds": 0.2, "gigabytes": 4}, "not done in 0.2 s"),
     ({"seconds": 60, "gigabytes": 0.01}, "took more than 0.01 GB")],
)  # fmt: skip
def test_a_row_that_is_too_large_is_a_finding(limits: dict[str, float], words: str) -> None:
    assert measure(TINY, "schedule", **limits)["failed"] == words


def test_an_error_of_rnnrtl_is_a_finding() -> None:
    row = Row("top", "gru", "fixed<10,4>", "static", "dsp", clock_mhz=5000.0)
    assert "is too fast" in measure(row, "schedule", seconds=60, gigabytes=4)["failed"]


def test_what_is_committed_is_whole() -> None:
    held = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert set(held) <= {row.key for row in rows()}
    for found in held.values():
        assert found.get("simulate", {}).get("bit_exact", True)
    for figure in json.loads(publishing.PUBLISHED.read_text(encoding="utf-8")):
        assert figure["source"]
