"""ONNX: the recurrent operators with every attribute, and what stands around them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tests.conformance.case import BATCH, UNITS, Case, NotMeaningful, Refused, Works
from tests.conformance.onnx_graphs import graph, joined

Answer = Works | Refused | NotMeaningful
WORKS = Works()
OPSETS = range(7, 23)


def node(kind: str, attributes: str = "", inputs: str = "x, W, R, B", outputs: str = "s, h") -> str:
    """Return a recurrent node as text."""
    inside = f"hidden_size={UNITS}" + (f", {attributes}" if attributes else "")
    return f"{outputs} = {kind} <{inside}> ({inputs})"


def squeezed(name: str, axis: str, opset: int = 17, output: str = "y") -> str:
    """Return a Squeeze, whose axes were an attribute before opset 13."""
    if opset >= 13:
        return f"{output} = Squeeze ({name}, {axis})"
    return f"{output} = Squeeze <axes=[{({'zero': 0, 'one': 1})[axis]}]> ({name})"


EVERY, LAST = "y = Squeeze (s, one)", "y = Squeeze (h, zero)"

# Activation of the gates, of the state, further attributes -> what is to be expected.
ACTIVATIONS: Mapping[str, tuple[str, str, str, Answer]] = {
    "HardSigmoid": ("HardSigmoid", "Tanh", "", WORKS),
    "HardSigmoid, alpha=1/6": (
        "HardSigmoid", "Tanh", "activation_alpha=[0.16666667], activation_beta=[0.5]", WORKS,
    ),
    "HardSigmoid, alpha=0.3": (
        "HardSigmoid", "Tanh", "activation_alpha=[0.3], activation_beta=[0.5]",
        Refused("a hard sigmoid 0.3"),
    ),
    "HardSigmoid and Elu": ("HardSigmoid", "Elu", "activation_alpha=[0.2, 1.0, 1.0]", WORKS),
    "sigmoid, tanh, in lower case": ("sigmoid", "tanh", "", WORKS),
    **{
        name: ("Sigmoid", name, "", WORKS)
        for name in ("Relu", "Softsign", "Softplus", "Elu", "HardSigmoid")
    },
    "Affine, alpha=1": ("Sigmoid", "Affine", "activation_alpha=[1.0, 1.0]", WORKS),
    "Affine, alpha not given": ("Sigmoid", "Affine", "", Refused("the activation affine is not")),
    "Elu, alpha=0.5": ("Sigmoid", "Elu", "activation_alpha=[0.5, 0.5]", Refused("alpha=0.5 is")),
    "Affine, alpha=2": (
        "Sigmoid", "Affine", "activation_alpha=[2.0, 2.0]", Refused("the activation affine is not"),
    ),
    **{
        name: ("Sigmoid", name, "", Refused(f"the activation {name.lower()} is not supported"))
        for name in ("LeakyRelu", "ThresholdedRelu", "ScaledTanh")
    },
    "Relu": ("Relu", "Tanh", "", Refused("activation 'relu' is not supported")),
}  # fmt: skip


def activations() -> Iterator[Case]:
    for kind, count in (("LSTM", 2), ("GRU", 1)):
        for option, (gate, state, more, answer) in ACTIVATIONS.items():
            names = ", ".join(f'"{name}"' for name in [gate, *[state] * count])
            given = f"activations=[{names}]" + (f", {more}" if more else "")
            where = "of the gates" if gate != "Sigmoid" else "of the state"
            build = graph(joined(node(kind, given), LAST), kind=kind)
            yield Case("ONNX", kind, f"activations {where}: {option}", answer, build)


# Further attributes and inputs of an LSTM or a GRU.
ATTRIBUTES: tuple[tuple[str, str, str, Answer], ...] = (
    ("LSTM", "activations of cell and output that differ",
     'activations=["Sigmoid", "Tanh", "Relu"]', Refused("must be the same")),
    ("LSTM", "activations, too few", 'activations=["Sigmoid"]', Refused("has 1 activations")),
    ("LSTM", "input_forget=0", "input_forget=0", WORKS),
    ("LSTM", "input_forget=1", "input_forget=1", Refused("input_forget=1 is not supported")),
    ("GRU", "linear_before_reset=0", "linear_before_reset=0", WORKS),
    ("GRU", "linear_before_reset=1", "linear_before_reset=1", WORKS),
    ("LSTM", "clip=0", "clip=0.0", WORKS),
    ("LSTM", "clip=3", "clip=3.0", Refused("clip=3.0 is not supported")),
    ("GRU", "clip=3", "clip=3.0", Refused("clip=3.0 is not supported")),
    ("LSTM", "direction=forward", 'direction="forward"', WORKS),
)  # fmt: skip


def attributes() -> Iterator[Case]:
    for kind, option, text, answer in ATTRIBUTES:
        yield Case("ONNX", kind, option, answer, graph(joined(node(kind, text), LAST), kind=kind))
    peepholes = joined(node("LSTM", inputs="x, W, R, B, , , , P"), LAST)
    answer = Refused("peepholes (P) are not supported")
    yield Case("ONNX", "LSTM", "peepholes", answer, graph(peepholes))
    for kind in ("GRU", "RNN"):
        yield Case("ONNX", kind, "peepholes, input_forget", NotMeaningful("only LSTM has them"))
    for kind in ("LSTM", "RNN"):
        yield Case("ONNX", kind, "linear_before_reset", NotMeaningful("only GRU has it"))


LENGTHS = {"lengths": np.array([4, 3, 4], np.int32)}
OWN = {"H": np.array([0.5, -0.75], np.float32).reshape(2, 1, 1).repeat(BATCH, 1).repeat(UNITS, 2)}


def plain() -> Iterator[Case]:
    """Yield what all three operators have."""
    for kind in ("LSTM", "GRU", "RNN"):

        def case(
            option: str, text: str, answer: Answer = WORKS, kind: str = kind, **options: Any,
        ) -> Case:  # fmt: skip
            return Case("ONNX", kind, option, answer, graph(text, kind=kind, **options))

        yield case("every step", joined(node(kind), EVERY))
        yield case("the last step", joined(node(kind), LAST))
        yield case("last step with its direction's axis", node(kind, outputs="s, y"))
        yield case(
            "layout=1, every step",
            joined(node(kind, "layout=1"), "y = Squeeze (s, two)"),
            batch_first=True,
        )
        yield case("layout=1, the last step", node(kind, "layout=1", outputs="s, y"),
                   batch_first=True)  # fmt: skip
        yield case("without B", joined(node(kind, inputs="x, W, R"), LAST))
        yield case("without hidden_size", joined(f"s, h = {kind} (x, W, R, B)", LAST))
        yield case("double", joined(node(kind), LAST), dtype="double")
        yield case("float16", joined(node(kind), LAST), dtype="float16")
        yield case("initial_h of zeros", joined(node(kind, inputs="x, W, R, B, , Z"), LAST))
        yield case("initial_h of ones", joined(node(kind, inputs="x, W, R, B, , H"), LAST))
        yield case("sequence_lens", joined(node(kind, inputs="x, W, R, B, lengths"), LAST),
                   Refused("sequence_lens is not supported"), more=LENGTHS)  # fmt: skip
        yield case("direction=reverse, the last state",
                   joined(node(kind, 'direction="reverse"'), LAST))  # fmt: skip
        yield case("direction=reverse, every step",
                   joined(node(kind, 'direction="reverse"'), EVERY),
                   Refused("is neither every step nor the last one"))  # fmt: skip
        yield case("direction=bidirectional, every step",
                   "shape = Constant <value = int64[3] {0, 0, -1}> ()\n"
                   + node(kind, 'direction="bidirectional"')
                   + "\nt = Transpose <perm=[0, 2, 1, 3]> (s)\ny = Reshape (t, shape)",
                   directions=2)  # fmt: skip
        yield case("direction=bidirectional, the last states",
                   "shape = Constant <value = int64[2] {0, -1}> ()\n"
                   + node(kind, 'direction="bidirectional"')
                   + "\nt = Transpose <perm=[1, 0, 2]> (h)\ny = Reshape (t, shape)",
                   directions=2)  # fmt: skip
        yield case("direction=bidirectional, a state of their own to begin with",
                   "shape = Constant <value = int64[2] {0, -1}> ()\n"
                   + node(kind, 'direction="bidirectional"', inputs="x, W, R, B, , H")
                   + "\nt = Transpose <perm=[1, 0, 2]> (h)\ny = Reshape (t, shape)",
                   directions=2, more=OWN)  # fmt: skip
        yield case("two, one after the other",
                   joined(node(kind), squeezed("s", "one", output="t"),
                          node(kind, inputs="t, W2, R2, B2", outputs="s2, h2"),
                          "y = Squeeze (h2, zero)"))  # fmt: skip
        for opset in OPSETS:
            text = joined(node(kind), squeezed("h", "zero", opset))
            yield case(f"opset {opset}", text, opset=opset)


def cases() -> list[Case]:
    return [*plain(), *activations(), *attributes()]
