"""Pictures of schedules: every operation is counted once, in its cycle and within the clock."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import rnnrtl
from rnnrtl.generation import generate
from rnnrtl.schedule import picture
from rnnrtl.schedule.kinds import KINDS
from rnnrtl.schedule.schedule import Schedule
from tests.networks import CELLS, dense, network, recurrent
from tests.test_cli import rnnrtl_command

VECTORS = {
    "lstm": {"i", "f", "g", "o", "c_next", "c_squashed", "h_next", "g_preactivation"},
    "gru_after": {"z", "r", "n", "h_next", "z_preactivation", "n_preactivation"},
    "gru_before": {"z", "r", "n", "h_next", "r_preactivation", "h_kept"},
    "simple": {"h_preactivation", "h_next"},
}


def schedule_of(cell: str, **options: Any) -> Schedule:
    net = network(recurrent(cell, 3, 12), dense(12, 2, "sigmoid"), steps=5)
    return generate(net, "fixed<12,5>", strategy="dsp", **options).schedule


def test_every_kind_of_operation_has_its_unit() -> None:
    """A new kind that is neither a wire nor in UNITS would be missing from every picture."""
    kinds = {*KINDS.values(), "adder", "DSP adder", "choice"}
    assert kinds - {"wire"} == set(picture.UNITS)


@pytest.mark.parametrize("cell", CELLS)
def test_the_chart_names_the_vectors_of_the_equations(cell: str) -> None:
    bars = picture.bars(schedule_of(cell))
    found = {bar.vector.removesuffix(" (W x)") for bar in bars if bar.layer == cell}
    assert found >= VECTORS[cell] - {"h_kept"}
    for name in found:
        assert not any(part.isdigit() for part in name.split("_"))


@pytest.mark.parametrize("cell", CELLS)
def test_the_chart_counts_every_operation_once_and_within_the_clock(cell: str) -> None:
    schedule = schedule_of(cell)
    working = [op for op in schedule.ops if op.kind in picture.UNITS]
    bars = picture.bars(schedule)
    assert sum(bar.count for bar in bars) == len(working)
    products = [bar for bar in bars if bar.unit == "multiplier"]
    assert sum(bar.count for bar in products) == schedule.multipliers
    for bar in bars:
        for span in bar.spans:
            assert 0 <= span.start <= span.end <= 1000 / schedule.clock_mhz
            assert 0 <= span.cycle <= schedule.result_cycle


def test_the_hoisted_part_is_marked() -> None:
    vectors = {bar.vector for bar in picture.bars(schedule_of("lstm"))}
    assert {"f_preactivation", "f_preactivation (W x)"} <= vectors


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("z_preactivation_sum_7_from_h_3", "z_preactivation"),
        ("z_preactivation_sum_7_ahead_part_2", "z_preactivation (W x)"),
        ("r_shifted_sum_sigmoid_offset_limited_19", "r"),
        ("h_next_sum_sum_product_4_1", "h_next"),
        ("c_squashed_12", "c_squashed"),
        ("y_0_1", "y"),
    ],
)
def test_vector_of(name: str, vector: str) -> None:
    assert picture.vector_of(name) == vector


def test_the_table_has_a_row_for_each_layer_and_kind() -> None:
    schedule = schedule_of("lstm")
    lines = schedule.table().splitlines()
    assert lines[0].split()[:2] == ["layer", "operation"]
    counts = {
        tuple(line.replace("DSP adder", "DSP_adder").split()[:2]): int(line.split()[-1])
        for line in lines[1:]
    }
    products = [op for op in schedule.ops if op.kind == "product"]
    for layer in ("lstm", "head"):
        assert counts[layer, "product"] == sum(op.layer == layer for op in products)
    for line in lines[1:]:
        layer, kind, *cycles, _ = line.replace("DSP adder", "DSP_adder").split()
        used = [op for op in schedule.ops if (op.layer, op.kind.replace(" ", "_")) == (layer, kind)]
        assert counts[layer, kind] == len(used)
        found = sum(int(cell) for cell in cycles if cell != ".")
        assert found == sum(op.phases for op in used)


def test_the_text_chart_is_aligned() -> None:
    header, *lines = schedule_of("gru_after").gantt().splitlines()
    edges = [at for at, char in enumerate(header) if char == "|"]
    for line in lines:
        assert [at for at, char in enumerate(line) if char == "|"] == edges
        assert "#" in line


def test_an_unrolled_network_shows_one_of_its_cells() -> None:
    """Sixty steps also nest deeper than Python's calls may."""
    net = network(recurrent("gru_after", 2, 3), dense(3, 1, "sigmoid"), steps=60)
    schedule = generate(net, "fixed<10,4>", mode="unrolled", steps_per_beat=60).schedule
    assert schedule.initiation_interval == 1
    layers = {bar.layer for bar in picture.bars(schedule)}
    assert layers == {"gru_after_step_1", "head"}
    assert max(map(len, schedule.gantt().splitlines())) < 250


def test_a_network_that_computes_nothing() -> None:
    layer = dense(2, 1)
    net = network(type(layer)("head", [[0.0, 0.0]], [0.0]))  # type: ignore[arg-type]
    schedule = generate(net, "fixed<8,4>").schedule
    assert schedule.gantt() == "nothing is computed"
    assert schedule.table().split() == ["layer", "operation", "all"]
    assert ElementTree.fromstring(schedule.svg()).tag.endswith("svg")


def test_the_svg_holds_a_rectangle_for_each_span() -> None:
    schedule = schedule_of("lstm")
    assert schedule.svg() == schedule_of("lstm").svg()
    root = ElementTree.fromstring(schedule.svg())
    titles = [e for e in root.iter() if e.tag.endswith("title")]
    assert len(titles) == sum(len(bar.spans) for bar in picture.bars(schedule))
    width = float(root.get("width", 0))
    for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
        left, long = float(shape.get("x", -1)), float(shape.get("width", -1))
        assert left >= 0
        assert left + long <= width


def test_report_shows_both_and_the_command_prints_it(tmp_path: Path) -> None:
    net = network(recurrent("lstm", 2, 3), steps=4, name="tiny")
    rnnrtl.save(net, tmp_path / "tiny.npz")
    design = generate(rnnrtl.load(tmp_path / "tiny.npz"), "fixed<12,4>")
    assert design.schedule.table() in design.report()
    assert design.schedule.gantt() in design.report()
    done = rnnrtl_command("report", tmp_path / "tiny.npz", "-p", "fixed<12,4>")
    assert done.returncode == 0, done.stderr
    assert done.stdout == design.report()
    folder = design.write(tmp_path / "out")
    assert (folder / "schedule.svg").read_text(encoding="utf-8") == design.schedule.svg()
