"""ONNX: what stands around a recurrent layer, and graphs that PyTorch's exporter writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conformance import pytorch
from tests.conformance.case import (
    BATCH,
    FEATURES,
    STEPS,
    UNITS,
    Build,
    Built,
    Case,
    NotMeaningful,
    Refused,
    Source,
)
from tests.conformance.onnx import EVERY, LAST, WORKS, Answer, node
from tests.conformance.onnx_graphs import graph, joined
from tests.conformance.pytorch_forwards import ALL_STEPS, DECODER, decoded

OPEN = ("batch", "steps")
RNN = node("LSTM")
TO_LAST = "t = Squeeze (h, zero)"
TO_EVERY = "t = Squeeze (s, one)"
DENSE = "a = Gemm (t, K, C)"
NOT_HERE = Refused("is not supported in this place")

# Operators after the last state t, giving y -> what is to be expected.
HEADS: Mapping[str, tuple[str, Answer]] = {
    "Gemm": ("y = Gemm (t, K, C)", WORKS),
    "Gemm without C": ("y = Gemm (t, K)", WORKS),
    "Gemm, alpha, beta": ("y = Gemm <alpha=2.0, beta=0.5> (t, K, C)", WORKS),
    "Gemm, transB": ("y = Gemm <transB=1> (t, Kt, C)", WORKS),
    "MatMul": ("y = MatMul (t, K)", WORKS),
    "MatMul, Add": ("a = MatMul (t, K)\ny = Add (a, C)", WORKS),
    "Add of the bias first": ("a = MatMul (t, K)\ny = Add (C, a)", WORKS),
    "Gemm, Gemm": ("a = Gemm (t, K, C)\ny = Gemm (a, K, C)", WORKS),
    **{
        f"Gemm, {name}": (f"{DENSE}\ny = {name} (a)", WORKS)
        for name in ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "Softsign", "Softplus", "Elu",
                     "Identity", "Dropout")
    },
    "Gemm, Softmax, axis=-1": (f"{DENSE}\ny = Softmax <axis=-1> (a)", WORKS),
    "Gemm, Softmax, axis=1": (f"{DENSE}\ny = Softmax <axis=1> (a)", WORKS),
    "Gemm, Softmax, axis=0": (f"{DENSE}\ny = Softmax <axis=0> (a)", Refused("axis=0 is not")),
    "Gemm, Clip(-1, 1)": (
        f"lo = Constant <value_float=-1.0> ()\nhi = Constant <value_float=1.0> ()\n{DENSE}\n"
        "y = Clip (a, lo, hi)", WORKS,
    ),
    "Gemm, Clip(0, 6)": (
        f"lo = Constant <value_float=0.0> ()\nhi = Constant <value_float=6.0> ()\n{DENSE}\n"
        "y = Clip (a, lo, hi)", Refused("only -1..1 is supported"),
    ),
    "Gemm, Elu, alpha=0.5": (f"{DENSE}\ny = Elu <alpha=0.5> (a)", Refused("alpha=0.5 is not")),
    "Gemm, HardSigmoid, alpha=0.3": (
        f"{DENSE}\ny = HardSigmoid <alpha=0.3> (a)", Refused("a hard sigmoid 0.3"),
    ),
    **{
        f"Gemm, {name}": (f"{DENSE}\ny = {name} (a)", NOT_HERE)
        for name in ("LeakyRelu", "Selu", "HardSwish", "Mish", "LogSoftmax", "Exp", "Neg", "Erf")
    },
    "Relu of the state": ("y = Relu (t)", WORKS),
    "Mul by a constant": ("y = Mul (t, C)", WORKS),
    "a residual sum": ("a = Gemm (t, K, C)\ny = Add (a, t)", NOT_HERE),
    "BatchNormalization": ("y = BatchNormalization (t, C, C, C, V)", WORKS),
    "LayerNormalization": ("y = LayerNormalization (t, C, C)", NOT_HERE),
    "ReduceSum": ("y = ReduceSum (t)", NOT_HERE),
    "ArgMax": (f"{DENSE}\ny = ArgMax <axis=1> (a)", NOT_HERE),
    "an operator of another domain": (
        "y = com.microsoft.Gelu (t)", Refused("is not of ONNX' own operators"),
    ),
}  # fmt: skip

# Operators between a layer's every step s (steps, directions, batch, units) or last state h and y.
MOVES: Mapping[str, tuple[str, Answer]] = {
    "Squeeze": (EVERY, WORKS),
    "Transpose to the batch first": (f"{TO_EVERY}\ny = Transpose <perm=[1, 0, 2]> (t)", WORKS),
    "Reshape of the states": (
        "shape = Constant <value = int64[2] {-1, 2}> ()\ny = Reshape (h, shape)", WORKS,
    ),
    "Flatten": ("t = Squeeze (h, zero)\ny = Flatten <axis=1> (t)", WORKS),
    "Unsqueeze": ("t = Squeeze (h, zero)\ny = Unsqueeze (t, one)", WORKS),
    "Gather of the last step": (f"{TO_EVERY}\ny = Gather <axis=0> (t, end)", WORKS),
    "Gather of the first step": (
        f"{TO_EVERY}\ny = Gather <axis=0> (t, first)", Refused("neither every step nor the last"),
    ),
    "Slice of the last step": (
        "far = Constant <value = int64[1] {100}> ()\n"
        f"{TO_EVERY}\nu = Slice (t, last, far, zero)\ny = Squeeze (u, zero)", WORKS,
    ),
    "Concat of one": (f"{LAST.replace('y', 't')}\ny = Concat <axis=1> (t)", WORKS),
    "Concat of states and outputs": (
        f"{TO_LAST}\na = Gemm (t, K, C)\ny = Concat <axis=1> (t, a)",
        Refused("is neither every step nor the last"),
    ),
    "Cast to double": (f"{TO_LAST}\ny = Cast <to=11> (t)", WORKS),
    "ReduceMean over the steps, not fixed": (
        f"{TO_EVERY}\ny = ReduceMean (t, zero)", Refused("leaves open of how many steps"),
    ),
    "ReduceMax over the steps": (f"{TO_EVERY}\ny = ReduceMax <keepdims=0> (t, zero)", WORKS),
    "ReduceMax over the units": (
        f"{TO_EVERY}\ny = ReduceMax (t, two)", Refused("only that of the steps"),
    ),
    "ReduceMax over all": (f"{TO_EVERY}\ny = ReduceMax (t)", Refused("only that of the steps")),
    "the cell state": ("y = Squeeze (c, zero)", Refused("or the last cell state")),
}  # fmt: skip


def around() -> Iterator[Case]:
    for option, (text, answer) in HEADS.items():
        build = graph(joined(RNN, TO_LAST, text), opset=18)
        yield Case("ONNX", "after LSTM", option, answer, build)
    rnn = node("LSTM", outputs="s, h, c")
    for option, (text, answer) in MOVES.items():
        yield Case("ONNX", "between", option, answer, graph(joined(rnn, text), opset=18))
    for opset, text in {
        18: "t = ReduceMean (s, zero)",
        17: "t = ReduceMean <axes=[0]> (s)",
    }.items():
        lines = joined(rnn, text, "u = Squeeze (t, zero)", "v = Squeeze (u, zero)",
                       "y = Gemm (v, K, C)")  # fmt: skip
        build = graph(lines, opset=opset, steps=STEPS)
        yield Case("ONNX", "between", f"ReduceMean of fixed steps, opset {opset}", WORKS, build)
    every = joined(RNN, TO_EVERY, "y = MatMul (t, K)")
    yield Case("ONNX", "after LSTM", "MatMul on each step", WORKS, graph(every))
    before = joined("a = MatMul (x, K0)", node("GRU", inputs="a, W3, R, B"), LAST)
    yield Case("ONNX", "before GRU", "MatMul on each step", WORKS, graph(before, kind="GRU"))
    old = joined(RNN, "t = Squeeze <axes=[0]> (h)", DENSE, "y = Softmax (a)")
    yield Case("ONNX", "after LSTM", "Gemm, Softmax of opset 11", WORKS, graph(old, opset=11))
    for name in ("Loop", "Scan", "If"):
        text = joined(RNN, f"y = {name} (h)")
        yield Case("ONNX", "other graphs", name, Refused("runs other graphs"), graph(text))


def exported(make: pytorch.Make, opset: int = 17, *, axes: tuple[str, ...] = OPEN) -> Build:
    """Return the building of a module that PyTorch's TorchScript exporter writes, `axes` open."""

    def build(folder: Path) -> Built:
        import torch

        module, x, run = pytorch.made(make, batch_first=True)
        example = torch.zeros(BATCH, STEPS, FEATURES)
        torch.onnx.export(
            module.eval(), (example,), folder / "model.onnx", dynamo=False, opset_version=opset,
            input_names=["x"], dynamic_axes={"x": dict(enumerate(axes))},
        )  # fmt: skip
        return Built((Source(folder / "model.onnx"),), x, run)

    return build


