"""How long operations take: the model by which registers are placed.

Each family is a handful of numbers, in nanoseconds, that include a typical share of routing. They
decide where registers go and what the schedule promises at a wanted clock; they do not replace
place and route.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from rnnrtl.errors import UnsupportedError


@dataclass(frozen=True)
class Crowding:
    """How much longer everything takes in a large design, where wires lead further.

    Members
    -------
    doubling : by which part, for each doubling of the area beyond `roomy`
    roomy : area up to which wires are typical, in look-up tables
    multiplier : look-up tables that devices have for each multiplier: the area that one takes
    """

    doubling: float
    roomy: float
    multiplier: float

    def factor(self, area: float) -> float:
        """Return how many times as long everything takes in a design of an area."""
        return 1 + self.doubling * math.log2(max(area / self.roomy, 1.0))


@dataclass(frozen=True)
class Delays:
    """Delays of one FPGA family, in ns.

    Members
    -------
    family : name
    register : clock to output plus set-up, paid once a cycle
    logic : one look-up table with its routing
    chain : getting into a carry chain and out of it, beyond one look-up table
    carry : one bit of a carry chain
    multiplier : a product in a DSP block, without its internal registers
    fan_out : wire longer for each doubling of the adders or multipliers that read a signal
    crowding : how everything takes longer in a large design; None where that is not known
    multiplier_bits : widths (a, b) of signed operands that one block takes
    lut_inputs : of a look-up table
    rom_inputs : address bits that look-up tables resolve with the wide multiplexers beside them
    rom_step : further address bits that each level of logic behind them resolves
    mux : one such multiplexer
    alu : adding to a product inside its DSP block, after the multiplier; None where the block has
        no adder or synthesis does not use it
    block_ram : from the clock to the output of a block RAM without an output register, with
        routing, beyond what `register` has of it
    source : where the numbers come from
    """

    family: str
    register: float
    logic: float
    chain: float
    carry: float
    multiplier: float
    fan_out: float
    crowding: Crowding | None
    multiplier_bits: tuple[int, int]
    lut_inputs: int
    rom_inputs: int
    rom_step: int
    mux: float
    alu: float | None
    block_ram: float
    source: str

    def adder(self, width: int) -> float:
        """Return the delay of an adder, subtractor or comparator of `width` bits."""
        return self.logic + self.chain + self.carry * width

    def net(self, readers: int) -> float:
        """Return what getting a signal to many readers takes longer than to one."""
        return self.fan_out * math.log2(max(readers, 1))

    def crowded(self, area: float) -> "Delays":
        """Return the delays in a design of some area."""
        if self.crowding is None:
            return self
        k = self.crowding.factor(area)
        return replace(
            self,
            register=k * self.register,
            logic=k * self.logic,
            chain=k * self.chain,
            carry=k * self.carry,
            multiplier=k * self.multiplier,
            fan_out=k * self.fan_out,
            mux=k * self.mux,
            alu=None if self.alu is None else k * self.alu,
            block_ram=k * self.block_ram,
        )

    def product(self, width_a: int, width_b: int) -> float:
        """Return the delay of a product; wider than a block means adders behind it."""
        return self.multiplier + (self.blocks(width_a, width_b) - 1) * self.adder(width_a + width_b)

    def blocks(self, width_a: int, width_b: int) -> int:
        """Return how many DSP blocks a product takes."""
        narrow, wide = sorted((width_a, width_b))
        block_narrow, block_wide = sorted(self.multiplier_bits)
        return -(-narrow // block_narrow) * -(-wide // block_wide)

    def rom(self, entries: int) -> float:
        """Return the delay of a ROM in look-up tables."""
        address = max(entries - 1, 1).bit_length()
        muxes = max(0, min(address, self.rom_inputs) - self.lut_inputs)
        levels = 1 - (-max(0, address - self.rom_inputs) // self.rom_step)
        return self.logic * levels + self.mux * muxes

    def choice(self, count: int) -> float:
        """Return the delay of taking one of several values by a counter."""
        if count == 1:
            return 0.0
        selects = (count - 1).bit_length()
        resolved = 2 if self.lut_inputs >= 6 else 1
        return self.logic * -(-selects // resolved)

    def in_memory(self, count: int) -> bool:
        """Whether constants by a counter are better in block RAM than in look-up tables."""
        return count > 1 << self.lut_inputs

    def saturation(self, dropped_bits: int) -> float:
        """Return the delay of saturating to a power of two: compare the upper bits, select."""
        levels = 1 if dropped_bits < self.lut_inputs else 2
        return self.logic * (levels + 1)


_DATA_SHEET = "estimate of the order of {}'s switching characteristics, with as much for routing"

DELAYS: Mapping[str, Delays] = MappingProxyType(
    {
        "xcup": Delays(
            "UltraScale+", 0.25, 0.45, 0.0, 0.01, 3.0, 0.0, None, (27, 18), 6, 9, 2, 0.07, 1.2, 1.3,
            _DATA_SHEET.format("DS923"),
        ),
        "xcu": Delays(
            "UltraScale", 0.3, 0.6, 0.0, 0.013, 3.6, 0.0, None, (27, 18), 6, 9, 2, 0.1, 1.5, 1.6,
            _DATA_SHEET.format("DS893"),
        ),
        "xc7": Delays(
            "7 series", 0.5, 0.9, 0.0, 0.03, 4.4, 0.0, None, (25, 18), 6, 8, 2, 0.15, 1.8, 2.2,
            _DATA_SHEET.format("DS182"),
        ),
        "ecp5": Delays(
            "ECP5-6", 2.0, 1.6, 0.65, 0.035, 7.9, 0.8, Crowding(0.1, 15_000, 536), (18, 18),
            4, 7, 1, 0.5, None, 6.0,
            "slowest paths that nextpnr-ecp5 reports: 0.24 ns a look-up table, 0.9 ns through a "
            "carry chain, 3.9 ns a product, 0.5 ns a register; wires of 1.3 to 2.5 ns, to many "
            "readers 4 to 6 ns; 1.5 ns of the register are what a large design adds to them. What "
            "designs of more than 15,000 look-up tables add is set by those of eight units, which "
            "were up to 14 % slower than the model without it",
        ),
        "ice40": Delays(
            "iCE40 UP", 1.9, 3.5, 1.0, 0.3, 13.0, 0.0, None, (16, 16), 4, 4, 1, 0.0, None, 5.0,
            "slowest paths that nextpnr-ice40 reports on the UP5K: 0.9 to 1.2 ns a look-up table, "
            "0.65 ns into a carry chain, 0.28 ns a bit and 0.56 ns more every eight, 1.5 to 2.1 ns "
            "out of it, 1.4 ns and up to 1.2 ns a register; wires of 1.8 to 3.6 ns, 2.6 ns on "
            "average. It times no path through a multiplier: 8.0 ns by Project IceStorm's data, "
            "27 ns for a product of 10 bits in look-up tables; this and block RAM are estimates",
        ),
    }
)  # fmt: skip
"""Target of `estimate` -> its delays."""


def delays_of(target: str) -> Delays:
    """Return the delays of a target, or raise UnsupportedError naming the known ones."""
    if target not in tuple(DELAYS):  # a mapping would want to hash it
        raise UnsupportedError(f"unknown target {target!r}, known: {', '.join(DELAYS)}")
    return DELAYS[target]
