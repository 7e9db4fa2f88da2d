"""What a dict of arrays means, against the independent reference."""

from dataclasses import replace

import numpy as np
import pytest

from rnnrtl.frontends import load
from rnnrtl.frontends.names import identifier, module_name
from rnnrtl.layers import GRU, LSTM, Dense
from rnnrtl.network import Network
from tests import float_reference as reference
from tests.frontend_models import FEATURES, UNITS, X, by_gate, dense, keras

# The independent reference itself: one step by the formulas, one number at a time.


def test_reference_lstm_by_hand() -> None:
    one = {
        gate: np.array([[value]]) for gate, value in zip("ifgo", (0.5, -0.3, 0.8, 0.2), strict=True)
    }
    bias = {gate: np.array([0.1]) for gate in "ifgo"}
    x = np.array([[[2.0], [-1.0]]])
    h = c = 0.0
    for now in (2.0, -1.0):
        i, f, g, o = (float(one[gate][0, 0]) * (now + h) + 0.1 for gate in "ifgo")
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
    np.testing.assert_allclose(reference.lstm(x, one, one, bias)[0, -1, 0], h, rtol=1e-14)


@pytest.mark.parametrize("reset_after", [True, False])
def test_reference_gru_by_hand(reset_after: bool) -> None:
    one = {gate: np.array([[value]]) for gate, value in zip("zrn", (0.5, -0.3, 0.8), strict=True)}
    bias = {gate: np.array([0.1]) for gate in "zrn"}
    inner = {gate: np.array([-0.7]) for gate in "zrn"}
    h = 0.0
    for now in (2.0, -1.0):
        z = 1 / (1 + np.exp(-(0.5 * (now + h) + 0.1 - 0.7)))
        r = 1 / (1 + np.exp(-(-0.3 * (now + h) + 0.1 - 0.7)))
        memory = r * (0.8 * h - 0.7) if reset_after else 0.8 * (r * h) - 0.7
        h = z * h + (1 - z) * np.tanh(0.8 * now + 0.1 + memory)
    x = np.array([[[2.0], [-1.0]]])
    y = reference.gru(x, one, one, bias, inner, reset_after=reset_after)
    np.testing.assert_allclose(y[0, -1, 0], h, rtol=1e-14)


# What the arrays mean


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("bias_rows", [0, 1, 2])
def test_lstm(bias_rows: int, sequences: bool) -> None:
    arrays = keras("lstm", bias_rows=bias_rows, return_sequences=sequences)
    network = load({"lstm": arrays})
    bias = np.zeros(4 * UNITS)
    if bias_rows:
        bias = arrays["bias"] if bias_rows == 1 else arrays["bias"].sum(axis=0)
    y = reference.lstm(
        X, *(by_gate(part, "ifgo") for part in (arrays["kernel"], arrays["recurrent_kernel"], bias))
    )
    expected = y if sequences else y[:, -1]
    np.testing.assert_allclose(network.predict(X), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("bias_rows", "given", "reset_after"),
    [(1, None, False), (2, None, True), (1, False, False), (2, True, True), (2, False, False),
     (0, True, True), (0, False, False)],
)  # fmt: skip
def test_gru(bias_rows: int, given: bool | None, reset_after: bool) -> None:
    options = {} if given is None else {"reset_after": given}
    arrays = keras("gru", bias_rows=bias_rows, **options)
    network = load({f"gru/{key}": value for key, value in arrays.items()})
    bias = np.zeros((2, 3 * UNITS))
    bias[:bias_rows] = arrays.get("bias", bias[:0])
    parts = (arrays["kernel"], arrays["recurrent_kernel"], *bias)
    y = reference.gru(X, *(by_gate(part, "zrn") for part in parts), reset_after=reset_after)
    assert isinstance(network.layers[0], GRU)
    assert network.layers[0].reset_after is reset_after
    np.testing.assert_allclose(network.predict(X), y[:, -1], rtol=0, atol=1e-13)


