"""The rows of the benchmark: which network is made how."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product

from benchmarks.networks import CELLS, FORMATS, ROUTED, SHAPES, SMALL, TRAINED

MODES = ("static", "interleaved", "unrolled")
STRATEGIES = ("dsp", "shift_add")
ROUTED_ON = "ecp5-85k"
NARROW = "fixed<8,3>"
"""Format whose products are packed."""
ROUTED_MHZ = (50.0, 80.0, 100.0, 150.0)
"""Clocks asked of what is routed: three to meet, and one to refuse."""
ROUTED_TOP_MHZ = 10.0
"""Clock of the top tagger that is routed: slow enough for a time step a cycle."""


@dataclass(frozen=True, order=True)
class Row:
    """A network, made in one way.

    Members
    -------
    network : of `SHAPES`
    cell : of `CELLS`
    form : of `FORMATS`, or "trained" for a network's own
    mode : static, interleaved or unrolled
    strategy : dsp or shift_add
    clock_mhz : clock that registers are placed for
    target : the FPGA family whose delays place them
    reuse_factor : products of the recurrent layer that share a multiplier
    dsp_packing : two products in one multiplier, where they fit
    """

    network: str
    cell: str
    form: str
    mode: str
    strategy: str
    clock_mhz: float = 200.0
    target: str = "xcup"
    reuse_factor: int = 1
    dsp_packing: bool = False

    @property
    def key(self) -> str:
        """The row's name in results.json, by which `--rows` selects."""
        parts = (
            self.network, self.cell, self.form, self.mode, self.strategy,
            f"{self.target}@{self.clock_mhz:g}",
        )  # fmt: skip
        reused = f"/reuse{self.reuse_factor}" if self.reuse_factor > 1 else ""
        return "/".join(parts) + reused + "/packed" * self.dsp_packing

    @property
    def device(self) -> str:
        """What the row is routed on."""
        small = {"units16": "ice40-up5k", "units32": "ecp5-25k"}
        return small.get(self.network, ROUTED_ON)

    def as_dict(self) -> dict[str, object]:
        """Return the members, as JSON takes them."""
        return asdict(self)


ONE_MULTIPLIER: Mapping[str, int] = {"gru": 1560, "lstm": 2080}
"""Reuse factors with which one multiplier computes everything of a top tagger."""

REUSED: Mapping[str, tuple[int, ...]] = {"top": (10, 20, 400), "quickdraw": (14, 128)}
"""Networks whose layers are also made in turns -> reuse factors, of 16 bits and with "dsp"."""


def rows() -> Iterator[Row]:
    """Yield all rows, in the order of the tables."""
    published = [name for name in SHAPES if name not in (*ROUTED, *SMALL, *TRAINED)]
    for network, cell, form, mode, strategy in product(
        published, CELLS, FORMATS, MODES, STRATEGIES
    ):
        yield Row(network, cell, form, mode, strategy)
        # The clock that the published top taggers reach when routed, and the family that open
        # tools route.
        if network == "top" and mode == "static":
            yield Row(network, cell, form, mode, strategy, 100.0)
            yield Row(network, cell, form, mode, strategy, 50.0, "ecp5")
    for network, cell, mode, strategy in product(TRAINED, CELLS, MODES, STRATEGIES):
        yield Row(network, cell, "trained", mode, strategy)
    yield Row("top", "gru", "fixed<10,4>", "static", "shift_add", ROUTED_TOP_MHZ, "ecp5")
    # As few multipliers as the device has: 8 and 28.
    yield Row("units16", "gru", "fixed<12,4>", "static", "dsp", 12.0, "ice40", 256)
    yield Row("units32", "gru", "fixed<12,4>", "static", "dsp", 25.0, "ecp5", 171)
    for packing in (False, True):
        yield Row(
            "flavour", "gru", NARROW, "static", "dsp", reuse_factor=15, dsp_packing=packing
        )  # fmt: skip
    for network, factors in REUSED.items():
        for cell, factor, mode in product(CELLS, factors, ("static", "interleaved")):
            yield Row(network, cell, "fixed<16,6>", mode, "dsp", reuse_factor=factor)
    for cell, factor in ONE_MULTIPLIER.items():
        yield Row("top", cell, "fixed<16,6>", "static", "dsp", reuse_factor=factor)
    for network, cell, strategy, clock in product(ROUTED, CELLS, STRATEGIES, ROUTED_MHZ):
        yield Row(network, cell, ROUTED[network], "static", strategy, clock, "ecp5")
