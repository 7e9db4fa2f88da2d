"""PyTorch state dicts, against torch itself."""

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError  # noqa: E402
from rnnrtl.frontends import load  # noqa: E402
from rnnrtl.layers import LSTM  # noqa: E402
from tests import float_reference as reference  # noqa: E402
from tests.frontend_models import FEATURES, UNITS  # noqa: E402
from tests.torch_models import Custom, Tagger, assert_same, sequences  # noqa: E402

nn = torch.nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


# The independent reference against torch: what it says in tests of the hardware can be trusted.


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_reference_agrees_with_torch(cell: str) -> None:
    layer = getattr(nn, cell.upper())(FEATURES, UNITS, batch_first=True).double()
    order = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}[cell]
    weights = [
        dict(zip(order, np.split(tensor.detach().numpy(), len(order)), strict=True))
        for tensor in (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    ]
    x = sequences(6, 9, FEATURES)
    y = layer(x)[0].detach().numpy()
    if cell == "lstm":
        ours = reference.lstm(x.numpy(), *weights)
    elif cell == "rnn":
        ours = reference.simple_rnn(x.numpy(), *weights)
    else:
        ours = reference.gru(x.numpy(), *weights, reset_after=True)
    np.testing.assert_allclose(ours, y, rtol=0, atol=1e-14)


# State dicts


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_bare_recurrent(cell: Any, depth: int, bias: bool) -> None:
    module = cell(FEATURES, UNITS, depth, bias=bias, batch_first=True)
    for source in (module, module.state_dict()):
        network = load(source)
        assert network.return_sequences
        assert len(network.layers) == depth
        assert all(type(layer).__name__ == cell.__name__ for layer in network.layers)
        assert_same(network, module, sequences(2, 6, FEATURES))


@pytest.mark.parametrize("depth", [1, 2])
def test_projections(depth: int) -> None:
    module = nn.LSTM(FEATURES, UNITS, depth, proj_size=2, batch_first=True)
    for source in (module, module.state_dict()):
        network = load(source)
        assert network.outputs == 2
        assert_same(network, module, sequences(2, 6, FEATURES))


def test_names_of_layers() -> None:
    def names(source: Any, **options: Any) -> list[str]:
        return [layer.name for layer in load(source, **options).layers]

    assert names(nn.LSTM(3, 4).state_dict()) == ["lstm"]
    assert names(nn.GRU(3, 4, 2).state_dict()) == ["gru_l0", "gru_l1"]
    assert names(nn.Linear(3, 4).state_dict()) == ["dense"]
    assert names(Tagger(nn.LSTM)) == ["rnn", "head_0", "head_2"]
    assert names(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))) == ["layer_0", "layer_1"]
    assert load(Tagger(nn.LSTM)).name == "tagger"


def test_state_dict_with_head_nested_and_flat() -> None:
    module = Tagger(nn.GRU)
    nested = {"rnn": module.rnn.state_dict(), "head": module.head.state_dict()}
    for source in (module.state_dict(), nested, {"epoch": 3, "state_dict": module.state_dict()}):
        for name in ("head.0", "head_0"):
            network = load(source, steps=7, activations={name: "relu"})
            assert network.steps == 7
            assert not network.return_sequences
            assert_same(network, module, sequences(2, 7, FEATURES))


def test_lstm_keeps_both_biases() -> None:
    module = nn.LSTM(FEATURES, UNITS)
    layer = load(module.state_dict()).layers[0]
    assert isinstance(layer, LSTM)
    forget = slice(UNITS, 2 * UNITS)
    np.testing.assert_array_equal(layer.gates["f"].bias, module.bias_ih_l0[forget].detach())
    np.testing.assert_array_equal(
        layer.gates["f"].recurrent_bias, module.bias_hh_l0[forget].detach()
    )


