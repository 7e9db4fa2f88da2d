"""A schedule for people: what is computed in which cycle, as a table and as a Gantt chart."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rnnrtl.schedule.operations import Op

if TYPE_CHECKING:
    from rnnrtl.schedule.schedule import Schedule

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "product": "multiplier",
        "DSP adder": "adder in DSP",
        "adder": "adder",
        "table": "table",
        "rounding": "logic",
        "saturation": "logic",
        "magnitude": "logic",
        "mirror": "logic",
        "relu": "logic",
        "comparison": "logic",
        "selection": "selector",
        "choice": "selector",
    }
)
"""Kind of operation -> what computes it. Inputs, states and wires take no unit."""

_CHART_WIDTH = 100
"""Characters of all cycles of a text chart, at the most."""

_ON_THE_WAY = re.compile(
    r"_(sum|product|shifted|rounded|saturated|bounded|wrapped|magnitude|mirrored|limited|last"
    r"|sigmoid|tanh)(_|$)"
)
_LANE = re.compile(r"_\d+(_|$)")
_STEP = re.compile(r".+_step_(\d+)")

# Height of a line, width of a cycle, of the names, and of a character, in SVG's pixels.
_LINE, _CYCLE, _NAMES, _CHAR = 18, 90, 330, 7
_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "multiplier": "#c44e52",
        "adder in DSP": "#dd8452",
        "adder": "#4c72b0",
        "table": "#55a868",
        "logic": "#8172b3",
        "selector": "#937860",
    }
)


@dataclass(frozen=True)
class Span:
    """When a vector is at work in a cycle: from `start` to `end`, ns after the clock's edge."""

    cycle: int
    start: float
    end: float


@dataclass(frozen=True)
class Bar:
    """What one kind of unit does for one vector.

    Members
    -------
    layer : "" for what belongs to none
    vector : its name in the cell's equations; "(W x)" marks the part that waits for no state
    unit : one of `UNITS`' values
    count : scalar operations, each on a unit of its own
    spans : one for each cycle in which there are any
    """

    layer: str
    vector: str
    unit: str
    count: int
    spans: tuple[Span, ...]

    @property
    def first(self) -> tuple[int, float]:
        """When it begins: cycle and ns."""
        return self.spans[0].cycle, self.spans[0].start


def vector_of(name: str) -> str:
    """Return the vector of a cell's equations that an operation belongs to, without the lane.

    `z_preactivation_sum_7_ahead_part_2` is a step on the way to lane 7 of `z_preactivation`.
    """
    lane = _LANE.search(name)
    title = name[: lane.start()] if lane else name
    ahead = "_ahead" in name[len(title) :]
    step = _ON_THE_WAY.search(title)
    return (title[: step.start()] if step else title) + (" (W x)" if ahead else "")


def bars(schedule: "Schedule") -> tuple[Bar, ...]:
    """Return the bars of the chart, in the order of their beginning.

    Of the cells that an unrolled network has for its steps only the second is shown.
    """
    found: dict[tuple[str, str, str], list[Op]] = {}
    for op in _shown(schedule.ops):
        found.setdefault((op.layer, vector_of(op.name), UNITS[op.kind]), []).append(op)
    made = []
    for (layer, vector, unit), ops in found.items():
        cycles: dict[int, tuple[float, float]] = {}
        for op in ops:
            # What an adder in a DSP block takes begins with its block's product.
            for cycle in range(op.cycle, op.cycle + op.phases):
                start, end = cycles.get(cycle, (op.ready, 0.0))
                cycles[cycle] = (min(start, max(op.ready - op.delay, 0.0)), max(end, op.ready))
        spans = tuple(Span(cycle, *times) for cycle, times in sorted(cycles.items()))
        made.append(Bar(layer, vector, unit, len(ops), spans))
    return tuple(sorted(made, key=lambda bar: (bar.first, bar.spans[-1].cycle)))


def _shown(ops: Iterable[Op]) -> Iterable[Op]:
    """Yield what takes a unit; of an unrolled network's cells that of the second step.

    The first one's state is a constant, which spares it most of its products.
    """
    for op in ops:
        step = _STEP.fullmatch(op.layer)
        if op.kind in UNITS and not (step and step[1] != "1"):
            yield op


