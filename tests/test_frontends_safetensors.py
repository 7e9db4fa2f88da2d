"""State dicts in .safetensors files, which say no order of the layers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("safetensors")
from safetensors.numpy import save_file

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.frontends import load
from tests.frontend_models import FEATURES, UNITS, X


def linear(name: str, given: int, units: int) -> dict[str, Any]:
    rng = np.random.default_rng(len(name) + given)
    return {
        f"{name}.weight": rng.standard_normal((units, given)).astype(np.float32),
        f"{name}.bias": rng.standard_normal(units).astype(np.float32),
    }


def gru(name: str) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    shapes = {"weight_ih": (FEATURES,), "weight_hh": (UNITS,), "bias_ih": (), "bias_hh": ()}
    return {
        f"{name}.{part}_l0": rng.standard_normal((3 * UNITS, *rest)).astype(np.float32)
        for part, rest in shapes.items()
    }


def test_layers_in_the_order_of_their_shapes(tmp_path: Path) -> None:
    state = {**gru("the_cells"), **linear("head", UNITS, 5), **linear("a_last", 5, 2)}
    save_file(state, tmp_path / "model.safetensors")  # sorts them: a_last, head, the_cells
    given = {"head": "relu"}
    network = load(tmp_path / "model.safetensors", activations=given)
    assert [layer.name for layer in network.layers] == ["the_cells", "head", "a_last"]
    np.testing.assert_array_equal(network.predict(X), load(state, activations=given).predict(X))


def test_place_of_a_normalisation(tmp_path: Path) -> None:
    values = np.random.default_rng(8).uniform(0.5, 2, (4, 5)).astype(np.float32)
    names = ("running_mean", "running_var", "weight", "bias")
    norm = {f"net.1.{name}": each for name, each in zip(names, values, strict=True)}
    # In a Sequential the numbers say where it is; among names, it fits before and behind a layer.
    state = {**gru("rnn"), **linear("net.0", UNITS, 5), **norm, **linear("net.2", 5, 2)}
    save_file(state, tmp_path / "model.safetensors")
    network = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(network.predict(X), load(state).predict(X))
    free = {key.replace("net.1", "norm"): array[:UNITS] for key, array in norm.items()}
    save_file({**gru("rnn"), **linear("a", UNITS, UNITS), **free}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="does not say the order of its layers"):
        load(tmp_path / "model.safetensors", activations={"a": "relu", "norm": "linear"})


def test_plain_rnn(tmp_path: Path) -> None:
    state = {key: value[: value.shape[0] // 3] for key, value in gru("rnn").items()}
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="does not say the nonlinearity of the RNN rnn"):
        load(tmp_path / "model.safetensors")
    network = load(tmp_path / "model.safetensors", activations={"rnn": "relu"})
    assert network.recurrent[0].activation == "relu"


def test_order_of_a_sequential(tmp_path: Path) -> None:
    state = {**gru("rnn"), **linear("head.10", UNITS, UNITS), **linear("head.2", UNITS, UNITS)}
    save_file(state, tmp_path / "model.safetensors")
    words = {"rnn": "linear", "head.2": "relu"}
    network = load(tmp_path / "model.safetensors", activations=words)
    assert [layer.name for layer in network.layers] == ["rnn", "head_2", "head_10"]


def test_order_that_is_open(tmp_path: Path) -> None:
    state = {**gru("rnn"), **linear("first", UNITS, UNITS), **linear("second", UNITS, UNITS)}
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"rnn, second, first fit|rnn, first, second fit"):
        load(tmp_path / "model.safetensors")


def test_many_layers_of_one_shape(tmp_path: Path) -> None:
    state: dict[str, Any] = {**linear("start", 3, 4), **linear("no_place", 9, 9)}
    for number in range(30):
        state |= linear(f"layer{number}x", 4, 4)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="order of so many layers is not found"):
        load(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read as safetensors"), (b"\xff" * 64, "cannot be read as safetensors"),
     (b"\x02" + bytes(7) + b"{}", "at least one layer")],
)  # fmt: skip
def test_damaged(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=rf"model\.safetensors.*{message}"):
        load(tmp_path / "model.safetensors")


def test_nan_and_bfloat16(tmp_path: Path) -> None:
    save_file({"a.weight": np.full((2, 2), np.nan)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="nan at index"):
        load(tmp_path / "model.safetensors")
    header = b'{"a.weight":{"dtype":"BF16","shape":[1,1],"data_offsets":[0,2]}}'
    data = len(header).to_bytes(8, "little") + header + b"\x80\x3f"
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(UnsupportedError, match="save them as float32"):
        load(tmp_path / "model.safetensors")
