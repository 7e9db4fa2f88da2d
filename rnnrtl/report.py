"""What a design is, for people: a Markdown report."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from rnnrtl.errors import ModelError
from rnnrtl.graph.lookup import LookedUp, Mirror
from rnnrtl.graph.overflow import Saturation, places
from rnnrtl.graph.tensors import tensors
from rnnrtl.layers import Layer, Part, Recurrent, parts
from rnnrtl.lut.measure import max_error_lsb
from rnnrtl.schedule.series import Series
from rnnrtl.tuning.survey import average_bits

if TYPE_CHECKING:
    from rnnrtl.design import Design

_HEADINGS = ("layer", "kind", "units", "features", "parameters")


def report(design: "Design", x: object | None = None) -> str:
    """Return the report of a design; see `Design.report`."""
    parts = [
        f"# {design.name}",
        _network(design),
        "## Formats\n\n" + _formats(design),
        "## Where values can overflow\n\n" + _overflows(design, x),
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
        for layer in _layers(design)
    ]
    notes = [table(_HEADINGS, rows)]
    form = design.state_stream
    if form is not None:
        names = ", ".join(".".join(name) for name in design.states.nodes)
        notes.append(
            f"`m_axis_tuser` gives the states after each result's step, {names}: {form.lanes} "
            f"codes of {form.lane_bits} bits. `s_axis_tuser` brings as many, and bit "
            f"{form.beat_bits} of it marks a step that begins from them."
        )
    if design.network.stateful:
        bit = "`s_axis_tuser`" if form is None else f"bit {form.beat_bits + 1} of `s_axis_tuser`"
        notes.append(
            f"States live on after a sequence's last step; {bit} marks a step that begins from the "
            "initial ones."
        )
    return "\n\n".join(notes)


def _layers(design: "Design") -> list[Layer | Part]:
    """Return the layers, those of a bidirectional one after it."""
    whole = design.network.layers
    return [each for layer in whole for each in dict.fromkeys((layer, *parts(layer)))]


def _formats(design: "Design") -> str:
    rows: list[tuple[object, ...]] = [("", "input", design.precision.format("", "input"))]
    read = tensors(design.network)
    for layer in _layers(design):
        names = read[layer.name]
        for name in names:
            form = design.precision.format(layer.name, name)
            rows.append((layer.name, name, form))
            if isinstance(layer, Recurrent):
                own = {g: design.precision.format(layer.name, name, g) for g in layer.gate_names}
                rows += [(layer.name, f"{name}.{g}", f) for g, f in own.items() if f != form]
    weight, activation = average_bits(design.network, design.precision)
    average = f"On average {weight:.2f} bits a weight and {activation:.2f} bits an activation."
    return table(("layer", "tensor", "format"), rows) + "\n\n" + average


def _overflows(design: "Design", x: object | None) -> str:
    """List the vectors whose exact range is wider than their format, and how often it tells."""
    rows: list[tuple[object, ...]] = [
        (place.layer, place.vector, place.form, "{:.4g} to {:.4g}".format(*place.reach))
        for place in places(design.graph)
    ]
    heads: tuple[str, ...] = ("layer", "vector", "format", "range")
    if x is None and not rows:
        return "Nowhere: every vector's proved range fits its format."
    notes = [
        "The ranges are those that the weights and the input format allow; everything else is "
        "proved to fit. Inputs of activation tables are listed only where the format ends before "
        "the function is flat: elsewhere the table saturates.",
    ]
    if x is not None:
        met = design.saturation(x)
        rows.insert(0, ("", "input", met[0].format, "any"))
        rows = [(*row, *_met(found)) for row, found in zip(rows, met, strict=True)]
        heads += ("values", "overflowed", "share", "lowest met", "highest met")
        notes.append(
            f"Counted in the bit-exact reference over {len(np.asarray(x))} sequences of data."
        )
    return "\n\n".join((table(heads, rows), *notes))


def _met(found: Saturation) -> tuple[object, ...]:
    share = f"{float(f'{100 * found.fraction:.3g}'):g} %"
    return found.values, found.overflowed, share, f"{found.lowest:.4g}", f"{found.highest:.4g}"


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
            *_stages(design),
            *_arrays(design),
            "Operations by cycle; cycle 0 begins at the edge that takes a time step's beat in:",
            f"```text\n{schedule.table()}\n```",
            "One time step: `#` is a vector at work within a cycle; after it, how many operations, "
            "and from when to when in ns after the clock's edge. `schedule.svg` shows the same.",
            f"```text\n{schedule.gantt()}\n```",
        )
    )


def _stages(design: "Design") -> list[str]:
    """Return what the stages of a design with memories in it are."""
    schedule = design.schedule
    if not isinstance(schedule, Series):
        return []
    steps, width, rows = schedule.steps or 0, design.input_stream.width, list[tuple[object, ...]]()
    for stage, part in zip(design.stages, schedule.parts, strict=True):
        names = dict.fromkeys(op.layer for op in part.ops if op.layer)
        memory, kept = stage.memory, "-"
        if memory is not None:
            held = memory.size(steps)
            kept = " x ".join(str(n) for n in (*held, width)) if all(held) else "-"
            steps = memory.steps_given(steps) or 0
        width = stage.graph.output_format.width
        figures = part.cycles_per_step, part.latency_of(steps), part.interval_of(steps)
        rows.append((", ".join(names) or "-", kept, *figures))
    headings = ("layers", "memory before it, bits", "cycles per step", "latency", "interval")
    note = (
        "Each stage is a core of its own, whose cycles begin at its own beats. A memory of two "
        "sequences takes one while it plays the one before, from both ends; one word becomes all "
        "steps, or all steps one word: sequences x words x lanes x bits. Before a head that works "
        "once a sequence stands only the queue of the results of the stage before it."
    )
    return [f"{table(headings, rows)}\n\n{note}"]


def _arrays(design: "Design") -> list[str]:
    """Return what sharing multipliers costs: those that idle because something does not divide."""
    rows: list[tuple[object, ...]] = []
    for layer in design.network.recurrent if design.reuse else ():
        reuse = design.reuse[layer.name]
        at_once = len(layer.gate_names) * -(-layer.units // reuse.turns)
        for matrix, columns, count in (
            ("kernel", layer.features, reuse.kernel),
            ("recurrent kernel", layer.units, reuse.recurrent),
        ):
            width = -(-columns // count)
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
