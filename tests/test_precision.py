"""Formats and precisions as text and mappings: what is read, what is refused."""

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnrtl
from rnnrtl.errors import PrecisionError, PrecisionWarning
from rnnrtl.fixedpoint import TENSORS, Format, Overflow, Precision, Rounding
from rnnrtl.fixedpoint.exact import to_codes
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.trace import trace
from rnnrtl.layers import HEAD_ACTIVATIONS
from rnnrtl.network import Network
from tests.networks import CELLS, dense, inputs, network, recurrent

GOOD = {
    "fixed<16,6>": Format(16, 6, Rounding.RND, Overflow.SAT),
    "ap_fixed<16,6>": Format(16, 6, Rounding.TRN, Overflow.WRAP),
    "  fixed < 8 , -2 > ": Format(8, -2, Rounding.RND, Overflow.SAT),
    "fixed<8,+2>": Format(8, 2),
    "fixed<8,12>": Format(8, 12),
    "fixed<1,1>": Format(1, 1),
    "fixed<64,64>": Format(64, 64),
    "fixed<16,6,RND_CONV>": Format(16, 6, Rounding.RND_CONV, Overflow.SAT),
    "ap_fixed<16,6,AP_RND>": Format(16, 6, Rounding.RND, Overflow.WRAP),
    "ap_fixed<16,6,AP_RND_MIN_INF,AP_SAT_SYM>": Format(
        16, 6, Rounding.RND_MIN_INF, Overflow.SAT_SYM
    ),
    "ap_fixed<16,6,SC_TRN_ZERO,SC_SAT_ZERO>": Format(16, 6, Rounding.TRN_ZERO, Overflow.SAT_ZERO),
}


@pytest.mark.parametrize(("text", "form"), GOOD.items(), ids=list(GOOD))
def test_formats_that_parse(text: str, form: Format) -> None:
    assert Format.parse(text) == form
    assert Format.parse(form) is form
    assert form.fraction_bits == form.width - form.int_bits
    assert form.lsb == 2.0 ** (form.int_bits - form.width)


