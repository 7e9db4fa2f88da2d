"""One measurement of one row, in a process of its own: `python -m benchmarks.measure`.

Reads {"row": {...}, "stage": ..., ...} from standard input, writes what it found as JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import rnnrtl
from benchmarks.networks import inputs, network, precision
from benchmarks.rows import Row
from rnnrtl.demo.jets import area_under_curve, test_jets
from rnnrtl.errors import RnnrtlError

SEQUENCES = 16


def design_of(row: Row) -> rnnrtl.Design:
    """Return the design of a row."""
    net = network(row.network, row.cell)
    return rnnrtl.generate(
        net,
        precision(row.network, row.cell, row.form),
        mode=row.mode,
        strategy=row.strategy,
        reuse_factor=row.reuse_factor,
        dsp_packing=row.dsp_packing,
        clock_mhz=row.clock_mhz,
        target=row.target,
        steps_per_beat=net.steps if row.mode == "unrolled" and net.steps else 1,
        name=f"{row.network}_{row.cell}",
    )


def schedule(row: Row) -> dict[str, Any]:
    """Return what the schedule says, and how long making it took."""
    start = time.perf_counter()
    made = design_of(row)
    found = made.schedule
    seconds = time.perf_counter() - start
    figures: dict[str, Any] = {
        "cycles_per_step": found.cycles_per_step,
        "latency_cycles": found.latency_cycles,
        "initiation_interval": found.initiation_interval,
        "tail_cycles": found.tail_cycles,
        "slots": found.slots,
        "beat_interval": found.beat_interval,
        "multipliers": found.multipliers,
        "operations": len(found.ops),
        "seconds": round(seconds, 2),
    }
    if row.network.startswith("top"):
        figures.update(_accuracy(made, row))
    return figures


def _accuracy(made: rnnrtl.Design, row: Row) -> dict[str, Any]:
    x, y = test_jets()
    exact, fixed = network("top", row.cell).predict(x), made.predict(x)
    figures = {"auc_ratio": round(area_under_curve(y, fixed) / area_under_curve(y, exact), 5)}
    if row.form != "trained":  # else it is another network than the one of floats
        figures["largest_error"] = round(float(np.abs(fixed - exact).max()), 4)
    return figures


def verilog(row: Row, file: Path) -> dict[str, Any]:
    """Write the Verilog; return the time from weights to text, and the most memory taken."""
    start = time.perf_counter()
    text = design_of(row).verilog
    seconds = time.perf_counter() - start
    # Yosys, which writes the text, is a child.
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(each).ru_maxrss for each in who)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return {
        "seconds": round(seconds, 1),
        "peak_mb": round(peak / 1024),
        "lines": text.count("\n"),
    }


def simulate(row: Row, file: Path) -> dict[str, Any]:
    """Compare the Verilog with the reference in Verilator, at full speed and with stalls."""
    from rnnrtl.simulate import Hardware, run_verilog
    from rnnrtl.vectors import vectors_of

    made = design_of(row)
    hardware = Hardware(
        file.read_text(encoding="utf-8"),
        made.name,
        made.input_stream,
        made.output_stream,
        made.graph.return_sequences,
        made.schedule.slots,
    )
    vectors = vectors_of(made, made.input_codes(inputs(row.network, SEQUENCES)))
    beats, expected = vectors.codes, vectors.expected
    start = time.perf_counter()
    found = run_verilog(hardware, beats, expected, simulator="verilator", stalls=True)
    return {
        "sequences": len(beats),
        "bit_exact": bool(np.array_equal(found.codes, expected)),
        "latency_cycles": found.latency_cycles,
        "initiation_interval": found.initiation_interval,
        "cycles": found.cycles,
        "seconds": round(time.perf_counter() - start, 1),
    }


def synth(row: Row, file: Path, target: str) -> dict[str, Any]:
    """Count resources with Yosys."""
    from rnnrtl.synthesis import estimate

    text = file.read_text(encoding="utf-8")
    found = estimate(text, f"{row.network}_{row.cell}", target)
    return {
        "lut": found.lut,
        "ff": found.ff,
        "dsp": found.dsp,
        "bram": found.bram,
        "carry": found.carry,
        "seconds": round(found.seconds, 1),
    }


def route(row: Row, file: Path, device: str) -> dict[str, Any]:
    """Place and route: the clock reached, and what the slowest path is made of."""
    from rnnrtl.synthesis import place_and_route

    text = file.read_text(encoding="utf-8")
    found = place_and_route(text, f"{row.network}_{row.cell}", device, clock_mhz=row.clock_mhz)
    return {
        "fmax_mhz": round(found.fmax_mhz, 1),
        "met": found.met,
        "latency_ns": round(1000 * design_of(row).schedule.latency_cycles / found.fmax_mhz),
        "critical_ns": {kind: round(delay, 1) for kind, delay in found.critical_ns.items()},
        "critical_ends": found.critical_ends,
        "utilisation": {name: used for name, (used, _) in found.utilisation.items()},
        "seconds": round(found.seconds, 1),
    }


def main() -> None:
    """Do what standard input asks for."""
    asked = json.load(sys.stdin)
    row, file = Row(**asked["row"]), Path(asked["file"])
    # The last line is the answer: what tools print while they run comes before it.
    try:
        match asked["stage"]:
            case "schedule":
                found = schedule(row)
            case "verilog":
                found = verilog(row, file)
            case "simulate":
                found = simulate(row, file)
            case stage:
                tool, _, on = stage.partition(" ")
                found = (route if tool == "route" else synth)(row, file, on)
    except RnnrtlError as error:
        found = {"failed": str(error)}
    except MemoryError:
        found = {"failed": "out of memory"}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
