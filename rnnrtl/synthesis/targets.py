"""The FPGA families that Yosys can map to, and what each of their cells counts as."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rnnrtl.errors import ToolError

RESOURCES = ("lut", "ff", "dsp", "bram", "carry")

IN_LUTS = "in_luts"
"""Attribute of a product that gets no multiplier, on the families that nextpnr routes."""


@dataclass(frozen=True)
class Target:
    """A family of FPGAs: the Yosys commands that map a design to it, and how cells are counted.

    Members
    -------
    name : the name `estimate()` takes
    description : one line for people
    script : Yosys commands between reading the design and `stat`; `{top}` is the top module
    cells : for each primitive, as a regular expression over its whole name, what it uses of
        `RESOURCES`; a primitive that costs nothing of them has an empty entry
    """

    name: str
    description: str
    script: str
    cells: Mapping[str, Mapping[str, float]]

    def count(self, cells: Mapping[str, int]) -> dict[str, float]:
        """Return the total of each of `RESOURCES` over `cells` (primitive -> how many).

        Raises ToolError for a primitive that `self.cells` does not know: leaving it out would
        understate the design.
        """
        totals = dict.fromkeys(RESOURCES, 0.0)
        for cell, number in cells.items():
            uses = next((u for p, u in self.cells.items() if re.fullmatch(p, cell)), None)
            if uses is None:
                raise ToolError(
                    f"Yosys left {number} cells {cell!r} that target {self.name!r} cannot count"
                )
            for resource, amount in uses.items():
                totals[resource] += amount * number
        return totals


# A distributed RAM or a shift register occupies the LUTs of a SLICEM, so it counts as LUTs: as many
# as UG474 (7 series) and UG574 (UltraScale) give for each primitive.
_XILINX: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "LUT[1-6]": {"lut": 1},
        "INV": {"lut": 1},
        "MUXF[789]": {},
        "CARRY[48]": {"carry": 1},
        "(FD[RSCP]E|LD[CP]E)(_1)?": {"ff": 1},
        "SRL(16|C16|C32)E": {"lut": 1},
        "RAM(32|64)X1S(_1)?": {"lut": 1},
        "RAM(32|64)X1D(_1)?": {"lut": 2},
        "RAM128X1S(_1)?": {"lut": 2},
        "RAM(128X1D|256X1S)(_1)?": {"lut": 4},
        "RAM(256X1D|512X1S)": {"lut": 8},
        "RAM(32|64)M": {"lut": 4},
        "RAM(32M16|64M8)": {"lut": 8},
        "DSP48E[12]": {"dsp": 1},
        "RAMB36E[12]": {"bram": 1},
        "RAMB18E[12]": {"bram": 0.5},
        "BUFG|[IO]BUF|GND|VCC": {},
    }
)

# CCU2C is a slice's two LUT4 in their carry mode. A 16x4 distributed RAM takes four LUT4 and
# the two of the slice that serves as its write port.
_ECP5: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "LUT4": {"lut": 1},
        "PFUMX|L6MUX21": {},
        "CCU2C": {"lut": 2, "carry": 1},
        "TRELLIS_FF": {"ff": 1},
        "TRELLIS_DPR16X4": {"lut": 6},
        "MULT(18X18|9X9)D": {"dsp": 1},
        "DP16KD|PDPW16KD": {"bram": 1},
    }
)

# SB_CARRY shares its logic cell with the LUT that computes the sum bit.
_ICE40: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "SB_LUT4": {"lut": 1},
        "SB_CARRY": {"carry": 1},
        "SB_DFF(N?)(E?)(SR|SS|R|S)?": {"ff": 1},
        "SB_MAC16": {"dsp": 1},
        "SB_RAM40_4K(NR|NW|NRNW)?": {"bram": 1},
        "SB_(GB|IO)": {},
    }
)

# Yosys knows the registers inside a DSP48E1, not those inside a DSP48E2. Mapping multipliers with
# the 7 series' rules inside the UltraScale+ flow packs them, as Vivado does: operand, product and
# accumulator registers, post-adder and cascade. The commands are those of synth_xilinx's own
# label map_dsp.
_PACK_DSP = (
    "memory_dff",
    "alumacc -macc-only",
    "maccmap -unmap",
    "opt_clean",
    "techmap -map +/mul2dsp.v -map +/xilinx/xc7_dsp_map.v -D DSP_A_MAXWIDTH=25 "
    "-D DSP_B_MAXWIDTH=18 -D DSP_A_MAXWIDTH_PARTIAL=18 -D DSP_A_MINWIDTH=2 "
    "-D DSP_B_MINWIDTH=2 -D DSP_Y_MINWIDTH=9 -D DSP_SIGNEDONLY=1 -D DSP_NAME=$__MUL25X18",
    "select a:mul2dsp",
    "setattr -unset mul2dsp",
    "opt_expr -fine",
    "wreduce",
    "select -clear",
    "xilinx_dsp -family xc7",
    "chtype -set $mul t:$__soft_mul",
)

# Left alone, Yosys merges the adders of a tree without registers into one sum of many operands and
# builds it from full adders in LUTs. On a matrix product that takes 1.7 times the LUTs of one
# carry chain an adder, which is what Vivado makes of it, and twice the time.
_ONE_CHAIN_AN_ADDER = "techmap -max_iter 1 -map +/techmap.v t:$add t:$sub"

# Mapping without ABC's restructuring before it: on the fully parallel GRU(20) of the demo 148 CPU
# seconds instead of 275, and 65,451 LUTs instead of 69,493.
_FAST_ABC = "scratchpad -copy abc9.script.default.fast abc9.script"


def _xilinx(family: str, *, pack_dsp: bool = False) -> str:
    # Out of context: no pads and no clock buffers, because the core goes inside a larger design.
    synth = f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -top {{top}}"
    packing = _PACK_DSP if pack_dsp else (f"{synth} -run map_dsp:coarse",)
    return "\n".join(
        [
            _FAST_ABC,
            f"{synth} -run begin:map_dsp",
            *packing,
            _ONE_CHAIN_AN_ADDER,
            f"{synth} -run coarse:check",
        ]
    )


def _lattice(synth: str) -> str:
    # These flows have no label between DSPs and adders, but adders need no DSP mapped before.
    return "\n".join(
        [
            _FAST_ABC,
            "hierarchy -top {top}",
            "proc",
            "flatten",
            "opt_clean",
            _ONE_CHAIN_AN_ADDER,
            f"{synth} -top {{top}} -run begin:coarse",
            # What the DSP mapping leaves alone, and turns into a product again behind it.
            f"chtype -set $__soft_mul a:{IN_LUTS}",
            f"{synth} -top {{top}} -run coarse:",
        ]
    )


def _targets(*targets: Target) -> Mapping[str, Target]:
    return MappingProxyType({target.name: target for target in targets})


TARGETS = _targets(
    Target(
        "xcup",
        "AMD UltraScale+ (only the multipliers themselves in DSP48E2: FF, LUT, carry too high)",
        _xilinx("xcup"),
        _XILINX,
    ),
    Target(
        "xcup-packed",
        "AMD UltraScale+, registers and adders packed into DSPs by the 7 series' rules",
        _xilinx("xcup", pack_dsp=True),
        _XILINX,
    ),
    Target("xcu", "AMD UltraScale", _xilinx("xcu"), _XILINX),
    Target("xc7", "AMD 7 series", _xilinx("xc7"), _XILINX),
    Target("ecp5", "Lattice ECP5", _lattice("synth_ecp5"), _ECP5),
    Target("ice40", "Lattice iCE40 UltraPlus", _lattice("synth_ice40 -dsp -device u"), _ICE40),
)