BAD: dict[str, tuple[Any, str]] = {
    "width 0": ("fixed<0,0>", r"'fixed<0,0>': width .* 1 to 64 bits, not 0"),
    "width 65": ("ap_fixed<65,6>", "width .* not 65"),
    "negative width": ("fixed<-8,2>", "not -8"),
    "huge width": ("fixed<999999,6>", "not 999999"),
    "endless width": ("fixed<99999999999999999999,6>", "expected <W,I"),
    "integer bits": ("fixed<16,200>", "int_bits .* not 200"),
    "negative integer bits": ("fixed<16,-65>", "int_bits .* not -65"),
    "empty": ("", "'' is not a format"),
    "junk": ("float32", "'float32' is not a format: write fixed<W,I>"),
    "one number": ("fixed<16>", "expected <W,I"),
    "none": ("fixed<>", "expected <W,I"),
    "five parts": ("fixed<16,6,RND,SAT,0>", "expected <W,I"),
    "fraction": ("fixed<16.5,6>", "expected <W,I"),
    "words": ("fixed<W,I>", "expected <W,I"),
    "parentheses": ("fixed(16,6)", "is not a format"),
    "nested": ("fixed<<16,6>>", "is not a format"),
    "more behind it": ("fixed<16,6> x", "is not a format"),
    "upper case": ("FIXED<16,6>", "is not a format"),
    "unknown rounding": ("fixed<16,6,ROUND>", "unknown rounding mode 'ROUND', known: RND, "),
    "lower case": ("fixed<16,6,rnd>", "unknown rounding mode 'rnd'"),
    "empty mode": ("fixed<16,6,,SAT>", "unknown rounding mode ''"),
    "unknown overflow": ("fixed<16,6,RND,CLIP>", "unknown overflow mode 'CLIP', known: SAT, "),
    "modes in the wrong order": ("fixed<16,6,SAT,RND>", "unknown rounding mode 'SAT'"),
    "unsigned": ("ufixed<8,2>", "unsigned formats are not supported"),
    "unsigned of Vitis": ("ap_ufixed<8,2>", "unsigned formats are not supported"),
    "integer of Vitis": ("ap_int<8>", "is not a format"),
    "number": (16, "not 16"),
    "None": (None, "not None"),
    "bytes": (b"fixed<16,6>", "not b'fixed"),
    "pair": ((16, 6), r"not \(16, 6\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_formats_that_do_not_parse(name: str) -> None:
    given_, words = BAD[name]
    for parse in (Format.parse, Precision.parse, lambda v: Precision.parse({"*": v})):
        if name in ("number", "None", "bytes", "pair") and parse == Precision.parse:
            words = r"or a mapping, not |" + words
        with pytest.raises(PrecisionError, match=words) as caught:
            parse(given_)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [True, 16.0, "16", None])
def test_widths_of_another_type(bad: Any) -> None:
    with pytest.raises(PrecisionError, match="width of a format must be an integer, not"):
        Format(bad, 6)
    with pytest.raises(PrecisionError, match="int_bits of a format must be an integer, not"):
        Format(16, bad)


@given(
    st.builds(
        Format,
        st.integers(1, 64),
        st.integers(-64, 128),
        st.sampled_from(Rounding),
        st.sampled_from(Overflow),
    )
)
def test_text_of_a_format_is_read_as_that_format(form: Format) -> None:
    assert Format.parse(str(form)) == form
    assert eval(repr(form)) == form


def test_code_ranges() -> None:
    assert (Format(8, 2).min_code, Format(8, 2).max_code) == (-128, 127)
    assert Format(8, 2, overflow=Overflow.SAT_SYM).min_code == -127
    assert (Format(1, 1).min_code, Format(1, 1).max_code) == (-1, 0)


A, B, C, D = (Format(width, 4) for width in (10, 11, 12, 13))
OF_GRU = ("kernel", "recurrent_kernel", "bias", "preactivation", "gate", "candidate", "hidden")
READ = {"": ("input",), "gru": OF_GRU, "dense": ("kernel", "bias", "output")}


@pytest.mark.parametrize(
    ("mapping", "layer", "tensor", "form"),
    [
        ({"*": A}, "gru", "hidden", A),
        ({"*": A, "hidden": B}, "gru", "hidden", B),
        ({"*": A, "hidden": B}, "gru", "cell", A),
        ({"hidden": B, "*": A}, "gru", "hidden", B),  # "*" is the default wherever it stands
        ({"*": A, "gru.hidden": B}, "gru", "hidden", B),
        ({"*": A, "gru.hidden": B}, "lstm", "hidden", A),
        ({"*": A, "gru.*": B}, "gru", "kernel", B),
        ({"*": A, "*.kernel": B}, "gru", "kernel", B),
        ({"*": A, "*.kernel": B}, "gru", "recurrent_kernel", A),
        ({"*": A, "*kernel": B}, "gru", "recurrent_kernel", B),
        ({"*": A, "gru_?.gate": B}, "gru_2", "gate", B),
        ({"*": A, "hidden": B, "gru.*": C}, "gru", "hidden", C),  # the last that matches
        ({"*": A, "gru.*": C, "hidden": B}, "gru", "hidden", B),
        ({"*": A, "gru": {"hidden": B, "*": C}}, "gru", "hidden", C),
        ({"*": A, "gru": {"*": C, "hidden": B}}, "gru", "hidden", B),
        ({"*": A, "gru": B}, "gru", "gate", B),
        ({"*": A, "input": B}, "", "input", B),
        ({"*": A, "gru.*": B}, "", "input", A),
        ({"*": A, "a": {"b": {"kernel": D}}}, "a.b", "kernel", D),
        ({"*": "fixed<10,4>", "gate": "fixed<11,4>"}, "gru", "gate", B),
    ],
    ids=str,
)
def test_rules(mapping: dict[str, Any], layer: str, tensor: str, form: Format) -> None:
    assert Precision.parse(mapping).format(layer, tensor) == form


@pytest.mark.parametrize(
    "pattern", ["kernl", "gru.kernl", "lstm.kernel", "lstm.*", "lstm", "GRU.*", "g.kernel", ""]
)
def test_rules_that_name_nothing(pattern: str) -> None:
    precision = Precision.parse({"*": A, pattern: B})
    with pytest.raises(PrecisionError, match=f"{pattern!r} names nothing: layers are gru, dense"):
        precision.check(READ)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("gru.output", "names nothing that is read: gru has kernel, recurrent_kernel, bias, pre"),
        ("dense.hidden", "names nothing that is read: dense has kernel, bias, output$"),
        ("dense.preactivation", "dense has kernel, bias, output$"),
        (".cell", "names nothing that is read: the network itself has its input only"),
        ("*.cell*", "names nothing that is read: gru has .*; dense has"),
        ("gru.input", r"gru has .*hidden\. The network's input is `input`, without a layer"),
    ],
)
def test_rules_that_name_what_their_layer_does_not_read(pattern: str, words: str) -> None:
    with pytest.raises(PrecisionError, match=words) as caught:
        Precision.parse({"*": A, pattern: B}).check(READ)
    assert "\n" not in str(caught.value)


