"""Products in look-up tables, where a design has more than a device has multipliers.

Yosys gives every product a multiplier, however few the device has.
"""

import json
from pathlib import Path
from typing import Any

from rnnrtl.schedule.delays import delays_of
from rnnrtl.synthesis.targets import IN_LUTS


def keep_largest(file: Path, target: str, multipliers: int) -> None:
    """Keep the largest products in multipliers, as many as there are; give the others none.

    `file` is a flat design that Yosys wrote as JSON, before mapping; it is written again.
    """
    design = json.loads(file.read_text(encoding="utf-8"))
    cells = (cell for module in design["modules"].values() for cell in module["cells"].values())
    products = [(cell, *_widths(cell)) for cell in cells if cell["type"] == "$mul"]
    left = multipliers
    blocks_of = delays_of(target).blocks
    for cell, a, b in sorted(products, key=lambda p: p[1] * p[2], reverse=True):
        blocks = blocks_of(a, b)
        if blocks <= left:
            left -= blocks
        else:
            cell["attributes"][IN_LUTS] = "1"
    file.write_text(json.dumps(design), encoding="utf-8")


def _widths(cell: dict[str, Any]) -> tuple[int, int]:
    """Return how many bits its operands have, in which Yosys writes numbers as text."""
    a, b = (int(cell["parameters"][name], 2) for name in ("A_WIDTH", "B_WIDTH"))
    return a, b