EXPORTS: Mapping[str, tuple[pytorch.Make, Answer]] = {
    "LSTM": (pytorch.rnn("LSTM"), WORKS),
    "GRU": (pytorch.rnn("GRU"), WORKS),
    "RNN": (pytorch.rnn("RNN"), WORKS),
    "LSTM, num_layers=2": (pytorch.rnn("LSTM", num_layers=2), WORKS),
    "LSTM, bias=False": (pytorch.rnn("LSTM", bias=False), WORKS),
    "GRU, bidirectional": (pytorch.rnn("GRU", bidirectional=True), WORKS),
    "LSTM, bidirectional, num_layers=2, the last step": (
        pytorch.own(lambda m, x: m.rnn(x)[0][:, -1],
                    rnn=pytorch.rnn("LSTM", bidirectional=True, num_layers=2)), WORKS,
    ),
    "GRU, the steps flipped": (
        pytorch.own(lambda m, x: m.rnn(x.flip(1))[0], rnn=pytorch.rnn("GRU")), WORKS,
    ),
    "LSTM, the last step, Linear": (pytorch.tagger("LSTM"), WORKS),
    "GRU, h_n[-1]": (pytorch.own(lambda m, x: m.rnn(x)[1][-1], rnn=pytorch.rnn("GRU")), WORKS),
    "Linear, Softsign": (  # of several operators
        pytorch.tagger("GRU", pytorch.after_linear(pytorch.nn("Softsign"))), NOT_HERE,
    ),
    "mean over the steps": (
        pytorch.own(lambda m, x: m.rnn(x)[0].mean(1), rnn=pytorch.rnn("GRU")),
        Refused("leaves open of how many steps"),
    ),
    "maximum over the steps, Linear": (
        pytorch.own(lambda m, x: m.head(m.rnn(x)[0].amax(1)), rnn=pytorch.rnn("GRU"),
                    head=pytorch.linear()), WORKS,
    ),
    **{
        f"Linear, {name}": (
            pytorch.tagger("GRU", pytorch.after_linear(pytorch.nn(name, *arguments))), WORKS,
        )
        for name, *arguments in (
            ("ReLU",), ("Sigmoid",), ("Tanh",), ("Hardsigmoid",), ("Hardtanh",),
            ("ELU",), ("Softplus",), ("Softmax", -1), ("Dropout", 0.5),
        )
    },
}  # fmt: skip


