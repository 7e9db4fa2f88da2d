"""The rows of the benchmark: which network is made how."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

from benchmarks.networks import CELLS, FORMATS, SHAPES

MODES = ("static", "interleaved", "unrolled")
STRATEGIES = ("dsp", "shift_add")


@dataclass(frozen=True, order=True)
class Row:
    """A network, made in one way.

    Members
    -------
    network : of `SHAPES`
    cell : of `CELLS`
    form : of `FORMATS`
    mode : static, interleaved or unrolled
    strategy : dsp or shift_add
    clock_mhz : clock that registers are placed for
    target : the FPGA family whose delays place them
    """

    network: str
    cell: str
    form: str
    mode: str
    strategy: str
    clock_mhz: float = 200.0
    target: str = "xcup"

    @property
    def key(self) -> str:
        """The row's name in results.json, by which `--rows` selects."""
        return "/".join(
            (
                self.network, self.cell, self.form, self.mode, self.strategy,
                f"{self.target}@{self.clock_mhz:g}",
            )
        )  # fmt: skip

    def as_dict(self) -> dict[str, object]:
        """Return the members, as JSON takes them."""
        return asdict(self)


def rows() -> Iterator[Row]:
    """Yield all rows, in the order of the tables."""
    for network, cell, form, mode, strategy in product(SHAPES, CELLS, FORMATS, MODES, STRATEGIES):
        yield Row(network, cell, form, mode, strategy)
        # The clock that the published top taggers reach when routed, and the family that open
        # tools route.
        if network == "top" and mode == "static":
            yield Row(network, cell, form, mode, strategy, 100.0)
            yield Row(network, cell, form, mode, strategy, 50.0, "ecp5")