def test_gap_between_linear_layers_must_be_said() -> None:
    state = Tagger(nn.LSTM).state_dict()
    with pytest.raises(ModelError, match=r'head_0 and head_2.*activations=\{"head_0": "relu"\}'):
        load(state)
    layers = load(state, activations={"head_0": "tanh", "head_2": "sigmoid"}).layers
    assert [getattr(layer, "activation", "") for layer in layers[1:]] == ["tanh", "sigmoid"]


def test_named_linear_layers_are_unknown_too() -> None:
    module = Custom(None, fc1=nn.Linear(3, 4), fc2=nn.Linear(4, 2))
    with pytest.raises(ModelError, match="between fc1 and fc2"):
        load(module.state_dict())
    assert load(module.state_dict(), activations={"fc1": "linear"}).outputs == 2


def test_neighbours_in_a_sequential_are_linear() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    assert_same(load(module.state_dict()), module, sequences(2, 5, 3))


def test_something_before_the_first_linear_must_be_said() -> None:
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(UNITS, 1))
    state = Custom(None, rnn=nn.GRU(FEATURES, UNITS), head=head).state_dict()
    with pytest.raises(ModelError, match=r'rnn and head_1.*\{"rnn": "linear"\}'):
        load(state)
    assert load(state, activations={"rnn": "linear"}).outputs == 1
    rnn, relu, _ = load(state, activations={"rnn": "relu"}).parts
    assert (rnn.name, relu.name, relu.activation) == ("rnn", "rnn_relu", "relu")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8"])
def test_dtypes_convert_exactly(dtype: str) -> None:
    weight = torch.tensor([[1.5, -2.25], [0.0, 3.0]]).to(getattr(torch, dtype))
    layer = load({"weight": weight}).layers[0]
    np.testing.assert_array_equal(layer.kernel, weight.double().numpy())  # type: ignore[union-attr]


def with_key(key: str, value: Any, cell: Any = nn.LSTM, **options: Any) -> dict[str, Any]:
    """Return a good state dict with one entry replaced, added or (None) removed."""
    state = dict(cell(FEATURES, UNITS, **options).state_dict())
    state.pop(key, None)
    return state if value is None else {**state, key: value}


