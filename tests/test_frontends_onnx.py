"""ONNX files: those that PyTorch wrote, what the operators mean, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from rnnrtl.errors import ModelError, RnnrtlError, UnsupportedError  # noqa: E402
from rnnrtl.frontends import load  # noqa: E402
from tests import float_reference as reference  # noqa: E402
from tests.frontend_models import FEATURES, UNITS, X  # noqa: E402

DATA = Path(__file__).parent / "data"
TYPE = onnx.TensorProto.FLOAT
ORDERS = {"LSTM": "iofg", "GRU": "zrn", "RNN": "h"}  # ONNX' c and h are g and n


@pytest.mark.parametrize("name", ["torch_gru", "torch_lstm", "torch_rnn"])
def test_file_of_pytorch(name: str) -> None:
    network = load(DATA / f"{name}.onnx")
    with np.load(DATA / f"{name}.npz") as known:
        np.testing.assert_allclose(network.predict(known["x"]), known["y"], rtol=0, atol=1e-6)
    assert network.name == name


def arrays(cell: str) -> dict[str, Any]:
    rng = np.random.default_rng(6)
    rows = len(ORDERS[cell]) * UNITS
    shapes = {"W": (1, rows, FEATURES), "R": (1, rows, UNITS), "B": (1, 2 * rows)}
    dense = {"K": (UNITS, 2), "C": (2,)}
    shapes |= dense
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    names = [name if name != "-" else "" for name in inputs.split()]
    return onnx.helper.make_node(operator, names, outputs.split(), name=outputs, **attributes)


def constant(name: str, values: Any) -> Any:
    value = onnx.numpy_helper.from_array(np.asarray(values))
    return onnx.helper.make_node("Constant", [], [name], value=value)


def write(
    folder: Path,
    *nodes: Any,
    cell: str = "LSTM",
    shape: tuple[Any, ...] = ("steps", "batch", FEATURES),
    opset: int = 17,
    **more: Any,
) -> Path:
    """Write a graph from x to y of these nodes; W, R, B of a cell, K and C of a dense layer."""
    weights = [
        onnx.numpy_helper.from_array(value, name)
        for name, value in {**arrays(cell), **more}.items()
    ]
    graph = onnx.helper.make_graph(
        list(nodes),
        "graph",
        [onnx.helper.make_tensor_value_info("x", TYPE, shape)],
        [onnx.helper.make_tensor_value_info("y", TYPE, None)],
        weights,
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def expected(cell: str, **options: Any) -> Any:
    """Return every hidden state of the reference for the weights of `arrays`."""
    given = arrays(cell)

    def gates(stacked: Any) -> dict[str, Any]:
        parts = np.split(np.asarray(stacked, np.float64), len(ORDERS[cell]))
        return dict(zip(ORDERS[cell], parts, strict=True))

    biases = (gates(half) for half in np.split(given["B"][0], 2))
    run: Any = {"LSTM": reference.lstm, "GRU": reference.gru, "RNN": reference.simple_rnn}[cell]
    return run(X, gates(given["W"][0]), gates(given["R"][0]), *biases, **options)


RNN = node("LSTM", "x W R B", "s h c", hidden_size=UNITS)
EVERY = [RNN, constant("one", [1]), node("Squeeze", "s one", "t")]
LAST = [RNN, constant("zero", [0]), node("Squeeze", "h zero", "t")]
OUT = node("Identity", "t", "y")


@pytest.mark.parametrize(
    ("given", "reset_after"), [({}, False), ({"linear_before_reset": 1}, True)]
)
def test_gru(tmp_path: Path, given: dict[str, int], reset_after: bool) -> None:
    rnn = node("GRU", "x W R B", "s h", hidden_size=UNITS, **given)
    path = write(tmp_path, rnn, *EVERY[1:], OUT, cell="GRU")
    want = expected("GRU", reset_after=reset_after)
    np.testing.assert_allclose(load(path).predict(X), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "word"),
    [({}, "tanh"), ({"activations": ["Relu"]}, "relu"), ({"activations": ["Elu"]}, "elu"),
     ({"activations": ["Affine"], "activation_alpha": [1.0]}, "linear")],
)  # fmt: skip
def test_rnn(tmp_path: Path, given: dict[str, Any], word: str) -> None:
    rnn = node("RNN", "x W R B", "s h", hidden_size=UNITS, **given)
    path = write(tmp_path, rnn, *EVERY[1:], OUT, cell="RNN")
    want = expected("RNN", activation=word)
    np.testing.assert_allclose(load(path).predict(X), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("last", [True, False])
def test_lstm(tmp_path: Path, layout: int, last: bool) -> None:
    rnn = node("LSTM", "x W R B", "s h", hidden_size=UNITS, layout=layout)
    end = [node("Identity", "h", "y")] if last else [node("Identity", "s", "y")]
    want = expected("LSTM")[:, -1] if last else expected("LSTM")
    np.testing.assert_allclose(
        load(write(tmp_path, rnn, *end)).predict(X), want, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, ("hard_sigmoid_keras2", "tanh")),
        ({"activations": ["HardSigmoid", "Elu", "Elu"], "activation_alpha": [1 / 6, 1.0, 1.0],
          "activation_beta": [0.5]}, ("hard_sigmoid", "elu")),
        ({"activations": ["Sigmoid", "Relu", "Relu"]}, ("sigmoid", "relu")),
        ({"activations": ["sigmoid", "Softsign", "Softsign"]}, ("sigmoid", "softsign")),
    ],
)  # fmt: skip
def test_activations_of_a_cell(
    tmp_path: Path, given: dict[str, Any], words: tuple[str, str]
) -> None:
    rnn = node("LSTM", "x W R B", "s h", hidden_size=UNITS, **given)
    network = load(write(tmp_path, rnn, node("Identity", "h", "y")))
    want = expected("LSTM", recurrent_activation=words[0], activation=words[1])[:, -1]
    np.testing.assert_allclose(network.predict(X), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "function"),
    [
        ([node("Gemm", "t K C", "y", alpha=2.0, beta=0.5)], lambda h, k, c: 2 * h @ k + c / 2),
        ([node("Gemm", "t Kt C", "y", transB=1)], lambda h, k, c: h @ k + c),
        ([node("MatMul", "t K", "a"), node("Add", "C a", "y")], lambda h, k, c: h @ k + c),
        ([node("MatMul", "t K", "a"), node("Tanh", "a", "y")], lambda h, k, c: np.tanh(h @ k)),
        ([node("Gemm", "t K", "a"), node("Softmax", "a", "y")],
         lambda h, k, c: reference.FUNCTIONS["softmax"](h @ k)),
        ([node("Gemm", "t K", "a"), node("HardSigmoid", "a", "y")],
         lambda h, k, c: reference.FUNCTIONS["hard_sigmoid_keras2"](h @ k)),
    ],
)  # fmt: skip
def test_dense(tmp_path: Path, nodes: list[Any], function: Any) -> None:
    weights = arrays("LSTM")
    path = write(tmp_path, *LAST, *nodes, Kt=weights["K"].T.copy())
    want = function(expected("LSTM")[:, -1], weights["K"].astype(float), weights["C"].astype(float))
    np.testing.assert_allclose(load(path).predict(X), want, rtol=0, atol=1e-12)


def lstm(inputs: str = "x W R B", **attributes: Any) -> list[Any]:
    rnn = node("LSTM", inputs, "s h c", hidden_size=UNITS, **attributes)
    return [rnn, node("Identity", "h", "y")]


def gathered(index: int) -> list[Any]:
    return [*EVERY, constant("index", index), node("Gather", "t index", "y", axis=0)]


REFUSED: dict[str, tuple[list[Any], str]] = {
    "no direction": (lstm(direction="up"), "direction=up is none that there is"),
    "one direction of two": (lstm(direction="bidirectional"), "W' has shape"),
    "clip": (lstm(clip=3.0), "clip=3.0"),
    "input_forget": (lstm(input_forget=1), "input_forget=1"),
    "peepholes": (lstm("x W R B - - - peep"), "peepholes"),
    "lengths": (lstm("x W R B lengths"), "sequence_lens is not supported but for whole"),
    "initial states": (lstm("x W R B - several"), "initial_h differs between sequences"),
    "initial state of the input": (
        [
            constant("zero0", [0]),
            node("Gather", "x zero0", "first", axis=0),
            *lstm("x W R B - first"),
        ],
        "initial_h is computed from the input",
    ),
    "initial state of another size": (lstm("x W R B - - peep3"), "initial_c.* has shape"),
    "activations": (lstm(activations=["Sigmoid", "Tanh", "Relu"]), "must be the same"),
    "activation": (lstm(activations=["Sigmoid", "ScaledTanh", "Tanh"]), "scaledtanh is not"),
    "cell state": ([RNN, node("Identity", "c", "y")], "the last cell state"),
    "first step": (gathered(0), "neither every step nor the last"),
    "one of the trial's lengths": (gathered(1), "neither every step nor the last"),
    "sum of steps": ([*EVERY, node("ReduceSum", "t", "y")], "'y' .ReduceSum. is not supported"),
    "features swapped": (
        [*LAST, constant("swap", [1, 0, 2, 3]), node("Gather", "t swap", "a", axis=1),
         node("Gemm", "a K", "y")], "parts of a vector",
    ),
    "residual": ([*LAST, node("Gemm", "t K", "a"), node("Add", "a a", "y")], "'y' .Add. is not"),
    "branch": (
        [*LAST, node("Gemm", "t K", "a"), node("Relu", "a", "b"), node("Tanh", "a", "c"),
         node("Concat", "b c", "y", axis=1)],
        "takes what an earlier layer gave",
    ),
    "softmax of the batch": (
        [*LAST, node("Gemm", "t K", "a"), node("Softmax", "a", "y", axis=0)], "axis=0",
    ),
    "relu6": (
        [*LAST, node("Gemm", "t K", "a"), constant("six", 6.0), node("Clip", "a zero1 six", "y"),
         ], "takes 'zero1'",
    ),
    "own operator": (
        [node("Tagger", "x", "y", domain="mine")], r"mine.Tagger.* not of ONNX' own operators",
    ),
    "loop": ([*LAST, node("Loop", "t", "y")], ".Loop. runs other graphs"),
    "no layer": ([node("Identity", "x", "y")], "comes from no layer"),
    "steps turned round": (
        [*EVERY, constant("a", [-1]), constant("b", [-99]), constant("d", [0]),
         node("Slice", "t a b d a", "y")], "neither every step",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    nodes, message = REFUSED[case]
    more: dict[str, Any] = {
        "peep": np.ones((1, 3 * UNITS), np.float32),
        "lengths": np.ones(1, np.int32),
        "several": np.arange(2 * UNITS, dtype=np.float32).reshape(1, 2, UNITS),
        "peep3": np.ones((1, 1, UNITS + 1), np.float32),
    }
    with pytest.raises(RnnrtlError, match=message) as caught:
        load(write(tmp_path, *nodes, **more))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_what_the_output_does_not_need_is_not_read(tmp_path: Path) -> None:
    beside = [node("Relu", "s", "r"), node("Sum", "c r", "other"), node("Mystery", "other", "z")]
    want = expected("LSTM")[:, -1]
    path = write(tmp_path, *lstm(), *beside)
    np.testing.assert_allclose(load(path).predict(X), want, rtol=0, atol=1e-12)


def test_initial_state_of_zeros(tmp_path: Path) -> None:
    """As PyTorch writes it for an open batch: zeros of a shape computed from the input's."""
    nodes = [
        node("Shape", "x", "shape"), constant("one", 1), node("Gather", "shape one", "batch"),
        constant("axis", [0]), node("Unsqueeze", "batch axis", "many"), constant("ones", [1]),
        constant("units", [UNITS]), node("Concat", "ones many units", "size", axis=0),
        node("ConstantOfShape", "size", "state"), *lstm("x W R B - state state"),
    ]  # fmt: skip
    want = expected("LSTM")[:, -1]
    np.testing.assert_allclose(load(write(tmp_path, *nodes)).predict(X), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", [0, 1])
def test_initial_states(tmp_path: Path, layout: int) -> None:
    """Constants, the same for every sequence of the batch."""
    h, c = np.linspace(-0.5, 0.5, UNITS), np.linspace(1, -1, UNITS)
    shape = (2, 1, UNITS) if layout else (1, 2, UNITS)
    h0, c0 = (np.broadcast_to(v.astype(np.float32), shape) for v in (h, c))
    path = write(tmp_path, *lstm("x W R B - h0 c0", layout=layout), h0=h0, c0=c0)
    network = load(path)
    want = expected("LSTM", initial={"h": h.astype(np.float32), "c": c.astype(np.float32)})
    np.testing.assert_allclose(network.predict(X), want[:, -1], rtol=0, atol=1e-12)


def test_lengths_of_whole_sequences(tmp_path: Path) -> None:
    nodes = lstm("x W R B lengths")
    fixed = write(
        tmp_path, *nodes, shape=(X.shape[1], 2, FEATURES), lengths=np.full(2, X.shape[1], np.int32)
    )
    want = expected("LSTM")[:, -1]
    np.testing.assert_allclose(load(fixed).predict(X), want, rtol=0, atol=1e-12)


HUGE: dict[str, list[Any]] = {
    "zeros": [constant("n", [1 << 20, 1 << 20]), node("ConstantOfShape", "n", "a")],
    "expand": [constant("n", [1 << 20, 1 << 20]), constant("o", [1.0]), node("Expand", "o n", "a")],
    "doubled": [constant("a0", np.ones(1024)),
                *(node("Concat", f"a{i} a{i}", f"a{i + 1}", axis=0) for i in range(40)),
                node("Identity", "a40", "a")],
    "copied": [constant("a0", np.ones(1 << 20)),
               *(node("Identity", f"a{i}", f"a{i + 1}") for i in range(400)),
               node("Identity", "a400", "a")],
}  # fmt: skip


@pytest.mark.parametrize("case", HUGE)
def test_huge(tmp_path: Path, case: str) -> None:
    with pytest.raises(ModelError, match=r"more than|more numbers"):
        load(write(tmp_path, *HUGE[case], *lstm("x W R B - a")))


@pytest.mark.parametrize(
    "shape", [(1 << 30, 5, FEATURES), (2, 5, None), (2, 5, 3, 4), (), (2, 0, 3)]
)
def test_shape_of_the_input(tmp_path: Path, shape: tuple[Any, ...]) -> None:
    with pytest.raises(RnnrtlError, match="has shape"):
        load(write(tmp_path, *lstm(), shape=shape))


def test_arrays_in_another_file(tmp_path: Path) -> None:
    path = write(tmp_path, *lstm())
    plain = load(path).predict(X)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_array_equal(load(path).predict(X), plain)
    secret = tmp_path.parent / "secret.bin"
    secret.write_bytes((tmp_path / "weights.bin").read_bytes())
    for location in ("../secret.bin", str(secret), "missing.bin", "link.bin", ".", ""):
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            for item in tensor.external_data:
                if item.key == "location":
                    item.value = location
        (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
        (tmp_path / "link.bin").unlink(missing_ok=True)
        (tmp_path / "link.bin").symlink_to(secret)
        with pytest.raises(ModelError, match="no file beside the model"):
            load(tmp_path / "other.onnx")


def test_opset(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"opset \[6\]"):
        load(write(tmp_path, *lstm(), opset=6))
