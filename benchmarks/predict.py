"""How fast the references are, on one core: `python -m benchmarks.predict`.

Writes predict.json and predict.md. CPU seconds are those of the process, with BLAS on one thread,
from float inputs to float outputs; the best of several runs, since other work on the machine only
ever adds. What a first prediction takes more, once a design, stands beside.
"""

import json
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import rnnrtl
from benchmarks.networks import inputs, network
from benchmarks.runner import ROOT, machine, source
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.report import table

RESULTS = ROOT / "benchmarks" / "predict.json"
PRECISION = "fixed<16,6>"
SEQUENCES = {"top": 2000, "quickdraw": 512}
RUNS = 7

AIMS = {"top/lstm": 100_000, "quickdraw/lstm": 2_000}
ELSEWHERE = {"top/lstm": 1791, "top/gru": 2368, "quickdraw/lstm": 12}
"""Sequences a CPU second of hls4ml 1.3's compiled C++, and not measured by this program."""

_INTRODUCTION = """\
# Speed of the reference

Sequences a CPU second of `Design.predict`, in `fixed<16,6>` on one core, from float inputs to float
outputs: `python -m benchmarks.predict`. `floats` is `Network.predict`, `plain`
the evaluation node by node that every bit is compared with. `first` is what the first prediction
takes, most of it once a design. hls4ml's figures were measured elsewhere, on one core in November
2026: hls4ml 1.3, its C++ compiled by g++, which takes 6 to 7 CPU seconds before the first
prediction. This program does not repeat them, so the ratio is not of one run.
"""


def measured(name: str, cell: str) -> dict[str, float | bool]:
    """Return the figures of a network: sequences a CPU second, and seconds of the first."""
    net = network(name, cell)
    design = rnnrtl.generate(net, PRECISION)
    x = np.resize(inputs(name, SEQUENCES[name]), (SEQUENCES[name], *inputs(name, 1).shape[1:]))
    start = time.process_time()
    design.predict(x[:1])
    first = time.process_time() - start
    codes = design.input_codes(x)
    start = time.process_time()
    plain = evaluate(design.graph, codes)
    seconds = time.process_time() - start
    best = {"predict": float("inf"), "floats": float("inf")}
    for _ in range(RUNS):
        for kind, run in (("predict", design.predict), ("floats", net.predict)):
            start = time.process_time()
            run(x)
            best[kind] = min(best[kind], time.process_time() - start)
    return {
        "predict": round(len(x) / best["predict"]),
        "floats": round(len(x) / best["floats"]),
        "plain": round(len(x) / seconds),
        "first_seconds": round(first, 3),
        "bit_exact": bool(np.array_equal(design.predict_codes(codes), plain)),
    }


def main(path: Path = RESULTS) -> None:
    """Measure, and write both files."""
    with threadpool_limits(1):  # BLAS would take every core
        found = {
            f"{name}/{cell}": measured(name, cell) for name in SEQUENCES for cell in ("lstm", "gru")
        }
    where = machine()
    held = {"machine": where, "source": source(), "rows": found}
    path.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    lines: list[tuple[object, ...]] = [
        (
            key,
            f"{figures['predict']:,}",
            f"{AIMS[key]:,}" if key in AIMS else "",
            f"{figures['floats']:,}",
            f"{figures['plain']:,}",
            figures["first_seconds"],
            "yes" if figures["bit_exact"] else "NO",
            f"{ELSEWHERE[key]:,}" if key in ELSEWHERE else "",
        )
        for key, figures in found.items()
    ]
    headings = (
        "network", "predict", "aim", "floats", "plain", "first, s", "bit-exact",
        "hls4ml, measured elsewhere",
    )  # fmt: skip
    facts = ", ".join(f"{name}: {fact}" for name, fact in where.items())
    text = f"{_INTRODUCTION}\nMachine: {facts}.\n\n{table(headings, lines)}\n"
    path.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