ROWS = 4 * UNITS
BAD_STATES: dict[str, tuple[Any, type[RnnrtlError], str]] = {
    "one direction of two": (
        with_key("weight_hh_l0_reverse", None, bidirectional=True), ModelError,
        "'weight_hh_l0_reverse' is missing",
    ),
    "bias of a projection": (
        with_key("bias_hr_l0", torch.zeros(2), proj_size=2), ModelError, "unknown key 'bias_hr_l0'",
    ),
    "projection of a GRU": (
        with_key("weight_hr_l0", torch.zeros(UNITS, UNITS), nn.GRU), ModelError,
        "'weight_hr_l0' is for an LSTM",
    ),
    "no projection": (
        with_key("weight_hr_l0", None, proj_size=2), ModelError, "16 gate rows for 2 units",
    ),
    "plain RNN": (
        nn.RNN(3, 4).state_dict(), ModelError, 'nonlinearity of the RNN rnn: .*{"rnn": "tanh"}',
    ),
    "two gates": (
        {"weight_ih_l0": torch.zeros(8, 3), "weight_hh_l0": torch.zeros(8, 4)},
        ModelError, "weight_hh_l0.*8 gate rows for 4 units",
    ),
    "no weight_hh": (with_key("weight_hh_l0", None), ModelError, "'weight_hh_l0' is missing"),
    "no weight_ih": (with_key("weight_ih_l0", None), ModelError, "'weight_ih_l0' is missing"),
    "one bias": (with_key("bias_hh_l0", None), ModelError, "'bias_hh_l0' is missing"),
    "short bias": (
        with_key("bias_hh_l0", torch.zeros(5)), ModelError, r"'bias_hh_l0' has shape \(5,\)",
    ),
    "gates differ": (
        with_key("weight_ih_l0", torch.zeros(3 * UNITS, FEATURES)),
        ModelError, "'weight_ih_l0' has shape",
    ),
    "one axis": (
        with_key("weight_hh_l0", torch.zeros(ROWS)), ModelError, r"weight_hh_l0' has shape \(16",
    ),
    "empty": (
        with_key("weight_hh_l0", torch.zeros(0, 0)), ModelError, r"'weight_hh_l0' has shape \(0, 0",
    ),
    "no first layer": (
        {k.replace("l0", "l1"): v for k, v in nn.GRU(3, 4).state_dict().items()},
        ModelError, "'weight_ih_l0' is missing",
    ),
    "unknown key": (with_key("scale", torch.zeros(3)), ModelError, "unknown key 'scale'"),
    "batch norm of another length": (
        nn.Sequential(nn.GRU(3, 4), nn.BatchNorm1d(3), nn.Linear(4, 1)).state_dict(),
        ModelError, "layer_2': the normalisation before it is of 3 features, it takes 4",
    ),
    "half a batch norm": (
        {"weight": torch.ones(3), "running_mean": torch.ones(3), "running_var": torch.ones(3)},
        ModelError, "'running_mean' needs running_var, and weight and bias or neither",
    ),
    "batch norm of two lengths": (
        {"0.running_mean": torch.ones(3), "0.running_var": torch.ones(4)},
        ModelError, r"'0': its arrays differ in shape: mean \(3,\), variance \(4,\)",
    ),
    "what follows a batch norm": (
        Custom(None, a=nn.BatchNorm1d(3), b=nn.Linear(3, 1)).state_dict(), ModelError,
        "between a and b",
    ),
    "what follows a Linear before a GRU": (
        Custom(None, a=nn.Linear(3, 4), b=nn.GRU(4, 4)).state_dict(), ModelError,
        "between a and b",
    ),
    "layer norm": (
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)).state_dict(), UnsupportedError,
        "'1.weight' is a vector, as those of LayerNorm",
    ),
    "weight in recurrent": (
        with_key("weight", torch.zeros(3, 3)), ModelError, "unknown key 'weight' in a recurrent",
    ),
    "only a bias": (
        {"a.weight": torch.zeros(3, 3), "b.bias": torch.zeros(3)}, ModelError, "b.weight. is miss",
    ),
    "complex": (
        with_key("bias_ih_l0", torch.zeros(ROWS, dtype=torch.complex64)), ModelError, "complex64",
    ),
    "bool": ({"weight": torch.ones(2, 2, dtype=torch.bool)}, ModelError, "torch.bool"),
    "sparse": ({"weight": torch.eye(3).to_sparse()}, ModelError, "sparse"),
    "meta": ({"weight": torch.zeros(2, 2, device="meta")}, ModelError, "meta device"),
    "expanded": ({"weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, ModelError, "more than"),
    "not a tensor": (with_key("bias_ih_l0", "zeros"), ModelError, "'bias_ih_l0' holds"),
    "NaN": (with_key("bias_ih_l0", torch.full((ROWS,), torch.nan)), ModelError, "lstm.bias.*nan"),
    "inf": (with_key("bias_ih_l0", torch.full((ROWS,), torch.inf)), ModelError, "lstm.bias.*inf"),
    "wrong order": (
        {**{f"head.{k}": v for k, v in nn.Linear(4, 1).state_dict().items()},
         **{f"rnn.{k}": v for k, v in nn.GRU(3, 4).state_dict().items()}},
        ModelError, "what stands between head and rnn",
    ),
    "key is a number": ({0: torch.zeros(3)}, ModelError, "keys must be strings"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_STATES)
def test_bad_state_dict(case: str) -> None:
    source, error, message = BAD_STATES[case]
    with pytest.raises(error, match=message) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_quantised_weights() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of its quantised types
        weight = torch.quantize_per_tensor(torch.zeros(2, 2), 0.1, 0, torch.qint8)
    with pytest.raises(UnsupportedError, match="'weight' is quantised"):
        load({"weight": weight})