# What needs a number of steps that the file says.
FIXED: Mapping[str, pytorch.Make] = {
    "Linear of all steps": pytorch.own(
        lambda m, x: m.head(m.rnn(x)[0].flatten(1)), rnn=pytorch.rnn("GRU"), head=ALL_STEPS
    ),
    "h_n repeated for a decoder": pytorch.own(
        lambda m, x: decoded(m, x, 4), rnn=pytorch.rnn("LSTM"), decoder=DECODER
    ),
    "both states repeated for a decoder": pytorch.own(
        lambda m, x: m.decoder(_side_by_side(m.rnn(x)[1])[:, None].expand(-1, 4, -1))[0],
        rnn=pytorch.rnn("GRU", bidirectional=True),
        decoder=pytorch.rnn("GRU", 2 * UNITS),
    ),
    "steps and features exchanged": pytorch.own(
        lambda m, x: m.decoder(m.rnn(x)[0].transpose(1, 2))[0],
        rnn=pytorch.rnn("GRU"),
        decoder=pytorch.rnn("LSTM", STEPS),
    ),
}


def _side_by_side(states: Any) -> Any:
    return states.transpose(0, 1).flatten(1)


def exports() -> Iterator[Case]:
    for option, make in FIXED.items():
        yield Case("ONNX", "torch.onnx.export", option, WORKS, exported(make, axes=OPEN[:1]))
    build = exported(FIXED["Linear of all steps"])
    count = Refused("leaves open how many there are")
    yield Case("ONNX", "torch.onnx.export", "Linear of all steps, their number open", count, build)
    for option, (make, answer) in EXPORTS.items():
        yield Case("ONNX", "torch.onnx.export", option, answer, exported(make))
    none = NotMeaningful("the exporter refuses it")
    yield Case("ONNX", "torch.onnx.export", "LSTM, proj_size", none)
    for opset in range(9, 21):
        build = exported(pytorch.tagger("GRU"), opset)
        yield Case("ONNX", "torch.onnx.export", f"opset_version={opset}", WORKS, build)


def cases() -> list[Case]:
    return [*around(), *exports()]
