"""How long operations take: the model by which registers are placed.

Each family is a handful of numbers, in nanoseconds, that include a typical share of routing. They
decide where registers go and what the schedule promises at a wanted clock; they do not replace
place and route.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rnnrtl.errors import UnsupportedError


@dataclass(frozen=True)
class Delays:
    """Delays of one FPGA family, in ns.

    Members
    -------
    family : name
    register : clock to output plus set-up, paid once a cycle
    logic : one look-up table with its routing
    carry : one bit of a carry chain
    multiplier : a product in a DSP block, without its internal registers
    multiplier_bits : widths (a, b) of signed operands that one block takes
    rom_inputs : address bits that one look-up table (with its wide multiplexers) resolves
    source : where the numbers come from
    """

    family: str
    register: float
    logic: float
    carry: float
    multiplier: float
    multiplier_bits: tuple[int, int]
    rom_inputs: int
    source: str

    def adder(self, width: int) -> float:
        """Return the delay of an adder, subtractor or comparator of `width` bits."""
        return self.logic + self.carry * width

    def product(self, width_a: int, width_b: int) -> float:
        """Return the delay of a product; wider than a block means adders behind it."""
        narrow, wide = sorted((width_a, width_b))
        block_narrow, block_wide = sorted(self.multiplier_bits)
        blocks = -(-narrow // block_narrow) * -(-wide // block_wide)
        return self.multiplier + (blocks - 1) * self.adder(width_a + width_b)

    def rom(self, entries: int) -> float:
        """Return the delay of a ROM in look-up tables."""
        levels = 1 + max(0, (entries - 1).bit_length() - self.rom_inputs + 1) // 2
        return self.logic * levels


_XILINX = "AMD data sheets' switching characteristics, middle speed grade, with half for routing"

DELAYS: Mapping[str, Delays] = MappingProxyType(
    {
        "xcup": Delays("UltraScale+", 0.25, 0.45, 0.015, 3.0, (27, 18), 8, f"DS923 ({_XILINX})"),
        "xcu": Delays("UltraScale", 0.3, 0.6, 0.02, 3.6, (27, 18), 8, f"DS893 ({_XILINX})"),
        "xc7": Delays("7 series", 0.5, 0.9, 0.03, 4.4, (25, 18), 8, f"DS182 ({_XILINX})"),
        "ecp5": Delays("ECP5-6", 0.9, 1.6, 0.06, 5.5, (18, 18), 6, "nextpnr-ecp5 timing, rounded"),
        "ice40": Delays("iCE40 UP", 1.9, 2.8, 0.28, 13.0, (16, 16), 4, "DS1056, rounded up"),
    }
)
"""Target of `estimate` -> its delays."""


def delays_of(target: str) -> Delays:
    """Return the delays of a target, or raise UnsupportedError naming the known ones."""
    if target not in tuple(DELAYS):  # a mapping would want to hash it
        raise UnsupportedError(f"unknown target {target!r}, known: {', '.join(DELAYS)}")
    return DELAYS[target]
