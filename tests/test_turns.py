"""Reuse factors: a step in turns gives the same bits in fewer units and more cycles."""

import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from rnnrtl.errors import UnsupportedError
from rnnrtl.generation import generate
from rnnrtl.hardware import constants
from rnnrtl.network import Network
from rnnrtl.simulation import SimulatorName
from tests.designs import check, designed, stacked
from tests.networks import CELLS, GATED, dense, inputs, network, recurrent
from tests.test_sharing import wide

UNITS = 5


def net_of(cell: str, sequences: bool = False) -> Network:
    return network(recurrent(cell, 3, UNITS, sequences=sequences), dense(UNITS, 2), steps=3)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("factor", range(2, UNITS + 1))
@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", GATED)
def test_every_factor_up_to_the_units(cell: str, mode: str, factor: int, sequences: bool) -> None:
    check(designed(net_of(cell, sequences), mode, reuse_factor=factor), disturbed=sequences)


@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize(
    ("lower", "upper"),
    [*product(GATED, GATED), ("simple", "gru_before"), ("lstm", "simple")],
)
def test_stacks_in_turns(lower: str, upper: str, mode: str) -> None:
    check(designed(stacked(lower, upper, sequences=True), mode, reuse_factor=2))


@pytest.mark.parametrize(
    ("cell", "mode", "simulator"),
    [
        *product(GATED, ("static", "interleaved"), ("icarus", "verilator")),
        ("simple", "static", "icarus"),
        ("simple", "interleaved", "verilator"),
    ],
)
def test_turns_in_every_simulator(cell: str, mode: str, simulator: SimulatorName) -> None:
    check(designed(wide(cell), mode, reuse_factor=5), simulator)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("factor", [UNITS + 1, 9, 2 * UNITS, 13, UNITS * UNITS])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", GATED)
