"""Scans: the same figures wherever they are computed, as a table and as plots."""

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnrtl
from rnnrtl.errors import InputError, OutputError, PrecisionError, ToolError
from rnnrtl.generation import generate
from rnnrtl.layers import GRU, LSTM, Dense, SimpleRNN
from tests.networks import CELLS, dense, inputs, network, recurrent

NET = network(recurrent("gru_after", 2, 3, scale=0.5), dense(3, 1, "sigmoid"), name="tiny")
X = inputs(NET, 40, 4)
LABELS = (NET.predict(X)[:, 0] > np.median(NET.predict(X))).astype(int)
METRIC = rnnrtl.AreaUnderCurve(LABELS)
FORMATS: list[Any] = ["fixed<6,3>", {"*": "fixed<8,3>", "kernel": "fixed<12,3>"}, "ap_fixed<12,4>"]
SCAN = rnnrtl.scan(NET, FORMATS, X, metric=METRIC)


def test_a_scan_gives_what_designs_give() -> None:
    assert SCAN.float_metric == METRIC(NET.predict(X))
    for given, row in zip(FORMATS, SCAN.rows, strict=True):
        outputs = generate(NET, given).predict(X)
        error = outputs - NET.predict(X)
        assert row.precision == rnnrtl.Precision.parse(given)
        assert row.largest_error == np.abs(error).max()
        assert row.rms_error == pytest.approx(np.sqrt(np.mean(error**2)))
        assert row.metric == METRIC(outputs)
        bits = (row.weight_bits, row.activation_bits)
        assert bits == rnnrtl.average_bits(NET, row.precision)
    assert rnnrtl.scan(NET, FORMATS, X).rows[0].metric is None


def test_a_scan_in_other_processes_gives_the_same() -> None:
    seen: list[tuple[int, int]] = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = rnnrtl.scan(
            NET, FORMATS, X, metric=METRIC, executor=pool, progress=lambda *n: seen.append(n)
        )
    assert found == SCAN
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert pickle.loads(pickle.dumps(SCAN)) == SCAN


class Later(Executor):
    """An executor whose jobs wait to be asked for; the nth fails."""

    def __init__(self, fails: int) -> None:
        self.fails, self.jobs = fails, list[Future[Any]]()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        job: Future[Any] = Future()
        self.jobs.append(job)
        if len(self.jobs) == self.fails:
            job.set_exception(PrecisionError("no table"))
        elif len(self.jobs) < self.fails:
            job.set_result(fn(*args, **kwargs))
        return job


def test_what_has_not_begun_is_called_off_where_a_job_fails() -> None:
    later = Later(2)
    with pytest.raises(PrecisionError, match="no table"):
        rnnrtl.scan(NET, FORMATS, X, executor=later)
    assert later.jobs[2].cancelled()


@pytest.mark.parametrize("cell", CELLS)
def test_networks_pickle(cell: str) -> None:
    net = network(recurrent(cell, sequences=True), dense(3, 2, "relu"), steps=5, name="some")
    again = pickle.loads(pickle.dumps(net))
    assert (again.name, again.steps) == ("some", 5)
    layer = again.layers[0]
    assert isinstance(layer, SimpleRNN | LSTM | GRU)
    assert type(layer) is type(net.layers[0])
    with pytest.raises(ValueError, match="read-only"):
        next(iter(layer.gates.values())).kernel[0, 0] = 1
    with pytest.raises(TypeError):
        layer.gates["x"] = None  # type: ignore[index]
    assert isinstance(again.layers[1], Dense)
    np.testing.assert_array_equal(again.predict(inputs(net)), net.predict(inputs(net)))


def test_the_table() -> None:
    lines = SCAN.table().splitlines()
    assert len(lines) == 2 + 3 + 1
    assert lines[0].startswith("| precision | bits a weight | bits an activation | largest error |")
    assert lines[2].startswith("| fixed<6,3> | 6.00 | 6.00 |")
    assert lines[3].startswith("| 1 rule | ")
    assert lines[-1] == "| float64 | 64 | 64 | 0 | 0 | 1.00000 |"
    assert "metric" not in rnnrtl.scan(NET, FORMATS[:1], X).table()


def test_plots(tmp_path: Path) -> None:
    for scan in (SCAN, rnnrtl.scan(NET, FORMATS, X), rnnrtl.scan(NET, FORMATS[:1], X)):
        scan.plot(tmp_path / "a.png")
        scan.plot(str(tmp_path / "a.svg"))
        first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert set(first) == {"a.png", "a.svg"}
        assert first["a.png"].startswith(b"\x89PNG")
        assert b"<svg" in first["a.svg"]
        scan.plot(tmp_path / "a.png")
        scan.plot(tmp_path / "a.svg")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    with pytest.raises(OutputError, match=r"\.png or \.svg"):
        SCAN.plot(tmp_path / "a.pdf")
    with pytest.raises(OutputError, match="cannot write"):
        SCAN.plot(tmp_path / "missing" / "a.png")


def test_plots_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"] + ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ToolError, match=r"pip install 'rnnrtl\[plot\]'"):
        SCAN.plot(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("formats", "x", "error", "words"),
    [
        ([], X, InputError, "formats is empty"),
        ("fixed<8,3>", X, PrecisionError, "a list of precisions, not one"),
        (["fixed<8,3>", "float"], X, PrecisionError, "'float' is not a format"),
        (["auto"], X, PrecisionError, "'auto' needs data"),
        ([{"*": "fixed<8,3>", "head.hidden": "fixed<8,3>"}], X, PrecisionError, "names nothing"),
        ([{"*": "fixed<8,3>", "gate": "fixed<8,0>"}], X, PrecisionError, "no sigmoid table"),
        (FORMATS, X[:0], InputError, "no sequence"),
        (FORMATS, X[0], InputError, "x has shape"),
    ],
    ids=str,
)
def test_scans_that_are_refused(formats: Any, x: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        rnnrtl.scan(NET, formats, x)
