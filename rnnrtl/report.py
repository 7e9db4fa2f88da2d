"""What a design is, for people: a Markdown report."""

from collections import Counter
from typing import TYPE_CHECKING

from rnnrtl.errors import ModelError
from rnnrtl.fixedpoint import TENSORS
from rnnrtl.graph.lookup import LookedUp, Mirror
from rnnrtl.graph.nodes import Bounded
from rnnrtl.lut.measure import max_error_lsb
from rnnrtl.network import Recurrent

if TYPE_CHECKING:
    from rnnrtl.design import Design

_HEADINGS = ("layer", "kind", "units", "features", "parameters")


def report(design: "Design") -> str:
    """Return the report of a design."""
    parts = [
        f"# {design.name}",
        _network(design),
        "## Formats\n\n" + _formats(design),
        "## Where values can overflow\n\n" + _overflows(design),
        "## Activation tables\n\n" + _tables(design),
        "## Schedule\n\n" + _schedule(design),
    ]
    return "\n\n".join(parts) + "\n"


def table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Return a Markdown table."""
    lines = [headings, tuple("-" * len(h) for h in headings), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _network(design: "Design") -> str:
    rows: list[tuple[object, ...]] = [
        (layer.name, type(layer).__name__, layer.units, layer.features, layer.parameters)
        for layer in design.network.layers
    ]
    return table(_HEADINGS, rows)


def _formats(design: "Design") -> str:
    rows: list[tuple[object, ...]] = [("", "input", design.precision.format("", "input"))]
    for layer in design.network.layers:
        recurrent = isinstance(layer, Recurrent)
        names = [t for t in TENSORS if t != "input" and (t != "output" if recurrent else True)]
        if not recurrent:
            names = ["kernel", "bias", "preactivation", "output"]
        rows += [(layer.name, name, design.precision.format(layer.name, name)) for name in names]
    return table(("layer", "tensor", "format"), rows)


def _overflows(design: "Design") -> str:
    """List the vectors whose exact range is wider than their format."""
    rows: list[tuple[object, ...]] = []
    for node in design.graph.nodes():
        if isinstance(node, Bounded):
            arg = node.args[0]
            scale = 2.0**-arg.fraction_bits
            rows.append(
                (
                    design.graph.layer_of[node],
                    node.name or "(unnamed)",
                    node.form,
                    f"{min(arg.lowest) * scale:.4g} to {max(arg.highest) * scale:.4g}",
                )
            )
    if not rows:
        return "Nowhere: every vector's proved range fits its format."
    note = (
        "The ranges are those that the weights and the input format allow; everything else is "
        "proved to fit. Inputs of activation tables are not listed: there the table saturates."
    )
    return table(("layer", "vector", "format", "range"), rows) + "\n\n" + note


def _tables(design: "Design") -> str:
    counts: Counter[tuple[str, object]] = Counter()
    for node in design.graph.nodes():
        if isinstance(node, Mirror | LookedUp):
            counts[design.graph.layer_of[node], node.table] += node.size
    if not counts:
        return "None."
    rows: list[tuple[object, ...]] = []
    for (layer, found), lanes in counts.items():
        error = max_error_lsb(found)  # type: ignore[arg-type]
        roms = " + ".join(f"{len(rom.codes)} x {rom.width}" for rom in found.roms)  # type: ignore[attr-defined]
        rows.append(
            (
                layer,
                found.function.name,  # type: ignore[attr-defined]
                found.input,  # type: ignore[attr-defined]
                found.output,  # type: ignore[attr-defined]
                roms,
                lanes,
                f"{error:.3f}",
                f"{error * found.output.lsb:.2g}",  # type: ignore[attr-defined]
            )
        )
    heads = ("layer", "function", "input", "output", "ROM entries x bits", "lanes")
    note = "The largest error is measured over every input code."
    return table((*heads, "largest error, LSB", "largest error"), rows) + "\n\n" + note


def _schedule(design: "Design") -> str:
    schedule = design.schedule
    rows: list[tuple[object, ...]] = [
        ("clock", f"{schedule.clock_mhz:g} MHz on {schedule.target}"),
        ("cycles per step", schedule.cycles_per_step),
        ("cycles from the last step to the result", schedule.tail_cycles),
        ("multipliers", schedule.multipliers),
    ]
    if schedule.turns:
        rows.append(("clock edges in each cycle of the schedule", schedule.edges_per_cycle))
    try:
        rows += [
            ("time steps", schedule.steps),
            ("latency, cycles", schedule.latency_cycles),
            ("latency, us", f"{schedule.latency_us:.3f}"),
            ("initiation interval, cycles", schedule.initiation_interval),
        ]
    except ModelError:
        rows.append(("time steps", "not known"))
    return "\n\n".join(
        (
            table(("figure", "value"), rows),
            *_arrays(design),
            "Operations by cycle; cycle 0 begins at the edge that takes a time step's beat in:",
            f"```text\n{schedule.table()}\n```",
            "One time step: `#` is a vector at work within a cycle; after it, how many operations, "
            "and from when to when in ns after the clock's edge. `schedule.svg` shows the same.",
            f"```text\n{schedule.gantt()}\n```",
        )
    )


def _arrays(design: "Design") -> list[str]:
    """Return what sharing multipliers costs: those that idle because something does not divide."""
    rows: list[tuple[object, ...]] = []
    for layer in design.network.recurrent if design.reuse else ():
        reuse = design.reuse[layer.name]
        at_once = len(layer.gate_names) * -(-layer.units // reuse.turns)
        for matrix, columns, parts in (
            ("kernel", layer.features, reuse.kernel),
            ("recurrent kernel", layer.units, reuse.recurrent),
        ):
            width = -(-columns // parts)
            products = len(layer.gate_names) * layer.units * columns
            rows.append(
                (
                    layer.name,
                    matrix,
                    f"{reuse.turns} x {reuse.phases}",
                    f"{at_once} x {width}",
                    f"{products / (at_once * width * reuse.cycles):.0%}",
                    f"{products / (at_once * width * design.schedule.beat_interval):.0%}",
                )
            )
    if not rows:
        return []
    headings = ("layer", "matrix", "turns x phases", "products at a time", "busy", "of a step")
    note = (
        "`busy` is how many of the products at a time are there to be computed, over the cycles in "
        "which the array works; `of a step` is the same over all cycles between two steps."
    )
    return [f"{table(headings, rows)}\n\n{note}"]