def table(schedule: "Schedule") -> str:
    """Return, for every layer and kind of operation, how many there are in each cycle, as text.

    What works in several cycles is counted in each of them, and once in all. Of the cells that an
    unrolled network has for its steps only the second is counted.
    """
    counts: dict[tuple[str, str], Counter[int]] = {}
    totals: Counter[tuple[str, str]] = Counter()
    for op in _shown(schedule.ops):
        counts.setdefault((op.layer, op.kind), Counter()).update(
            range(op.cycle, op.cycle + op.phases)
        )
        totals[op.layer, op.kind] += 1
    cycles = sorted({cycle for row in counts.values() for cycle in row})
    lines = [["layer", "operation", *(str(cycle) for cycle in cycles), "all"]]
    for (layer, kind), row in counts.items():
        figures = [str(row[cycle]) if row[cycle] else "." for cycle in cycles]
        lines.append([layer, kind, *figures, str(totals[layer, kind])])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def gantt(schedule: "Schedule") -> str:
    """Return a Gantt chart of one time step as text.

    A line is a vector and a unit, a column a cycle; `#` is when it is at work, and after it come
    the operations and, for each cycle, from when to when, in ns after the clock's edge.
    """
    chart = bars(schedule)
    if not chart:
        return "nothing is computed"
    cycles = _cycles(chart)
    wide = max(1, min(10, _CHART_WIDTH // len(cycles)))
    period = 1000 / schedule.clock_mhz
    labels = [f"{bar.layer}.{bar.vector}".lstrip(".") for bar in chart]
    margin, units = max(map(len, labels)), max(len(bar.unit) for bar in chart)
    numbers = "|".join(str(cycle)[-wide:].ljust(wide) for cycle in cycles)
    lines = [f"{'cycle':<{margin + units + 2}} |{numbers}|  each of {period:g} ns"]
    for label, bar in zip(labels, chart, strict=True):
        found = {span.cycle: span for span in bar.spans}
        cells = "|".join(_cell(found.get(cycle), wide, period) for cycle in cycles)
        times = ", ".join(f"{span.start:.1f}-{span.end:.1f}" for span in bar.spans)
        lines.append(f"{label:<{margin}}  {bar.unit:<{units}} |{cells}|  {bar.count}: {times} ns")
    return "\n".join(lines)


def _cycles(chart: tuple[Bar, ...]) -> list[int]:
    """Return the cycles with something in them: between the shown steps there may be hundreds."""
    return sorted({span.cycle for bar in chart for span in bar.spans}) or [0]


def _cell(span: Span | None, wide: int, period: float) -> str:
    if span is None:
        return " " * wide
    first = min(int(span.start / period * wide), wide - 1)
    last = max(first + 1, min(round(span.end / period * wide), wide))
    return (" " * first + "#" * (last - first)).ljust(wide)


def svg(schedule: "Schedule") -> str:
    """Return the Gantt chart of one time step as an SVG file; the same schedule, the same text."""
    chart = bars(schedule)
    cycles = _cycles(chart)
    period = 1000 / schedule.clock_mhz
    width, height = _NAMES + len(cycles) * _CYCLE + 80, (len(chart) + 3) * _LINE
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(width),
            "height": str(height),
            "font-family": "monospace",
            "font-size": "12",
        },
    )
    _rectangle(root, 0, 0, width, height, "white")
    title = (
        f"one time step at {schedule.clock_mhz:g} MHz on {schedule.target}: "
        f"{schedule.cycles_per_step} cycles a step, result after {schedule.tail_cycles}"
    )
    if schedule.turns:
        title += f"; {schedule.edges_per_cycle} of them in each cycle below"
    _text(root, 8, _LINE - 5, title)
    for number, cycle in enumerate(cycles):
        edge = _NAMES + number * _CYCLE
        _rectangle(root, edge, _LINE, 1, height - 2 * _LINE, "#bbbbbb")
        _text(root, edge + 4, 2 * _LINE - 5, f"cycle {cycle}")
    for number, bar in enumerate(chart):
        top = (number + 2) * _LINE
        _text(root, 8, top + 13, f"{bar.layer}.{bar.vector}".lstrip("."))
        for span in bar.spans:
            left = _NAMES + (cycles.index(span.cycle) + span.start / period) * _CYCLE
            long = max((span.end - span.start) / period * _CYCLE, 2)
            shape = _rectangle(root, left, top + 2, long, _LINE - 4, _COLOURS[bar.unit])
            said = ElementTree.SubElement(shape, "title")
            said.text = f"{bar.count} x {bar.unit}: {span.start:.2f} to {span.end:.2f} ns"
        last = bar.spans[-1]
        right = _NAMES + (cycles.index(last.cycle) + last.end / period) * _CYCLE
        _text(root, right + 6, top + 13, str(bar.count))
    place = 8
    for unit, colour in _COLOURS.items():
        _rectangle(root, place, height - _LINE + 3, 10, 10, colour)
        _text(root, place + 14, height - 5, unit)
        place += 14 + (len(unit) + 3) * _CHAR
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _rectangle(
    root: ElementTree.Element, x: float, y: float, width: float, height: float, fill: str
) -> ElementTree.Element:
    places = {"x": x, "y": y, "width": width, "height": height}
    attributes = {name: f"{value:.2f}" for name, value in places.items()}
    return ElementTree.SubElement(root, "rect", {**attributes, "fill": fill})


def _text(root: ElementTree.Element, x: float, y: float, words: str) -> None:
    ElementTree.SubElement(root, "text", {"x": f"{x:.2f}", "y": f"{y:.2f}"}).text = words
