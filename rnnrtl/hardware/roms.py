"""Read ports of tables, in look-up tables or in block RAM."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import memory

from rnnrtl.hardware.registers import extended, shape_of
from rnnrtl.lut.table import Rom
from rnnrtl.schedule.operations import Op

_BLOCK_PORTS = 2  # of a block RAM; Yosys does not divide a memory with more among several

# Logic is read in the cycle of the address, which no block RAM can do: without the attribute Yosys
# looks for one, and fails.
_STYLES = {False: {"rom_style": "logic"}, True: {"rom_style": "block"}}


class Roms:
    """The ROMs of a design: the lanes of a table share one, or one block RAM for every two.

    Parameters
    ----------
    module : layer name -> the module that the layer's signals belong to
    """

    def __init__(self, module: Callable[[str], Module]) -> None:
        self._module = module
        self._ports: dict[tuple[str, str, Rom, bool], int] = {}
        self._memories: dict[tuple[str, str, Rom, bool], memory.Memory] = {}
        self._names: set[tuple[str, str]] = set()

    def read(self, op: Op, address: Value, enable: Value) -> Value:
        """Return what a read operation's own port gives.

        From block RAM that is what the address at the last edge with `enable` points to.
        """
        rom = op.rom
        assert rom is not None
        if len(rom.codes) == 1:  # a memory would have an address of no bits
            return Const(rom.codes[0], shape_of(op))
        if rom.signed_bits:
            address = extended(address, rom.signed_bits)
        port = self._memory(op, rom).read_port(domain="sync" if op.block else "comb")
        used = address[rom.dropped : rom.dropped + rom.low]
        bits = Cat(used, address[rom.dropped + rom.low + rom.skipped :])
        m = self._module(op.layer)
        m.d.comb += port.addr.eq(bits)
        if op.block:
            m.d.comb += port.en.eq(enable)
        data: Value = port.data
        return data

    def _memory(self, op: Op, rom: Rom) -> memory.Memory:
        key = (op.layer, op.title, rom, op.block)
        used = self._ports.get(key, 0)
        self._ports[key] = used + 1
        if key not in self._memories or (op.block and used % _BLOCK_PORTS == 0):
            shape = shape_of(Op("", "", min(rom.codes), max(rom.codes), (), None, 0, 0.0))
            table = memory.Memory(
                shape=shape, depth=len(rom.codes), init=rom.codes, attrs=_STYLES[op.block]
            )
            self._memories[key] = table
            self._module(op.layer).submodules[self._name(op)] = table
        return self._memories[key]

    def _name(self, op: Op) -> str:
        title, number = f"{op.title}_table", 0
        while (op.layer, name := f"{title}_{number}" if number else title) in self._names:
            number += 1
        self._names.add((op.layer, name))
        return name
