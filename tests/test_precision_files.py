"""Precisions as source and as TOML files: what goes out comes back, all else is refused."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnrtl.errors import OutputError, PrecisionError
from rnnrtl.fixedpoint import Format, Overflow, Precision, Rounding

FORMATS = st.builds(
    Format,
    st.integers(1, 64),
    st.integers(-64, 128),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)
PATTERNS = st.sampled_from(
    ["gru.hidden", "*.kernel", "input", "*", "g?u.*", "[!a]*", "a b", '"']
) | (st.text(st.characters(exclude_categories=("C", "Z")), max_size=8))
PRECISIONS = st.builds(
    Precision, FORMATS, st.lists(st.tuples(PATTERNS, FORMATS), max_size=6).map(tuple)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(PRECISIONS)
def test_source_and_file_give_an_equal_precision(tmp_path: Path, precision: Precision) -> None:
    assert eval(repr(precision)) == precision
    assert Precision.parse(precision.as_dict()) == precision
    precision.save(tmp_path / "p.toml")
    again = Precision.load(tmp_path / "p.toml")
    assert again == precision
    assert repr(again) == repr(precision)
    for layer, tensor in (("gru", "hidden"), ("a", "kernel"), ("", "input")):
        assert again.format(layer, tensor) == precision.format(layer, tensor)


A, B, C = (Format(width, 4) for width in (10, 11, 12))


def test_equal_rules_compare_equal() -> None:
    twice = Precision(A, (("gate", B), ("cell", B), ("gate", C)))
    assert twice == Precision(A, (("cell", B), ("gate", C)))
    assert twice.format("gru", "gate") == C
    assert Precision(A, (("gate", B), ("*", C), ("cell", A))) == Precision(C, (("cell", A),))
    assert Precision("fixed<10,4>", [["gate", "fixed<11,4>"]]) == Precision(A, (("gate", B),))  # type: ignore[arg-type]
    assert hash(Precision(A)) == hash(Precision.parse("fixed<10,4>"))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("gate", "rules are pairs"),
        ({"gate": B}, "rules are pairs"),
        (None, "rules are pairs"),
        (("gate",), "a rule is a pair"),
        ((("gate", B, C),), "a rule is a pair"),
        (((3, B),), "is text, not 3"),
        ((("gate", 3),), "a format is text"),
    ],
    ids=str,
)
def test_rules_that_are_none(rules: Any, words: str) -> None:
    with pytest.raises(PrecisionError, match=words):
        Precision(A, rules)


def test_with_rules_go_before_those_that_are_there() -> None:
    precision = Precision.parse({"*": A, "gru.hidden": B}).with_rules({"gru": {"*": "fixed<12,4>"}})
    assert precision.format("gru", "hidden") == C
    assert precision.format("lstm", "hidden") == A


def test_files_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = '# mine\n"*" = "fixed<10,4>"\ngate = "fixed<11,4>"\n[gru]\nhidden = "fixed<12,4>"\n'
    (tmp_path / "p.toml").write_text(text)
    precision = Precision.load(str(tmp_path / "p.toml"))
    assert precision == Precision(A, (("gate", B), ("gru.hidden", C)))


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", 'needs an entry "\\*"'),
    "no default": (b'gate = "fixed<8,2>"', 'needs an entry "\\*"'),
    "a bad format": (b'"*" = "float32"', "'float32' is not a format"),
    "a number": (b'"*" = 16', "not 16"),
    "a list": (b'"*" = ["fixed<8,2>"]', "a format is text"),
    "a date": (b'"*" = 1979-05-27', "a format is text"),
    "auto": (b'"*" = "auto"', "is not a format"),
    "no TOML": (b"fixed<8,2>", "is no TOML file"),
    "a key twice": (b'"*" = "fixed<8,2>"\n"*" = "fixed<9,2>"', "is no TOML file"),
    "not UTF-8": (b'"*" = "\xff"', "is no TOML file: 'utf-8' codec"),
    "binary": (bytes(range(256)), "is no TOML file"),
    "a line in a key": (b'"*" = "fixed<8,2>"\n"a\\nb" = "fixed<8,2>"', "one line of text"),
    "nested to no end": (b'"*" = ' + b"[" * 100_000, "is no TOML file"),
    "tables to no end": (b"[" + b"a." * 100_000 + b'b]\n"*" = 1', ""),
    "too long": (b"#" * (1 << 20) + b"\n", "more than 1048576 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_refused(name: str, tmp_path: Path) -> None:
    data, words = BAD[name]
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    with pytest.raises(PrecisionError, match=f"bad.toml.*{words}") as caught:
        Precision.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_places_that_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path, Path("a\0b.toml")):
        with pytest.raises(PrecisionError):
            Precision.load(path)
    os.mkfifo(tmp_path / "pipe.toml")  # nobody writes to it: reading would wait for ever
    with pytest.raises(PrecisionError, match="is not a file"):
        Precision.load(tmp_path / "pipe.toml")
    with pytest.raises(PrecisionError, match="name the file so"):
        Precision(A).save(tmp_path / "p.txt")
    with pytest.raises(OutputError, match="cannot write"):
        Precision(A).save(tmp_path / "missing" / "p.toml")


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.toml"
    Precision(A).save(path)

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Precision(B).save(path)
    assert Precision.load(path) == Precision(A)
    assert [p.name for p in tmp_path.iterdir()] == ["p.toml"]
    Precision(B).save(path)
    assert Precision.load(path) == Precision(B)