def test_rules_that_name_something() -> None:
    rules = ("kernel", "gru.*", "gru", "*.bias", "input", "dense.output", "g*.gate", "cell")
    Precision.parse(dict.fromkeys(("*", *rules), A)).check(READ)


@pytest.mark.parametrize(
    ("cell", "activation"),
    [
        *((cell, "linear") for cell in CELLS),
        *(("gru_after", a) for a in HEAD_ACTIVATIONS[1:] if a != "argmax"),
    ],
)
def test_a_format_decides_for_every_tensor_a_network_has_and_for_no_other(
    cell: str, activation: str
) -> None:
    net = network(recurrent(cell), dense(3, activation=activation))
    base = {"*": "fixed<20,6>", "head.*": "fixed<18,6>", "input": "fixed<12,4>"}
    before = codes_of(net, base)
    read = rnnrtl.tensors(net)
    for layer, tensor in [(layer, t) for layer in ("", cell, "head") for t in TENSORS]:
        rule = f"{layer}.{tensor}" if layer else tensor
        if tensor in read[layer]:
            assert codes_of(net, {**base, rule: "fixed<5,3>"}) != before, rule
        elif layer:
            with pytest.raises(PrecisionError, match="names nothing that is read"):
                codes_of(net, {**base, rule: "fixed<5,3>"})


def codes_of(net: Network, precision: dict[str, str]) -> list[Any]:
    """Return what the reference gives, all of it: codes, and where they have their point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        graph = trace(net, Precision.parse(precision))
    out = evaluate(graph, to_codes(inputs(net, 8, 6), graph.input_format))
    return [graph.output_format, graph.input_format, *out.ravel().tolist()]


def test_a_rule_covers_what_is_alike_unless_a_later_one_names_it() -> None:
    first = Precision.parse({"*": A, "cell_activation": C, "candidate": B})
    then = Precision.parse({"*": A, "candidate": B, "lstm.cell_activation": C})
    assert first.format("lstm", "cell_activation") == B
    assert then.format("lstm", "cell_activation") == C
    assert then.format("lstm", "candidate") == B
    assert Precision.parse({"*": A, "cell_activation": C}).format("lstm", "candidate") == A
    assert Precision.parse({"*": A, "g.preactivation": B}).format("g", "inner") == B


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ({"hidden": A}, PrecisionError, 'needs an entry "*"'),
        ({}, PrecisionError, 'needs an entry "*"'),
        ({"*": A, 3: B}, PrecisionError, "not 3"),
        ({"*": A, "gru": {None: B}}, PrecisionError, "not None"),
        ({"*": A, "gru": [B]}, PrecisionError, "a format is text"),
        ([A], PrecisionError, "or a mapping, not"),
        (None, PrecisionError, "not None"),
        (16, PrecisionError, "not 16"),
        ("auto", PrecisionError, "'auto' needs data"),
        ({"*": A, "a\nb": B}, PrecisionError, "one line of text"),
    ],
    ids=str,
)
def test_precisions_that_do_not_parse(bad: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        Precision.parse(bad)
    assert "\n" not in str(caught.value)


def test_text_of_a_precision() -> None:
    assert str(Precision.parse("ap_fixed<16,6>")) == "ap_fixed<16,6>"
    assert str(Precision.parse({"*": A, "gru.gate": B})) == "*: fixed<10,4>, gru.gate: fixed<11,4>"
