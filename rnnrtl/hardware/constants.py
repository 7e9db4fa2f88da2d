"""Constants that change from cycle to cycle, as the weights of multipliers that rows share."""

from collections import defaultdict
from collections.abc import Callable

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import memory

from rnnrtl.hardware.beats import Beats
from rnnrtl.schedule.operations import Op

WIDEST = 1 << 16
"""Bits of a memory's words at most: longer vectors are not sure to be read by all tools."""


class Constants:
    """All constants of a layer that are due in the same cycles, side by side in one memory's words.

    So few address registers do for all, and synthesis may cut block RAMs from the words as they
    fit. What has few words is read from look-up tables in the cycle of its address.
    """

    def __init__(self, beats: Beats) -> None:
        self._beats = beats
        self._due: dict[tuple[str, int, int, bool], list[tuple[Op, Signal]]] = defaultdict(list)

    def read(self, op: Op, signal: Signal) -> None:
        """Drive a signal with another constant in each phase of an operation."""
        self._due[op.layer, op.cycle, op.phases, op.block].append((op, signal))

    def connect(self, module: Callable[[str], Module]) -> None:
        """Make the memories that were asked for; `module` gives that of a layer."""
        for (layer, cycle, phases, block), due in self._due.items():
            m = module(layer)
            style = {"rom_style": "block" if block else "logic"}
            address = self._beats.coming_phase if block else self._beats.phase
            for number, part in enumerate(_parts(due)):
                words, start = [0] * phases, 0
                for op, _ in part:
                    mask = (1 << op.width) - 1
                    for phase, value in enumerate(op.values):
                        words[phase] |= (value & mask) << start
                    start += op.width
                table = memory.Memory(shape=unsigned(start), depth=phases, init=words, attrs=style)
                name = f"constants_{cycle}_{phases}"
                m.submodules[f"{name}_{number}" if number else name] = table
                port = table.read_port(domain="sync" if block else "comb")
                m.d.comb += port.addr.eq(address(cycle, phases))
                m.d.comb += Cat(signal for _, signal in part).eq(port.data)


def _parts(due: list[tuple[Op, Signal]]) -> list[list[tuple[Op, Signal]]]:
    """Return constants in parts that have a word each."""
    parts: list[list[tuple[Op, Signal]]] = [[]]
    bits = 0
    for op, signal in due:
        bits += op.width
        if bits > WIDEST:
            parts.append([])
            bits = op.width
        parts[-1].append((op, signal))
    return parts
