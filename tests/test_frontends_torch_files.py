"""Files that torch.save wrote: whole, damaged and hostile; and what works without torch."""

import ast
import pickle
import subprocess
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError  # noqa: E402
from rnnrtl.frontends import load, save  # noqa: E402
from rnnrtl.layers import GRU, LSTM  # noqa: E402
from tests.frontend_models import FEATURES, UNITS  # noqa: E402
from tests.torch_models import Tagger, assert_same, sequences  # noqa: E402

nn = torch.nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".PT"])
@pytest.mark.parametrize("zipped", [True, False])
def test_file(tmp_path: Path, suffix: str, zipped: bool) -> None:
    path = tmp_path / f"Top-Tagger{suffix}"
    module = nn.GRU(FEATURES, UNITS, batch_first=True)
    torch.save(module.state_dict(), path, _use_new_zipfile_serialization=zipped)
    for source in (path, str(path)):
        network = load(source)
        assert network.name == "top_tagger"
        assert_same(network, module, sequences(2, 5, FEATURES))


def test_file_of_a_whole_module(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    for module in (
        nn.LSTM(FEATURES, UNITS, 2, batch_first=True),
        nn.Sequential(nn.Linear(FEATURES, 4), nn.Tanh(), nn.Dropout(), nn.Linear(4, 2)),
    ):
        torch.save(module, path)
        assert_same(load(path), module, sequences(2, 5, FEATURES))
    torch.save(Tagger(nn.LSTM), path)
    with pytest.raises(ModelError, match=r"Tagger.*module.state_dict\(\)"):
        load(path)


class Hostile:
    """Unpickles by calling a function that creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "inside"])
def test_hostile_pickle_runs_nothing(tmp_path: Path, form: str) -> None:
    path, touched = tmp_path / "model.pt", tmp_path / "touched"
    hostile = Hostile(touched)
    if form == "pickle":
        path.write_bytes(pickle.dumps(hostile))
    else:
        content = {"weight": torch.zeros(2, 2), "x": hostile} if form == "inside" else hostile
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    with pytest.raises(ModelError, match=r"model\.pt (runs|cannot)") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert not touched.exists()
    if form != "pickle":  # the file does what the test says it would
        torch.load(path, weights_only=False)
        assert touched.exists()


def test_torch_load_is_never_used_without_weights_only() -> None:
    package = Path(load.__code__.co_filename).parent.parent
    calls = 0
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert all(alias.name != "pickle" for alias in node.names), file
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                assert options.get("weights_only") == "True", file
                calls += 1
    assert calls == 1


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_file(tmp_path: Path, keep: float, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    state = nn.LSTM(FEATURES, UNITS).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ModelError, match=r"model\.pt") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_file(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save(nn.GRU(3, 4).state_dict(), path, _use_new_zipfile_serialization=zipped)
    good = path.read_bytes()
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(200):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged))
        try:
            load(path)  # torch checks no sums: a changed weight is read as it is
        except RnnrtlError as error:
            errors.append(str(error))
    assert errors
    assert all("model.pt" in error and "\n" not in error for error in errors)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds a Tensor"),
        ([torch.zeros(3)], "holds a list"),
        ({}, "at least one layer"),
        ({"epoch": 3}, "unknown key 'epoch'"),
        (OrderedDict(weight=torch.tensor([[np.nan]])), "dense.kernel is nan"),
    ],
)
def test_file_of_something_else(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=rf"model\.pt.*{message}"):
        load(tmp_path / "model.pt")


def test_torchscript(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript
        torch.jit.save(torch.jit.script(nn.Linear(3, 2)), tmp_path / "model.pt")
    with pytest.raises(UnsupportedError, match="TorchScript"):
        load(tmp_path / "model.pt")


def test_without_torch(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "model.pt")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from rnnrtl.frontends import load\n"
        "from rnnrtl.errors import UnsupportedError\n"
        "print(load({'kernel': [[1.0]]}).outputs)\n"
        f"try: load({str(tmp_path / 'model.pt')!r})\n"
        "except UnsupportedError as error: print(error)\n"
    )
    root = Path(__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.startswith("1\n")
    assert 'pip install "rnnrtl[torch]"' in result.stdout


def test_npz_is_read_without_importing_torch(tmp_path: Path) -> None:
    save(load(nn.GRU(3, 4)), tmp_path / "model.npz")
    script = (
        "import sys\nfrom rnnrtl.frontends import load\n"
        f"load({str(tmp_path / 'model.npz')!r})\nprint('torch' in sys.modules)\n"
    )
    root = Path(__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout == "False\n"


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_round_trip_through_npz(tmp_path: Path, cell: Any, depth: int) -> None:
    network = load(cell(FEATURES, UNITS, depth, batch_first=True), steps=5)
    save(network, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert (again.steps, again.name) == (5, cell.__name__.lower())
    for layer, before in zip(again.layers, network.layers, strict=True):
        assert isinstance(layer, LSTM | GRU)
        assert isinstance(before, LSTM | GRU)
        assert layer.return_sequences == before.return_sequences
        for gate, weights in layer.gates.items():
            for part, values in vars(weights).items():
                np.testing.assert_array_equal(values, getattr(before.gates[gate], part))
