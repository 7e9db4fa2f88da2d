"""Writes results.md from results.json."""

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.aims import aims
from benchmarks.networks import SHAPES
from benchmarks.rows import Row, rows
from benchmarks.runner import ROOT, Results, machine, source
from rnnrtl.report import table

PUBLISHED = ROOT / "benchmarks" / "published.json"
_HEADINGS = (
    "cell", "format", "mode", "strategy", "reuse", "model, MHz", "cycles a step", "latency", "II",
    "tail", "products", "AUC ratio", "DSP", "LUT", "FF", "BRAM", "ECP5 DSP", "ECP5 LUT", "ECP5 FF",
    "ECP5 EBR", "routed, MHz", "routed, ns", "routed LUT4", "routed FF", "routed DSP", "Verilog, s",
    "MB", "bit-exact",
)  # fmt: skip
_INTRODUCTION = """\
# Benchmark

The networks are those of [arXiv 2207.00559](https://arxiv.org/abs/2207.00559). The top taggers are
trained ones; the weights of the others are seeded random numbers, and their last layer is linear
where the paper has a softmax. Cycles are edges of the clock; `tail` is from a sequence's last beat
to the result. `products` are those that the schedule gives a multiplier; DSP, LUT, FF and BRAM
(RAMB36) are Yosys' for UltraScale+, ECP5's for ECP5, neither placed nor routed. The clock is that
of a delay model; `routed` is what nextpnr reaches on the ECP5-85F of speed grade 6, its pins left
free, and the latency at that clock (`python -m benchmarks --route --only units4`); sixteen units on
the iCE40 UP5K, whose multipliers nextpnr does not time, and thirty-two on the ECP5-25F.
`AUC ratio` is fixed point by float on 2,000 jets that were not trained on.
`bit-exact` counts the sequences whose every output bit equals the reference's in Verilator, both at
full speed and with random stalls. `w8a12` is weights of 8 bits and activations of 12, each tensor
with its own integer bits, which 200 of the same 2,000 jets gave. The two-integer-bit formats of its
gates, candidate and hidden state replaced one-bit ones after a first synthesis, for smaller tables
(then GRU 56,119 to 51,746 LUT, LSTM 72,229 to 65,881), and so did the GRU's pre-activation of five
integer bits one of four (41,839 to 39,982 LUT, AUC ratio 0.9997 to 0.9994). Yosys packs only the
multipliers themselves into UltraScale+'s DSPs, which makes its LUT and FF of `dsp` rows too high.
`trained` is the formats that a network was trained on in; its AUC is divided by that of the network
of floats that this training began with, so a ratio above 1 is what more training gave.
`s` and `MB` are the time and memory from weights to Verilog, with other work on the machine. An
empty cell and a row that is not there were not measured. The last table has hls4ml's and
hand-written designs.
"""


def publish(results: Results) -> None:
    """Write results.md beside results.json."""
    used = ", ".join(f"{name}: {value}" for name, value in machine().items())
    parts = [
        _INTRODUCTION,
        "Made by `python -m benchmarks` and its options `--verilog`, `--simulate`, `--synth`, "
        f"`--route` (see `--help`). Machine: {used}.",
        _stale(results),
        "## Aims\n\n" + _aims(results),
    ]
    for name, shape in SHAPES.items():
        head = " and ".join(f"Dense {units} {activation}" for units, activation in shape.dense)
        title = f"## {shape.title}: {shape.steps} x {shape.features}, {shape.units} units"
        title += f", {head}" * bool(head)
        found = [_line(row, results) for row in rows() if row.network == name]
        parts.append(f"{title}\n\n{_measured([line for line in found if line])}")
        reasons = dict.fromkeys(_failures(name, results))
        if reasons:
            parts.append("\n".join(f"- {reason}" for reason in reasons))
    parts.append("## Published figures\n\n" + _published())
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    results.path.with_suffix(".md").write_text(text, encoding="utf-8")


def _measured(lines: list[tuple[object, ...]]) -> str:
    """Return a table without the columns that no row has anything in."""
    if not lines:
        return "Not measured."
    kept = [n for n in range(len(_HEADINGS)) if any(line[n] != "" for line in lines)]
    headings = tuple(_HEADINGS[n] for n in kept)
    return table(headings, [tuple(line[n] for n in kept) for line in lines])


def _stale(results: Results) -> str:
    now = source()
    old = sum(
        any(isinstance(f, dict) and f.get("source", now) != now for f in found.values())
        for found in results.rows.values()
    )
    if not old:
        return "All by the same sources."
    return (
        f"{old} of {len(results.rows)} rows hold figures by earlier sources of rnnrtl, as their "
        "`source` in results.json tells; `--again` renews them."
    )


def _aims(results: Results) -> str:
    headings = ("what", "figure", "aim", "measured", "reached")
    return table(headings, [aim.line(results.rows) for aim in aims()])


def _line(row: Row, results: Results) -> tuple[object, ...] | None:
    if row.key not in results.rows:
        return None
    stages = ("schedule", "verilog", "simulate", "synth xcup", "synth ecp5", f"route {row.device}")
    planned, made, run, size, lattice, routed = (results.get(row, stage) or {} for stage in stages)
    cells = routed.get("utilisation", {})
    exact = ""
    if run and "failed" not in run:
        exact = f"{run['sequences']}" if run["bit_exact"] else "NO"
    return (
        row.cell.upper(),
        row.form,
        row.mode,
        row.strategy,
        f"{row.reuse_factor}" + ", packed" * row.dsp_packing,
        f"{row.target}, {row.clock_mhz:g}",
        *(
            _shown(planned, figure)
            for figure in (
                "cycles_per_step", "latency_cycles", "initiation_interval", "tail_cycles",
                "multipliers", "auc_ratio",
            )
        ),
        *(_shown(size, figure) for figure in ("dsp", "lut", "ff", "bram")),
        *(_shown(lattice, figure) for figure in ("dsp", "lut", "ff", "bram")),
        *(_shown(routed, figure) for figure in ("fmax_mhz", "latency_ns")),
        # An iCE40's logic cell is a look-up table and a flip-flop.
        *(
            _shown(cells, cell if cell in cells else other)
            for cell, other in (
                ("TRELLIS_COMB", "ICESTORM_LC"), ("TRELLIS_FF", ""), ("MULT18X18D", "ICESTORM_DSP")
            )
        ),
        _shown(made, "seconds"),
        _shown(made, "peak_mb"),
        exact,
    )  # fmt: skip


def _shown(found: dict[str, Any], figure: str) -> str:
    if "failed" in found:
        return "–"
    value = found.get(figure, "")
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else ""


def _failures(name: str, results: Results) -> Iterator[str]:
    for row in rows():
        if row.network == name:
            for stage, found in results.rows.get(row.key, {}).items():
                if "failed" in found:
                    yield f"`{row.key}` not generated, {stage}: {found['failed']}"


def _published() -> str:
    held = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    headings = ("network", "design", "format", "latency", "II", "DSP", "LUT", "FF", "BRAM", "on")
    figures = ("latency", "ii", "dsp", "lut", "ff", "bram", "on")
    lines: list[tuple[object, ...]] = [
        (
            SHAPES[found["network"]].title,
            found["design"],
            found["format"],
            *(_published_figure(found[figure]) for figure in figures),
            found["source"],
        )
        for found in held
    ]
    return table((*headings, "source"), lines)


def _published_figure(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
