"""From a core to Verilog text."""

from amaranth.back import verilog
from amaranth.lib import wiring

from rnnrtl.collecting import collecting_seldom
from rnnrtl.errors import ModelError


def to_verilog(core: wiring.Component, name: str) -> str:
    """Return a self-contained Verilog-2005 file with the top module `name`; deterministic.

    Locations in the Python source are left out: they would name folders of the machine.
    """
    if not name.isidentifier() or not name.isascii():
        raise ModelError(f"{name!r} is not a Verilog module name: use letters, digits and _")
    with collecting_seldom():
        text: str = verilog.convert(core, name=name, emit_src=False, strip_internal_attrs=True)
    return text
