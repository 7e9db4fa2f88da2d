"""The lint waivers let Amaranth's own habits pass, and nothing else."""

import pytest
from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.back import verilog
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rnnrtl.errors import ToolError
from rnnrtl.simulate import lint as lint_module
from rnnrtl.simulate.lint import lint
from rnnrtl.simulate.testbench import testbench_sources


class Saturate(wiring.Component):
    """Round 8 bits away, then clamp to 16."""

    def __init__(self) -> None:
        super().__init__({"i": In(signed(28)), "o": Out(signed(16))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rounded = Signal(signed(20))
        m.d.comb += rounded.eq((self.i + 128) >> 8)
        with m.If(rounded > 32767):
            m.d.comb += self.o.eq(32767)
        with m.Elif(rounded < -32768):
            m.d.comb += self.o.eq(-32768)
        with m.Else():
            m.d.comb += self.o.eq(rounded)
        return m


class Table(wiring.Component):
    """An odd function from a ROM of its positive half."""

    def __init__(self) -> None:
        super().__init__({"x": In(signed(16)), "y": Out(signed(16))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [(i * i) % 2**15 for i in range(1024)]
        m.submodules.rom = rom = Memory(shape=unsigned(15), depth=1024, init=words)
        port = rom.read_port()
        magnitude = Signal(16)
        negative = Signal()
        m.d.comb += magnitude.eq(Mux(self.x < 0, ~self.x, self.x))
        m.d.sync += negative.eq(self.x[-1])
        m.d.comb += port.addr.eq(magnitude >> 5)
        m.d.comb += self.y.eq(Mux(negative, -port.data, port.data))
        return m


class Core(wiring.Component):
    """AXI-Stream ports, a pipeline that stalls, lanes, a state machine, two submodules."""

    def __init__(self) -> None:
        ports = {}
        for prefix, offered, taken, width in (("s", In, Out, 32), ("m", Out, In, 16)):
            ports[f"{prefix}_axis_tdata"] = offered(width)
            ports[f"{prefix}_axis_tvalid"] = offered(1)
            ports[f"{prefix}_axis_tready"] = taken(1)
            ports[f"{prefix}_axis_tlast"] = offered(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.saturate = saturate = Saturate()
        m.submodules.table = table = Table()
        go = Signal()
        valid, last = Signal(4), Signal(4)
        a, b = Signal(signed(12)), Signal(signed(16))
        product, total = Signal(signed(28)), Signal(signed(28))
        lanes = Signal(data.ArrayLayout(signed(16), 2))
        m.d.comb += go.eq(~self.m_axis_tvalid | self.m_axis_tready)
        m.d.comb += self.s_axis_tready.eq(go)
        with m.If(go):
            m.d.sync += [
                valid.eq(Cat(self.s_axis_tvalid, valid)),
                last.eq(Cat(self.s_axis_tlast, last)),
                a.eq(self.s_axis_tdata[:12]),
                b.eq(self.s_axis_tdata[16:]),
                product.eq(a * b),
                lanes[0].eq(b),
                lanes[1].eq(lanes[0] - 7),
                total.eq(Mux(last[1], product, total + product * 3 + lanes[1])),
            ]
        with m.FSM():
            with m.State("EVEN"), m.If(go):
                m.next = "ODD"
            with m.State("ODD"), m.If(self.m_axis_tready):
                m.next = "EVEN"
        m.d.comb += [
            saturate.i.eq(total),
            table.x.eq(saturate.o),
            self.m_axis_tdata.eq(table.y),
            self.m_axis_tvalid.eq(valid[3]),
            self.m_axis_tlast.eq(last[3]),
        ]
        return m


def test_what_amaranth_writes_is_clean() -> None:
    text = verilog.convert(Core(), name="core", emit_src=False, strip_internal_attrs=True)
    assert lint(text, "core") == []


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("assign o = a + 9'd1;", "WIDTHTRUNC"),
        ("assign o = c;", "UNDRIVEN"),
        ("assign o = missing;", "Error"),
        ("reg [7:0] r; always @* if (a[0]) r = a; assign o = r;", "LATCH"),
        ("assign o = a; assign o = ~a;", "MULTIDRIVEN"),
        ("logic [7:0] x; assign x = a; assign o = x;", "Error"),
        ("assign o = a", "Error"),
    ],
)
def test_faults_are_found(body: str, rule: str) -> None:
    found = lint(f"module t(input [7:0] a, output [7:0] o); wire [7:0] c; {body} endmodule\n", "t")
    assert any(line.startswith((f"%Warning-{rule}: t.v:", f"%{rule}: t.v:")) for line in found)


def test_every_waiver_is_explained() -> None:
    lines = (testbench_sources() / "lint.vlt").read_text().splitlines()
    waivers = [i for i, line in enumerate(lines) if line.startswith("lint_off")]
    assert waivers
    assert all(lines[i - 1].startswith("//") for i in waivers)


def test_missing_verilator(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ToolError("Verilator is not installed")

    monkeypatch.setattr(lint_module, "find_verilator", missing)
    with pytest.raises(ToolError, match="Verilator is not installed"):
        lint("", "t")
