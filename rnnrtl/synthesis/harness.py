"""A module of four pins around a design that has more than a device's package.

Every input but clock and reset comes from a shift register, every output goes into a register that
is xored along a chain. So all paths of the design run from register to register, where timing
analysis sees them, and nothing of it can be left out as unused.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module: its name, whether it is an input, its width in bits."""

    name: str
    is_input: bool
    width: int

    @property
    def is_pin(self) -> bool:
        """Whether the harness gives it a pin of its own: clock and reset."""
        return self.name in ("clk", "rst")


class Harness(wiring.Component):
    """The harness of the Verilog module `top`.

    Parameters
    ----------
    top : name of the module
    ports : all of its ports

    Members
    -------
    serial_in : In
        First bit of the shift register that drives the inputs.
    serial_out : Out
        Last register of the chain, a function of all outputs.
    """

    def __init__(self, top: str, ports: Iterable[Port]) -> None:
        self.top = top
        self.ports = tuple(ports)
        super().__init__({"serial_in": In(1), "serial_out": Out(1)})

    @property
    def registers(self) -> int:
        """Flip-flops of the harness, each with a look-up table where it stands for an output."""
        return sum(port.width for port in self.ports if not port.is_pin)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins = {"clk": ClockSignal(), "rst": ResetSignal()}
        # Without a reset: the design's own shall not have more readers here than elsewhere.
        driven = [
            Signal(port.width, name=f"{port.name}_bits", reset_less=True)
            for port in self.ports
            if port.is_input and not port.is_pin
        ]
        seen = [
            Signal(port.width, name=f"{port.name}_bits") for port in self.ports if not port.is_input
        ]
        wires = iter(driven), iter(seen)
        m.submodules.design = Instance(
            self.top,
            *(
                ("i", port.name, pins[port.name] if port.is_pin else next(wires[0]))
                if port.is_input
                else ("o", port.name, next(wires[1]))
                for port in self.ports
            ),
        )
        shifted, outputs = Cat(driven), Cat(seen)
        chain = Signal(len(outputs), reset_less=True)
        m.d.sync += [
            shifted.eq(Cat(self.serial_in, shifted)),
            chain.eq(outputs ^ (chain << 1)),
        ]
        m.d.comb += self.serial_out.eq(chain[-1:])
        return m
