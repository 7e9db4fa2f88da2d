"""What the project wants of the benchmark, and whether it was reached."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.networks import CELLS, ROUTED, SHAPES
from benchmarks.rows import ROUTED_MHZ, ROUTED_ON, ROUTED_TOP_MHZ, STRATEGIES, Row

Rows = Mapping[str, Mapping[str, Any]]
Figure = Callable[[Rows], float | None]


@dataclass(frozen=True)
class Aim:
    """A figure and its limit.

    Members
    -------
    what : network, format, way
    figure : its name
    most : the most that it may be
    found : takes it from the rows of results.json; None where it was not measured
    """

    what: str
    figure: str
    most: float
    found: Figure

    def line(self, rows: Rows) -> tuple[object, ...]:
        """Return a line of the table of aims."""
        found = self.found(rows)
        limit = f"at most {self.most:,g}" if self.most else "0"
        if found is None:
            return (self.what, self.figure, limit, "not measured", "")
        shown = f"{found:.2f}" if found % 1 else f"{found:,.0f}"
        return (self.what, self.figure, limit, shown, "yes" if found <= self.most else "no")


def _of(row: str, stage: str, figure: str) -> Figure:
    def found(rows: Rows) -> float | None:
        value = rows.get(row, {}).get(stage, {}).get(figure)
        return None if value is None else float(value)

    return found


def _ratio(above: Figure, below: Figure) -> Figure:
    def found(rows: Rows) -> float | None:
        a, b = above(rows), below(rows)
        return None if a is None or not b else a / b

    return found


def _less(all_of: Figure, other: float) -> Figure:
    def found(rows: Rows) -> float | None:
        value = all_of(rows)
        return None if value is None else value - other

    return found


def _missed(keys: Sequence[str]) -> Figure:
    """How many rows missed the clock they ask for; those that were refused it did not."""

    def found(rows: Rows) -> float | None:
        missed = 0
        for key in keys:
            if "too fast" in rows.get(key, {}).get("schedule", {}).get("failed", ""):
                continue
            met = rows.get(key, {}).get(f"route {ROUTED_ON}", {}).get("met")
            if met is None:
                return None
            missed += not met
        return float(missed)

    return found


_ELEMENTWISE = {"gru": 60, "lstm": 60}
"""Products of two signals in the element-wise part of a top tagger: no constant takes part."""


_NAMES = {
    "latency_cycles": "latency, cycles",
    "initiation_interval": "II",
    "dsp": "DSP",
    "lut": "LUT",
    "ff": "FF",
    "bram": "RAMB36",
}
_REUSED: tuple[tuple[str, str, Mapping[tuple[str, str], float]], ...] = (
    (
        "top GRU, fixed<16,6>, static, reuse factor 10",
        "top/gru/fixed<16,6>/static/dsp/xcup@200/reuse10",
        {
            ("schedule", "latency_cycles"): 300,
            ("schedule", "initiation_interval"): 280,
            ("synth xcup", "dsp"): 198,
            ("synth xcup", "lut"): 8_000,
            ("synth xcup", "ff"): 10_000,
        },
    ),
    (
        "QuickDraw GRU, fixed<16,6>, static, reuse factor 14",
        "quickdraw/gru/fixed<16,6>/static/dsp/xcup@200/reuse14",
        {
            ("schedule", "latency_cycles"): 2_000,
            ("synth xcup", "dsp"): 4_041,
            ("synth xcup", "lut"): 100_000,
            ("synth xcup-packed", "lut"): 100_000,
            ("synth xcup", "bram"): 100,
        },
    ),
)


def aims() -> Iterator[Aim]:
    """Yield all aims."""
    for cell, dsp, lut in (("gru", 1400, 40_000), ("lstm", 1850, 55_000)):
        wide = f"top/{cell}/fixed<16,6>/static"
        title = f"top {cell.upper()}, fixed<16,6>, static"
        for strategy in ("dsp", "shift_add"):
            row = f"{wide}/{strategy}/xcup@200"
            name = f"{title}, {strategy}, 200 MHz"
            yield Aim(name, "cycles a step", 4, _of(row, "schedule", "cycles_per_step"))
            yield Aim(name, "latency, cycles", 90, _of(row, "schedule", "latency_cycles"))
            slow = f"{wide}/{strategy}/xcup@100"
            name = f"{title}, {strategy}, 100 MHz"
            yield Aim(name, "cycles a step", 3, _of(slow, "schedule", "cycles_per_step"))
        row = f"{wide}/dsp/xcup@200"
        yield Aim(f"{title}, dsp, 200 MHz", "DSP", dsp, _of(row, "synth xcup", "dsp"))
        row = f"{wide}/shift_add/xcup@200"
        products = _less(_of(row, "synth xcup", "dsp"), _ELEMENTWISE[cell])
        name = f"{title}, shift_add, 200 MHz"
        yield Aim(name, "DSP in the matrix products", 0, products)
        row = f"top/{cell}/w8a12/static/shift_add/xcup@200"
        name = f"top {cell.upper()}, weights of 8 and activations of 12 bits, static, shift_add"
        yield Aim(name, "cycles a step", 4, _of(row, "schedule", "cycles_per_step"))
        yield Aim(name, "LUT", lut, _of(row, "synth xcup", "lut"))
        for strategy in ("dsp", "shift_add"):
            row = f"top/{cell}/fixed<16,6>/interleaved/{strategy}/xcup@200"
            name = f"top {cell.upper()}, fixed<16,6>, interleaved, {strategy}"
            yield Aim(name, "II", 20, _of(row, "schedule", "initiation_interval"))
            one = _of(f"{wide}/{strategy}/xcup@200", "synth xcup", "lut")
            area = _ratio(_of(row, "synth xcup", "lut"), one)
            yield Aim(name, "LUT, by those of static", 1.4, area)
    row = "top/gru/fixed<10,4>/static/shift_add/xcup@200"
    name = "top GRU, fixed<10,4>, static, shift_add"
    yield Aim(name, "cycles a step", 3, _of(row, "schedule", "cycles_per_step"))
    yield Aim(name, "LUT", 30_000, _of(row, "synth xcup", "lut"))
    products = _less(_of(row, "synth xcup", "dsp"), _ELEMENTWISE["gru"])
    yield Aim(name, "DSP in the matrix products", 0, products)
    row = f"top/gru/fixed<10,4>/static/shift_add/ecp5@{ROUTED_TOP_MHZ:g}"
    name = f"top GRU, fixed<10,4>, static, shift_add, routed on {ROUTED_ON}"
    yield Aim(name, "latency, ns", 1000, _of(row, f"route {ROUTED_ON}", "latency_ns"))
    *met, _ = ROUTED_MHZ
    clocks = ", ".join(f"{clock:g}" for clock in met)
    for network, cell, strategy in product(ROUTED, CELLS, STRATEGIES):
        asked = [
            Row(network, cell, ROUTED[network], "static", strategy, clock, "ecp5").key
            for clock in met
        ]
        name = f"{SHAPES[network].title}, {cell.upper()}, {strategy}, routed on {ROUTED_ON}"
        yield Aim(name, f"clocks missed of {clocks} MHz, unless refused", 0, _missed(asked))
    for name, row, limits in _REUSED:
        for (stage, figure), limit in limits.items():
            packed = ", adders in DSPs as in the 7 series" * stage.endswith("packed")
            yield Aim(name, _NAMES[figure] + packed, limit, _of(row, stage, figure))
    plain = "flavour/gru/fixed<8,3>/static/dsp/xcup@200/reuse15"
    halved = _ratio(
        _of(f"{plain}/packed", "schedule", "multipliers"), _of(plain, "schedule", "multipliers")
    )
    name = "flavour GRU, fixed<8,3>, static, reuse factor 15, two products in a multiplier"
    yield Aim(name, "multipliers, by those without", 0.51, halved)
    for mode, figure, cycles in (
        ("static", "cycles_per_step", 128 / 0.90), ("interleaved", "beat_interval", 128 / 0.98)
    ):  # fmt: skip
        row = f"quickdraw/lstm/fixed<16,6>/{mode}/dsp/xcup@200/reuse128"
        name = f"QuickDraw LSTM, fixed<16,6>, {mode}, 512 multipliers in the recurrent array"
        yield Aim(name, "cycles a step and sequence", cycles, _of(row, "schedule", figure))
    row = "top/gru/fixed<10,4>/unrolled/shift_add/xcup@200"
    name = "top GRU, fixed<10,4>, unrolled"
    yield Aim(name, "II", 1, _of(row, "schedule", "initiation_interval"))
