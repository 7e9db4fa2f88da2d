"""Put the testbench into the wheel.

It lies in sim/ at the root, where a hardware engineer looks for it. A wheel has no place that is
ours but the package, so there it becomes rnnrtl/_sim. An editable installation reads sim/ itself:
a copy would go stale.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TestbenchHook(BuildHookInterface[Any]):
    """Add sim/ to every wheel that is not editable."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See BuildHookInterface."""
        if version != "editable":
            build_data["force_include"][str(Path(self.root) / "sim")] = "rnnrtl/_sim"