def test_gate_orders_of_keras_by_name() -> None:
    arrays = keras("lstm")
    layer = load(arrays).layers[0]
    assert isinstance(layer, LSTM)
    assert layer.name == "lstm"
    for position, gate in enumerate(("i", "f", "g", "o")):
        columns = slice(position * UNITS, (position + 1) * UNITS)
        np.testing.assert_array_equal(layer.gates[gate].kernel, arrays["kernel"][:, columns].T)
        np.testing.assert_array_equal(layer.gates[gate].bias, arrays["bias"][columns])
        assert not layer.gates[gate].recurrent_bias.any()


def test_stack_of_layers() -> None:
    second = keras("lstm")
    second["kernel"] = np.random.default_rng(6).standard_normal((UNITS, 4 * UNITS))
    source = {
        "steps": 6, "name": "My Tagger",
        "first": keras("gru"), "second": second, "out": dense(activation="sigmoid"),
    }  # fmt: skip
    network = load(source)
    assert (network.steps, network.name) == (6, "my_tagger")
    assert [layer.name for layer in network.layers] == ["first", "second", "out"]
    assert not network.return_sequences
    gru = reference.gru(
        X,
        *(by_gate(source["first"][part], "zrn") for part in ("kernel", "recurrent_kernel", "bias")),  # type: ignore[index]
        reset_after=False,
    )
    lstm = reference.lstm(
        gru, *(by_gate(second[part], "ifgo") for part in ("kernel", "recurrent_kernel", "bias"))
    )
    out = dense()
    y = reference.dense(lstm[:, -1], out["kernel"].T, out["bias"], "sigmoid")
    np.testing.assert_allclose(network.predict(X), y, rtol=0, atol=1e-13)


def test_lists_and_other_types() -> None:
    layer = load({"kernel": [[1, 2], [3, 4]], "activation": np.array("relu")}).layers[0]
    assert isinstance(layer, Dense)
    assert (layer.activation, layer.name) == ("relu", "dense")
    np.testing.assert_array_equal(layer.kernel, [[1.0, 3.0], [2.0, 4.0]])
    for dtype in (np.float16, np.float32, np.longdouble, np.int8, np.uint16):
        again = load({"kernel": np.array([[1, 2], [3, 4]], dtype)}).layers[0]
        np.testing.assert_array_equal(again.kernel, layer.kernel)  # type: ignore[union-attr]


def test_pytorch_names_need_no_torch() -> None:
    rng = np.random.default_rng(7)
    arrays = {
        "weight_ih_l0": rng.standard_normal((3 * UNITS, FEATURES)),
        "weight_hh_l0": rng.standard_normal((3 * UNITS, UNITS)),
        "bias_ih_l0": rng.standard_normal(3 * UNITS),
        "bias_hh_l0": rng.standard_normal(3 * UNITS),
    }
    y = reference.gru(X, *(by_gate(array.T, "rzn") for array in arrays.values()), reset_after=True)
    np.testing.assert_allclose(load(arrays).predict(X), y, rtol=0, atol=1e-13)


def test_network_with_steps_and_activations() -> None:
    network = load({"gru": keras("gru"), "out": dense()})
    assert load(network) is not None
    changed = load(network, steps=9, activations={"out": "tanh"})
    assert changed.steps == 9
    assert isinstance(changed.layers[1], Dense)
    assert changed.layers[1].activation == "tanh"
    assert isinstance(network.layers[1], Dense)
    assert network.layers[1].activation == "linear"


@pytest.mark.parametrize(
    ("text", "name"),
    [("TopGRU", "top_gru"), ("GRUNet2", "gru_net2"), ("top-tagger.v2", "top_tagger_v2"),
     ("2023 model", "network_2023_model"), ("", "network"), ("ñ", "network"),
     ("table", "table_network"), ("Module", "module_network"), ("a__b", "a__b")],
)  # fmt: skip
def test_names_of_modules(text: str, name: str) -> None:
    assert module_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [("head.0", "head_0"), ("head/0", "head_0"), ("0", "layer_0"), ("", "layer"), ("A b", "A_b")],
)
def test_names_of_layers(text: str, name: str) -> None:
    assert identifier(text) == name


def test_layers_can_be_renamed() -> None:
    network = load({"gru": keras("gru")})
    layers = tuple(replace(layer, name="cell") for layer in network.layers)
    assert isinstance(network.replace(layers=layers), Network)
