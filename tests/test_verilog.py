"""The Verilog text: deterministic, Verilog-2005, clean, and with the ports of the contract."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnrtl.design import Design
from rnnrtl.errors import ModelError
from rnnrtl.generation import generate
from rnnrtl.hardware.verilog import to_verilog
from rnnrtl.simulate.lint import lint
from tests.networks import CELLS, dense, network, recurrent

ROOT = Path(__file__).resolve().parent.parent

DESIGNS: dict[str, tuple[Any, Any]] = {
    **{
        f"{cell} and head": (network(recurrent(cell), dense(3, 1, "sigmoid")), "fixed<16,6>")
        for cell in CELLS
    },
    "lstm, all steps, symmetric": (
        network(recurrent("lstm", sequences=True)), "fixed<9,3,RND_CONV,SAT_SYM>",
    ),
    "gru, Vitis": (network(recurrent("gru_after"), dense(3, 2)), "ap_fixed<12,5>"),
    "gru, saturated to zero": (network(recurrent("gru_before")), "fixed<10,4,RND_ZERO,SAT_ZERO>"),
    "stacked": (
        network(
            recurrent("gru_after", 2, 2, sequences=True, name="lower"),
            recurrent("lstm", 2, 2, name="upper"),
            dense(2, 2, "relu"),
        ),
        {"*": "fixed<12,4>", "upper.cell": "fixed<14,6>", "lower.hidden": "fixed<9,1>"},
    ),
    "dense only": (network(dense(3, 2, "tanh")), "fixed<8,3>"),
    "tables of one entry": (
        network(recurrent("lstm")), {"*": "fixed<12,5>", "gate": "fixed<4,5>"},
    ),
    "unsigned values": (
        network(recurrent("gru_after", 1, 1, name="a"), dense(1, 1, name="b")), "fixed<8,3>",
    ),
}  # fmt: skip


def designed(name: str) -> Design:
    net, precision = DESIGNS[name]
    return generate(net, precision)


@pytest.mark.parametrize("name", DESIGNS)
def test_verilog_2005_without_warnings(name: str, tmp_path: Path) -> None:
    design = designed(name)
    path = tmp_path / "network.v"
    path.write_text(design.verilog)
    command = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-t", "null", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    # Yosys writes `always @*` with a constant dummy in it; Icarus remarks on that and no more.
    remarks = [line for line in done.stderr.splitlines() if "sensitiv" not in line]
    assert remarks == []


@pytest.mark.parametrize("name", DESIGNS)
def test_lint_finds_nothing(name: str) -> None:
    design = designed(name)
    assert lint(design.verilog, design.name) == []


def test_the_top_has_the_ports_of_the_contract() -> None:
    net = network(recurrent("lstm", 3, 2), dense(2, 5), name="my_top")
    text = generate(
        net, {"*": "fixed<12,5>", "input": "fixed<8,3>", "output": "fixed<17,5>"}
    ).verilog
    (top,) = re.findall(r"^module my_top\s*\((.*?)\);(.*?)^endmodule", text, re.M | re.S)
    ports = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^\s*(input|output|inout)\s+(?:\[(\d+):0\]\s*)?(\w+);", top[1], re.M
        )
    }
    assert ports == {
        "clk": ("input", 1),
        "rst": ("input", 1),
        "s_axis_tdata": ("input", 3 * 8),
        "s_axis_tvalid": ("input", 1),
        "s_axis_tready": ("output", 1),
        "s_axis_tlast": ("input", 1),
        "m_axis_tdata": ("output", 5 * 32),
        "m_axis_tvalid": ("output", 1),
        "m_axis_tready": ("input", 1),
        "m_axis_tlast": ("output", 1),
    }
    assert sorted(port.strip() for port in top[0].split(",")) == sorted(ports)


SCRIPT = """
import hashlib, random
from tests.networks import CELLS, dense, network, recurrent
from rnnrtl.generation import generate
for cell in CELLS:
    design = generate(network(recurrent(cell), dense(3, 2, "tanh")), "fixed<12,4>")
    print(hashlib.sha256(design.verilog.encode()).hexdigest())
"""


def hashes(folder: Path, seed: str) -> list[str]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.split()


def test_the_same_bytes_in_every_process_and_folder(tmp_path: Path) -> None:
    first, second = hashes(tmp_path / "a", "1"), hashes(tmp_path / "another folder", "77")
    assert first == second
    design = generate(network(recurrent("lstm"), dense(3, 2, "tanh")), "fixed<12,4>")
    assert design.verilog == to_verilog(design.core, design.name)  # twice in one process
    assert hashlib.sha256(design.verilog.encode()).hexdigest() == first[0]


@pytest.mark.parametrize("name", DESIGNS)
def test_nothing_of_this_machine_is_in_the_text(name: str) -> None:
    text = designed(name).verilog
    assert text.isascii()
    for word in (str(ROOT), str(Path.home()), "/tmp", ".py", "site-packages", "src ="):
        assert word not in text
    assert not re.findall(r"(?<![*/])/\w+/\w+", text)


def test_names_tell_what_they_are() -> None:
    text = designed("stacked")
    modules = re.findall(r"^module \\?([\w.]+)", text.verilog, re.M)
    assert modules[0] == "network"
    assert {"network.lower", "network.upper", "network.head"} <= set(modules)
    tables = (r"sigmoid_\w*table", r"tanh_\w*table")
    for name in ("z_preactivation_0", "c_next_0", "h_next_1", *tables):
        assert re.search(rf"\b{name}", text.verilog), name


@pytest.mark.parametrize(
    "layer", ["results", "clk", "rst", "accept", "beat_0", "result", "busy", "x_0", "s_axis_tdata"]
)
def test_layers_named_like_parts_of_the_core(layer: str) -> None:
    net = network(recurrent("gru_after", 1, 1, name=layer), dense(1, 1, name=f"{layer}_1"))
    design = generate(net, "fixed<8,3>")
    result = design.simulate([[[0.5], [-1.0]]], "icarus" if layer == "results" else "amaranth")
    assert result.bit_exact
    assert lint(design.verilog, design.name) == []


@pytest.mark.parametrize("name", ["", "a b", "1a", "a-b", "größe", "a.b"])
def test_names_that_verilog_does_not_have(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name!r} is not a Verilog module name"):
        to_verilog(None, name)  # the core is not looked at