def test_factors_beyond_the_units(cell: str, mode: str, factor: int, sequences: bool) -> None:
    design = designed(net_of(cell, sequences), mode, reuse_factor=factor)
    check(design, disturbed=not sequences)
    gates = {"lstm": 4, "gru_after": 3, "gru_before": 3}[cell]
    array = [op for op in design.schedule.ops if op.kind == "product" and "_from_h_col" in op.name]
    if cell != "gru_before":  # whose candidate has an array of its own
        assert len(array) <= gates * -(-UNITS * UNITS // factor)


@pytest.mark.parametrize("factors", [(1, 4), (4, 1), (3, 5), (15, 5), (5, 25), (15, 25)])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", GATED)
def test_factors_of_kernel_and_recurrent_kernel(
    cell: str, mode: str, factors: tuple[int, int]
) -> None:
    check(designed(net_of(cell), mode, reuse_factor=factors), disturbed=cell == "lstm")


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all steps"])
@pytest.mark.parametrize("multipliers", [1, 2, 3])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", GATED)
def test_fewer_multipliers_than_gates(
    cell: str, mode: str, multipliers: int, sequences: bool
) -> None:
    """So few multipliers for everything: gates, element-wise products and dense layers."""
    products = (4 if cell == "lstm" else 3) * UNITS * (UNITS + 3)
    design = designed(
        net_of(cell, sequences), mode, strategy="dsp", reuse_factor=-(-products // multipliers)
    )
    some = mode == "static" if multipliers == 2 else cell == "lstm" and not sequences
    check(design, disturbed=some)
    assert design.schedule.multipliers == multipliers
    assert len(re.findall(r" \$signed\(.*\) \* | \* ", design.verilog)) == multipliers
    assert f"| multipliers | {multipliers} |" in design.report()


PLAIN: list[tuple[str, int | tuple[int, int], bool]] = [
    ("static", 2, False), ("static", 4, True), ("static", 5, False), ("static", 9, True),
    ("static", 13, False), ("static", 25, False), ("static", (4, 1), True),
    ("static", (15, 25), False), ("static", 40, True), ("static", 40, False),
    ("interleaved", 3, True), ("interleaved", 5, False), ("interleaved", 9, True),
    ("interleaved", 25, False), ("interleaved", (3, 5), False), ("interleaved", 40, False),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "factor", "sequences"), PLAIN)
def test_a_plain_rnn_in_turns(mode: str, factor: int | tuple[int, int], sequences: bool) -> None:
    """Of one gate: its 40 products share from 2 down to a single multiplier for everything."""
    packed = mode == "static" and factor in (2, 5)
    form = "fixed<8,3>" if packed else "fixed<9,4>"
    net = net_of("simple", sequences)
    design = designed(net, mode, form, strategy="dsp", reuse_factor=factor, dsp_packing=packed)
    check(design)
    if factor == 40:
        assert design.schedule.multipliers == 1
    elif isinstance(factor, int) and not packed:
        ops = [
            op for op in design.schedule.ops if op.kind == "product" and "_from_h_col" in op.name
        ]
        assert len(ops) <= -(-UNITS * UNITS // factor)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
def test_one_multiplier_in_every_simulator(mode: str, simulator: SimulatorName) -> None:
    net = stacked("lstm", "gru_after", sequences=True)
    products = 4 * 2 * 4 + 3 * 2 * 4
    check(designed(net, mode, reuse_factor=products), simulator)


@pytest.mark.parametrize("factor", [2, 5, 36])
@pytest.mark.parametrize("cell", GATED)
def test_dense_layers_on_the_array(cell: str, factor: int) -> None:
    """Wider than the array and narrower, with tables and without."""
    net = network(
        recurrent(cell, 3, 6), dense(6, 23, "relu"), dense(23, 5, "tanh", name="b"),
        dense(5, 2, name="c"), steps=2,
    )  # fmt: skip
    design = designed(net, "static", reuse_factor=factor)
    check(design)
    assert len(design.schedule.fed) == 3
    # Multipliers for what depends on the state only: no dense layer has its own.
    assert not [op for op in design.schedule.ops if op.kind == "product" and op.layer != cell]


@pytest.mark.parametrize(
    "seed",
    [pytest.param(n, marks=[pytest.mark.soak] if n >= 40 else []) for n in range(200)],
)
def test_random_networks_in_turns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, units = int(rng.integers(1, 6)), int(rng.integers(2, 9))
    net = network(
        recurrent(
            str(rng.choice(CELLS)), features, units, seed=seed, sequences=bool(rng.integers(2))
        ),
        dense(units, int(rng.integers(1, 9)), str(rng.choice(["relu", "tanh", "linear"]))),
        steps=int(rng.integers(1, 5)),
    )
    form = str(rng.choice(["fixed<6,3>", "ap_fixed<9,4>", "fixed<12,4>"]))
    pair = (int(rng.integers(1, units * features + 1)), int(rng.integers(1, units**2 + 1)))
    gates = len(net.recurrent[0].gates)
    if few := rng.integers(5) == 0:  # fewer multipliers than gates
        pair = (0, int(rng.integers(1, min(3, gates) * units * (units + features) + 1)))
    check(
        designed(
            net,
            str(rng.choice(["static", "interleaved"])),
            form,
            reuse_factor=pair if rng.integers(2) and not few else pair[1],
            # No product is in time at 280 MHz if something is chosen before it.
            clock_mhz=float(rng.choice([50, 120, 200, 200 if few else 280])),
        ),
        disturbed=seed % 4 == 0,
    )


@pytest.mark.parametrize("cell", CELLS)
def test_more_turns_take_fewer_units_and_more_cycles(cell: str) -> None:
    factors = (2, 3, 6, 12)
    schedules = [designed(wide(cell), "static", reuse_factor=r).schedule for r in factors]
    for few, many in pairwise(schedules):
        assert many.multipliers < few.multipliers
        assert many.cycles_per_step > few.cycles_per_step
    for factor, schedule in zip(factors, schedules, strict=True):
        assert {op.phases for op in schedule.ops if op.name.startswith("x_column")} == {factor}
    last = schedules[-1]
    if cell != "gru_before":  # whose candidate waits for all of r
        assert last.cycles_per_step <= 12 + designed(wide(cell), "static").schedule.cycles_per_step


@pytest.mark.parametrize("cell", CELLS)
def test_interleaved_sequences_take_the_units_in_every_cycle(cell: str) -> None:
    schedule = designed(wide(cell), "interleaved", reuse_factor=4).schedule
    assert schedule.beat_interval == 4
    assert schedule.slots * 4 == schedule.cycles_per_step
    phases = [op.phases for op in schedule.ops if op.kind == "product" and op.layer == cell]
    assert set(phases) == {4}


def test_what_is_not_supported_says_so() -> None:
    with pytest.raises(UnsupportedError, match=r"161 is too much: a step has 160 products"):
        designed(net_of("lstm"), "static", reuse_factor=161)
    with pytest.raises(UnsupportedError, match=r"too much for lstm: .* at most \(15, 25\)"):
        designed(net_of("lstm"), "static", reuse_factor=(16, 1))
    with pytest.raises(UnsupportedError, match="exclude each other"):
        designed(net_of("lstm"), "unrolled", reuse_factor=2)
    with pytest.raises(UnsupportedError, match="no multiplier to share"):
        designed(net_of("lstm"), "static", reuse_factor=2, strategy="shift_add")


def test_the_report_says_what_padding_costs() -> None:
    """Five units two at a time take three turns: five sixths of the products are needed."""
    report = designed(net_of("lstm"), "static", reuse_factor=3).report()
    (line,) = [line for line in report.splitlines() if "| recurrent kernel |" in line]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:2] == ["lstm", "recurrent kernel"]
    turns, phases = map(int, cells[2].split(" x "))
    rows, columns = map(int, cells[3].split(" x "))
    assert rows * columns <= 4 * -(-25 // 3)
    assert cells[4] == f"{100 / (turns * phases * rows * columns):.0%}"


@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", GATED)
def test_dense_layers_before_and_between(cell: str, mode: str) -> None:
    """They work at every step and have hardware of their own."""
    net = network(
        dense(2, 3, "relu", name="before"), recurrent(cell, 3, 4, sequences=True, name="lower"),
        dense(4, 3, "tanh", name="between"), recurrent(cell, 3, 5, name="upper"), dense(5, 2),
        steps=2,
    )  # fmt: skip
    design = designed(net, mode, reuse_factor=5)
    check(design)
    assert len(design.schedule.fed) == (mode == "static")


@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_kernels_of_zeros(cell: str, mode: str) -> None:
    """Nothing reads what zeros multiply, and nothing is built for it."""
    layer = recurrent(cell, 2, 3)
    gates = {
        name: replace(gate, recurrent_kernel=np.zeros((3, 3))) for name, gate in layer.gates.items()
    }
    zeros = replace(layer, gates=gates)
    for net in (network(zeros, dense(3, 2), steps=2), network(zeros, steps=2)):
        check(designed(net, mode, reuse_factor=5))


@pytest.mark.parametrize("name", ["constants_0_5", "results", "selection_0_0"])
def test_layers_may_have_the_names_of_what_is_made(name: str) -> None:
    net = network(recurrent("lstm", 2, 5, name=name), dense(5, 2), steps=2)
    check(designed(net, "static", reuse_factor=10))


def test_dense_layers_by_themselves_have_nothing_to_share() -> None:
    with pytest.raises(UnsupportedError, match="the network has none"):
        designed(network(dense(3, 2), steps=2), "static", reuse_factor=2)


@pytest.mark.parametrize("storage", ["logic", "block"])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
def test_weights_in_logic_and_in_block_ram(mode: str, storage: str) -> None:
    """Few words in block RAM, and many in look-up tables."""
    for factor in (3, 25):
        design = designed(net_of("gru_after"), mode, reuse_factor=factor, weight_storage=storage)
        check(design)
        assert {op.block for op in design.schedule.ops if op.values} == {storage == "block"}
    with pytest.raises(UnsupportedError, match="unknown weight_storage 'rom'"):
        designed(net_of("lstm"), mode, reuse_factor=2, weight_storage="rom")


def test_words_of_weights_are_no_wider_than_vectors_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = network(recurrent("gru_after"), dense(3, 2), steps=3)
    design = generate(net, "fixed<8,3>", reuse_factor=3)
    together = set(re.findall(r"reg \[(\d+):0\] (\w*constants\w*)", design.verilog))
    monkeypatch.setattr(constants, "WIDEST", 20)
    design = generate(net, "fixed<8,3>", reuse_factor=3)
    apart = set(re.findall(r"reg \[(\d+):0\] (\w*constants\w*)", design.verilog))
    assert max(int(high) for high, _ in together) >= 20 > max(int(high) for high, _ in apart)
    assert len(apart) > len(together)
    for simulator in ("amaranth", "icarus"):
        assert design.simulate(inputs(net), simulator).bit_exact
