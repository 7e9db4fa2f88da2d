"""PyTorch's BatchNorm1d folded, and activations behind states: modules, state dicts, ONNX files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rnnrtl.errors import ModelError, RnnrtlError  # noqa: E402
from rnnrtl.frontends import load  # noqa: E402
from tests.frontend_models import FEATURES, UNITS, X  # noqa: E402
from tests.torch_models import Custom, LastState, assert_same, sequences, trained  # noqa: E402

nn = torch.nn


def rnn(cell: Any = nn.GRU) -> Any:
    torch.manual_seed(1)
    return cell(FEATURES, UNITS, batch_first=True)


def norm(features: int, **options: Any) -> Any:
    return trained(nn.BatchNorm1d(features, **options))


def turned(norm: Any, x: Any) -> Any:
    """Normalise sequences as users do: BatchNorm1d takes (batch, features, steps)."""
    return norm(x.transpose(1, 2)).transpose(1, 2)


# Module, and what forward calls as functions.
MODULES: dict[str, tuple[Any, dict[str, str]]] = {
    "vectors": (nn.Sequential(nn.Linear(FEATURES, UNITS), norm(UNITS), nn.ReLU(),
                              nn.Linear(UNITS, 2), norm(2, eps=0.1)), {}),
    "no weights": (nn.Sequential(norm(FEATURES, affine=False), nn.Linear(FEATURES, 2)), {}),
    "input": (Custom(lambda m, x: m.rnn(turned(m.norm, x))[0], norm=norm(FEATURES), rnn=rnn()), {}),
    "last state": (
        nn.Sequential(rnn(nn.LSTM), LastState(), norm(UNITS), nn.Linear(UNITS, 2)), {},
    ),
    "at the end": (nn.Sequential(rnn(), LastState(), norm(UNITS)), {}),
    "activation of a state": (
        nn.Sequential(rnn(), LastState(), nn.ReLU(), nn.Dropout(), nn.Linear(UNITS, 2)), {},
    ),
    "two activations": (nn.Sequential(nn.Linear(FEATURES, 4), nn.ReLU(), nn.Tanh()), {}),
    "functions": (
        Custom(lambda m, x: m.out(torch.relu(m.norm(torch.tanh(m.rnn(x)[0][:, -1])))),
               rnn=rnn(), norm=norm(UNITS), out=nn.Linear(UNITS, 2)),
        {"rnn": "tanh", "norm": "relu"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MODULES)
def test_module(case: str) -> None:
    module, functions = MODULES[case]
    if functions:
        with pytest.raises(ModelError, match="forward of Custom"):
            load(module)
    x = sequences(3, 6, FEATURES)
    if not any(isinstance(each, nn.GRU | nn.LSTM) for each in module.modules()):
        with torch.no_grad():
            want = module.double().eval()(x.reshape(-1, FEATURES)).reshape(3, 6, -1)
        found = load(module.float()).predict(x.numpy())
        np.testing.assert_allclose(found, want.numpy(), rtol=0, atol=2e-6)
    else:
        assert_same(load(module, activations=functions), module.float(), x, 2e-6)


def test_state_dict() -> None:
    module, functions = MODULES["functions"]
    state = module.state_dict()
    with pytest.raises(ModelError, match="between norm and out"):
        load(state)
    assert_same(load(state, activations=functions), module, sequences(3, 6, FEATURES), 2e-6)


def test_another_epsilon_in_a_state_dict() -> None:
    module = nn.Sequential(norm(FEATURES, eps=0.1), nn.Linear(FEATURES, 2))
    state = {**module.state_dict(), "0.eps": 0.1}
    with torch.no_grad():
        want = module.double().eval()(torch.from_numpy(X[0]))
    np.testing.assert_allclose(load(state).predict(X[:1])[0], want.numpy(), rtol=0, atol=2e-6)
    assert np.abs(load(module.state_dict()).predict(X[:1])[0] - want.numpy()).max() > 1e-3


onnx: Any = pytest.importorskip("onnx")


def exported(tmp_path: Path, module: Any) -> Path:
    buffer = io.BytesIO()
    x = sequences(3, 6, FEATURES).float()
    # PyTorch itself warns that this exporter is its older one.
    torch.onnx.export(module.float().eval(), (x,), buffer, dynamo=False)
    (tmp_path / "model.onnx").write_bytes(buffer.getvalue())
    return tmp_path / "model.onnx"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ["input", "last state", "at the end", "activation of a state",
                                  "functions"])  # fmt: skip
def test_onnx(tmp_path: Path, case: str) -> None:
    module, _ = MODULES[case]
    found = load(exported(tmp_path, module))
    assert_same(found, module, sequences(3, 6, FEATURES), 2e-6)


MEAN = torch.tensor([1.0, 2.0, 3.0])
# What comes before the cell, and what comes behind it.
ARITHMETIC: dict[str, tuple[Any, Any]] = {
    "normalised": (lambda x: (x - MEAN.to(x)) / 3, lambda y: y),
    "from a constant": (lambda x: 1 - x, lambda y: 2 - y * 3),
    "by feature": (lambda x: x * MEAN.to(x) + 1, lambda y: y / 4 - 1),
    "in another layout": (
        lambda x: (x.transpose(1, 2) * MEAN.to(x)[:, None]).transpose(1, 2), lambda y: y,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ARITHMETIC)
def test_arithmetic_in_onnx(tmp_path: Path, case: str) -> None:
    first, then = ARITHMETIC[case]
    module = Custom(lambda m, x: then(m.rnn(first(x))[0][:, -1]), rnn=rnn())
    found = load(exported(tmp_path, module))
    assert_same(found, module, sequences(3, 6, FEATURES), 2e-6)


STEPS = torch.arange(6.0)[:, None]
REFUSED: dict[str, tuple[Any, str]] = {
    "by step": (lambda m, x: m.rnn(x * STEPS.to(x))[0], r"shape \(6, 1\): only one number"),
    "division": (lambda m, x: m.rnn(1 / x)[0], "not supported"),
    "residual": (lambda m, x: m.rnn(x)[0] + x.sum(), "is not supported in this place"),
    "branch": (lambda m, x: m.rnn(torch.cat([x[:, :3], x[:, 3:] * 2], 1))[0], "an earlier layer"),
    "zero": (lambda m, x: m.rnn(x / torch.zeros(1).to(x))[0], "divides by zero"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_onnx(tmp_path: Path, case: str) -> None:
    forward, message = REFUSED[case]
    with pytest.raises(RnnrtlError, match=message) as caught:
        load(exported(tmp_path, Custom(forward, rnn=rnn())))
    assert "\n" not in str(caught.value)
