"""Live torch modules: what is read, and forwards that do something else than their layers."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError  # noqa: E402
from rnnrtl.frontends import load  # noqa: E402
from rnnrtl.layers import Dense  # noqa: E402
from tests.frontend_models import FEATURES, UNITS  # noqa: E402
from tests.torch_models import (  # noqa: E402
    Custom,
    LastState,
    Tagger,
    assert_same,
    sequences,
    trained,
)

nn = torch.nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_module(cell: Any, last: bool) -> None:
    module = Tagger(cell, last=last)
    network = load(module)
    assert network.return_sequences is not last
    assert isinstance(network.layers[1], Dense)
    assert network.layers[1].activation == "relu"
    assert_same(network, module, sequences(3, 6, FEATURES))


def test_plain_rnn() -> None:
    module = nn.RNN(FEATURES, UNITS, 2, nonlinearity="relu", batch_first=True)
    words = {"rnn_l0": "relu", "rnn_l1": "relu"}
    for network in (load(module), load(module.state_dict(), activations=words)):
        assert [layer.activation for layer in network.recurrent] == ["relu", "relu"]
        assert_same(network, module, sequences(3, 6, FEATURES))


def test_nothing_may_stand_after_a_plain_rnn() -> None:
    state = {
        **{f"rnn.{key}": value for key, value in nn.RNN(3, 4).state_dict().items()},
        **{f"head.1.{key}": value for key, value in nn.Linear(4, 2).state_dict().items()},
    }
    with pytest.raises(ModelError, match="between rnn and head_1: load the module"):
        load(state, activations={"rnn": "tanh"})


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_in_a_loop(kind: Any) -> None:
    def forward(module: Any, x: Any) -> Any:
        state = None
        for t in range(x.shape[1]):
            state = module.cell(x[:, t], state)
        return module.out(state[0] if isinstance(state, tuple) else state)

    module = Custom(forward, cell=kind(FEATURES, UNITS), out=nn.Linear(UNITS, 2))
    words = {"cell": "tanh" if kind is nn.RNNCell else "linear"}
    for network in (load(module), load(module.state_dict(), activations=words)):
        assert not network.return_sequences
        assert_same(network, module, sequences(3, 6, FEATURES))


def test_module_is_left_as_it_was() -> None:
    module = Tagger(nn.LSTM)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    load(module)
    assert module.training
    assert all(child.training for child in module.modules())
    assert torch.equal(torch.get_rng_state(), random)
    for key, value in module.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[key])
    assert not load(module.eval()).return_sequences
    assert not module.training


@pytest.mark.parametrize("last", [True, False])
def test_steps_first(last: bool) -> None:
    module = Tagger(nn.GRU, first=False, last=last)
    x = sequences(6, 3, FEATURES)
    network = load(module)
    with torch.no_grad():
        y = module.double().eval()(x).numpy()
    y = y if last else y.swapaxes(0, 1)
    np.testing.assert_allclose(network.predict(x.numpy().swapaxes(0, 1)), y, atol=1e-12)


def test_forward_that_transposes() -> None:
    module = Custom(lambda m, x: m.rnn(x.transpose(0, 1))[0][-1], rnn=nn.GRU(FEATURES, UNITS))
    network = load(module)
    assert not network.return_sequences
    assert_same(network, module, sequences(3, 6, FEATURES))


def test_sequential_with_a_class_that_selects_the_last_state() -> None:
    module = nn.Sequential(nn.LSTM(3, 4, batch_first=True), LastState(), nn.Linear(4, 2))
    assert_same(load(module), module, sequences(3, 6, 3))


def test_forward_with_float32_inside() -> None:
    def forward(module: Any, x: Any) -> Any:
        return module.rnn(x, torch.zeros(1, x.shape[0], UNITS))[0][:, -1]

    module = Custom(forward, rnn=nn.GRU(FEATURES, UNITS, batch_first=True))
    assert not load(module).return_sequences


def test_squeezed_output() -> None:
    module = Custom(
        lambda m, x: m.out(m.rnn(x)[0][:, -1]).squeeze(-1),
        rnn=nn.GRU(FEATURES, UNITS, batch_first=True), out=nn.Linear(UNITS, 1),
    )  # fmt: skip
    assert load(module).outputs == 1


def test_function_in_forward_must_be_said() -> None:
    module = Tagger(nn.LSTM, after=torch.sigmoid)
    with pytest.raises(ModelError, match=r'forward of Tagger.*differ.*\{"head_2": "sigmoid"\}'):
        load(module)
    assert_same(load(module, activations={"head.2": "sigmoid"}), module, sequences(2, 5, FEATURES))
    with pytest.raises(ModelError, match="forward of Tagger"):
        load(module, activations={"head.2": "tanh"})


def test_stacked_with_function_between() -> None:
    module = Custom(
        lambda m, x: m.fc2(torch.relu(m.fc1(x))), fc1=nn.Linear(3, 8), fc2=nn.Linear(8, 2)
    )
    with pytest.raises(ModelError, match="forward of Custom"):
        load(module)
    assert_same(load(module, activations={"fc1": "relu"}), module, sequences(2, 5, 3))


def gru_and(forward: Any, **layers: Any) -> Custom:
    return Custom(forward, rnn=nn.GRU(FEATURES, UNITS, batch_first=True), **layers)


BAD_MODULES: dict[str, tuple[Any, type[RnnrtlError], str]] = {
    "mean over time of so many steps": (
        gru_and(lambda m, x: m.rnn(x)[0].mean(1)), ModelError, "say how many steps",
    ),
    "median over time": (
        gru_and(lambda m, x: m.rnn(x)[0].median(1).values), ModelError, "forward of Custom.*differ",
    ),
    "first step": (gru_and(lambda m, x: m.rnn(x)[0][:, 0]), ModelError, "forward.*differ"),
    "residual": (
        gru_and(lambda m, x: m.rnn(x)[0] + 1), ModelError, "forward of Custom.*differ",
    ),
    "other shape": (
        gru_and(lambda m, x: m.rnn(x)[0][:, :3]), ModelError, "outputs of another shape",
    ),
    "random state": (
        gru_and(lambda m, x: m.rnn(x, torch.randn(1, len(x), UNITS).to(x))[0]),
        ModelError, "forward of Custom.*differ",
    ),
    "fails": (gru_and(lambda m, x: m.nothing(x)), ModelError, "Custom fails on an input.*nothing"),
    "no tensor": (gru_and(lambda m, x: None), ModelError, "Custom fails on an input"),
    "no output": (gru_and(lambda m, x: ()), ModelError, "Custom fails on an input"),
    "not a number": (gru_and(lambda m, x: m.rnn(x)[0] * torch.nan), ModelError, "forward"),
    "Sequential of LSTM": (
        nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 1)), ModelError, "Sequential fails on an input",
    ),
    "registered in another order": (
        Custom(lambda m, x: m.fc(m.rnn(x)[0]), fc=nn.Linear(4, 1), rnn=nn.GRU(3, 4)),
        ModelError, "order of registration",
    ),
    "convolution": (nn.Sequential(nn.Conv2d(3, 4, 1)), UnsupportedError, r"'0' \(Conv2d\)"),
    "gelu": (nn.Sequential(nn.Linear(3, 4), nn.GELU()), UnsupportedError, r"'1' \(GELU\)"),
    "softmax of steps": (
        nn.Sequential(nn.Linear(3, 4), nn.Softmax(1)), ModelError, "something else than its layers",
    ),
    "LSTM cell": (nn.LSTMCell(3, 4), ModelError, "LSTMCell fails on an input of shape"),
    "layer norm": (
        gru_and(lambda m, x: m.norm(m.rnn(x)[0]), norm=nn.LayerNorm(4)), UnsupportedError,
        r"'norm' \(LayerNorm\) is not supported: it divides by what it measures of each vector",
    ),
    "norm of batches": (
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        UnsupportedError, "track_running_stats=False",
    ),
    "norm without weights": (
        nn.Sequential(nn.Linear(3, 4), nn.LazyBatchNorm1d()), UnsupportedError, "LazyBatchNorm1d",
    ),
    "norm of steps": (
        gru_and(lambda m, x: m.norm(m.rnn(x)[0]), norm=nn.BatchNorm1d(4)), ModelError,
        "fails on an input",
    ),
    "norm of as many steps": (
        Custom(
            lambda m, x: m.rnn(m.norm(x))[0], norm=trained(nn.BatchNorm1d(5)), rnn=nn.GRU(5, 5)
        ),
        ModelError, "forward of Custom.*differ",
    ),
    "own parameter": (
        gru_and(lambda m, x: m.rnn(x, m.h0)[0], h0=nn.Parameter(torch.zeros(1, 1, 4))),
        UnsupportedError, "'h0' is a parameter",
    ),
    "nothing in it": (nn.Sequential(nn.Dropout()), ModelError, "at least one layer"),
    "lazy": (nn.LazyLinear(3), ModelError, "weight"),
    "NaN": (
        nn.Linear(3, 1).requires_grad_(False).apply(lambda m: m.weight.fill_(torch.nan)),
        ModelError, "dense.kernel is nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_MODULES)
def test_bad_module(case: str) -> None:
    module, error, message = BAD_MODULES[case]
    with pytest.raises(error, match=message) as caught:
        load(module)
    assert "\n" not in str(caught.value)


def test_unknown_layer_in_activations() -> None:
    with pytest.raises(ModelError, match="'tail', but the layers are rnn, head_0, head_2"):
        load(Tagger(nn.LSTM), activations={"tail": "relu"})


@pytest.mark.parametrize(
    "layer",
    [
        nn.Hardsigmoid(), nn.Hardtanh(), nn.Softsign(), nn.ELU(), nn.Softplus(), nn.Softmax(-1),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_activations_are_those_of_torch(layer: Any) -> None:
    module = nn.Sequential(nn.Linear(FEATURES, 4), layer)
    assert_same(load(module), module, sequences(2, 5, FEATURES))


@pytest.mark.parametrize(
    ("layer", "message"),
    [(nn.ELU(0.5), "alpha=0.5 is not supported, only 1"),
     (nn.Hardtanh(-2, 2), "min_val=-2 is not supported, only -1"),
     (nn.Softplus(beta=2), "beta=2"), (nn.Softplus(threshold=1), "threshold=1"),
     (nn.ReLU6(), r"'1' \(ReLU6\) is not supported")],
)  # fmt: skip
def test_activations_with_other_parameters_are_refused(layer: Any, message: str) -> None:
    """Of small numbers the trial would see no difference."""
    with pytest.raises(UnsupportedError, match=message):
        load(nn.Sequential(nn.Linear(FEATURES, 4), layer))
