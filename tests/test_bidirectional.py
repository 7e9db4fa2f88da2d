"""Layers that read time in reverse: equations, bits, cycles, memories, and what is refused."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

import rnnrtl
from rnnrtl.design import Design
from rnnrtl.errors import InputError, ModelError, PrecisionWarning, UnsupportedError
from rnnrtl.fixedpoint import Format, Precision
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.generation import generate
from rnnrtl.graph.evaluate import evaluate
from rnnrtl.graph.memories import Reversal
from rnnrtl.graph.program import Program
from rnnrtl.graph.stages import stages
from rnnrtl.graph.trace import trace
from rnnrtl.graph.unroll import trace_unrolled
from rnnrtl.layers import MERGES, Bidirectional
from rnnrtl.network import Network
from rnnrtl.schedule.series import Series
from rnnrtl.simulation import SimulatorName
from rnnrtl.tuning import find_precision
from tests.networks import CELLS, bidirectional, dense, inputs, network, recurrent, reference
from tests.test_hardware import simulated

STEPS = 4


def backwards(cell: str, features: int = 3, units: int = 3, **members: Any) -> Any:
    return replace(recurrent(cell, features, units, **members), go_backwards=True)


def merging(number: int, merge: str, sequences: bool) -> Network:
    """Return a network whose two directions have different cells."""
    cells = CELLS[number % 3], CELLS[(number + 1) % 3]
    units = (2, 3) if merge == "concat" else (2, 2)
    both = bidirectional(*cells, units=units, merge=merge, sequences=sequences)
    return network(both, dense(both.outputs), steps=STEPS)


NETWORKS = {
    **{
        f"{merge}, {'all steps' if sequences else 'last'}": merging(number, merge, sequences)
        for number, (merge, sequences) in enumerate(
            (merge, sequences) for merge in MERGES for sequences in (False, True)
        )
    },
    "no head, all steps": network(bidirectional(units=(2, 1), sequences=True), steps=STEPS),
    "stacked": network(
        bidirectional(name="a", units=(2, 2), sequences=True),
        bidirectional("lstm", "lstm", 4, (2, 2), name="b", merge="sum", sequences=True),
        dense(2),
        steps=STEPS,
    ),
    "dense between": network(
        bidirectional(name="a", units=(2, 2), sequences=True),
        dense(4, 2, "tanh", name="middle"),
        bidirectional("gru_after", "gru_before", 2, (2, 2), name="b", merge="ave"),
        steps=STEPS,
    ),
    "dense before": network(
        dense(3, 2, "sigmoid", name="first"), bidirectional(features=2, units=(1, 2)), steps=STEPS
    ),
    "after a layer of one direction": network(
        recurrent("gru_after", units=2, sequences=True, name="lower"),
        bidirectional(features=2, units=(2, 2), merge="sum"),
        steps=STEPS,
    ),
    "before a layer of one direction": network(
        bidirectional(units=(2, 2), merge="mul", sequences=True),
        recurrent("lstm", 2, 2, name="upper"),
        steps=STEPS,
    ),
    "last output": network(bidirectional(units=(2, 2), last_output=True), dense(4), steps=STEPS),
    "last output, stacked": network(
        bidirectional(name="a", units=(2, 2), sequences=True),
        bidirectional("lstm", "lstm", 4, (2, 2), name="b", last_output=True),
        dense(4, 1, "sigmoid"),
        steps=STEPS,
    ),
    "backwards": network(backwards("lstm", units=2), dense(2), steps=STEPS),
    "backwards twice": network(
        backwards("gru_after", units=2, sequences=True, name="lower"),
        backwards("gru_before", 2, 2, sequences=True, name="upper"),
        steps=STEPS,
    ),
}

MEMORIES = {
    "no head, all steps": 2,
    "stacked": 3,
    "dense between": 2,  # which is computed for both ends at once
    "dense before": 1,
    "after a layer of one direction": 1,
    "before a layer of one direction": 2,
    "last output": 0,  # the backward layer takes the last step only
    "last output, stacked": 2,
    "backwards": 1,
    "backwards twice": 2,
}


def designed(net: Network, precision: Any = "fixed<10,4>", **options: Any) -> Design:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return generate(net, precision, **options)


def check(
    design: Design, simulator: SimulatorName = "amaranth", *, steps: int = STEPS, batch: int = 5
) -> None:
    """Check every bit, under stalls and resets too, and the measured figures."""
    result = simulated(design, simulator, batch=batch, steps=steps)
    assert result.initiation_interval == design.schedule.interval_of(steps)


@pytest.mark.parametrize("name", NETWORKS)
def test_equations_in_float64_and_bits_of_every_evaluation(name: str) -> None:
    net = NETWORKS[name]
    x = inputs(net, 4, STEPS)
    expected = reference(net, x)
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=1e-12)
    precision = Precision.parse("fixed<18,6>")
    graph = trace(net, precision)
    codes = to_codes(x, graph.input_format)
    found = evaluate(graph, codes)
    np.testing.assert_allclose(to_values(found, graph.output_format), expected, rtol=0, atol=0.01)
    np.testing.assert_array_equal(Program(graph, chunk=3).run(codes), found)
    cut = stages(graph)
    assert sum(stage.memory is not None for stage in cut) == MEMORIES.get(
        name, 1 + net.return_sequences
    )
    words = codes
    for stage in cut:
        words = evaluate(stage.graph, words if not stage.memory else stage.memory.played(words))
    np.testing.assert_array_equal(words, found)
    unrolled = evaluate(trace_unrolled(net, precision, STEPS), codes.reshape(4, 1, -1))
    np.testing.assert_array_equal(unrolled.reshape(found.shape), found)


ELSEWHERE = (
    "concat, last", "no head, all steps", "stacked", "dense between", "last output, stacked",
    "backwards",
)  # fmt: skip
"""Networks that other tests below put through a simulator, with all that `check` asks."""


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ELSEWHERE])
def test_hardware(name: str) -> None:
    check(designed(NETWORKS[name]))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("concat, last", {"reuse_factor": 4}),
        ("sum, all steps", {"reuse_factor": 3}),
        ("last output, stacked", {"reuse_factor": 4}),
        ("mul, all steps", {"strategy": "shift_add"}),
    ],
    ids=str,
)
def test_reuse_and_strategy(name: str, options: dict[str, Any]) -> None:
    check(designed(NETWORKS[name], **options), batch=3)


def test_unrolled() -> None:
    net = NETWORKS["sum, all steps"].replace(steps=2)
    check(designed(net, mode="unrolled", steps_per_beat=2), steps=2, batch=3)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("concat, last", {}), ("stacked", {"reuse_factor": 2}), ("backwards", {})],
    ids=str,
)
def test_verilog(name: str, options: dict[str, Any], simulator: SimulatorName) -> None:
    check(designed(NETWORKS[name], **options), simulator)


@pytest.mark.parametrize("steps", [1, 3])
def test_sequences_shorter_than_the_memories(steps: int) -> None:
    net = NETWORKS["dense between"].replace(steps=5)
    design = designed(net)
    check(design, steps=steps, batch=2)
    with pytest.raises(InputError, match=r"x has 6 time steps.* layer 'a' has room for 5.*steps=6"):
        design.predict(np.zeros((1, 6, 3)))
    with pytest.raises(InputError, match="x has 6 time steps"):
        design.simulate(np.zeros((1, 6, 3)))


def test_sequences_of_different_lengths() -> None:
    """One after the other, each as long as it likes, is as each by itself."""
    design = designed(NETWORKS["stacked"])
    rng = np.random.default_rng(5)
    sequences = [rng.integers(-99, 99, (1, n, 3)) for n in (4, 1, 3, 2, 4, 4, 1)]
    expected = np.concatenate([design.predict_codes(codes)[0] for codes in sequences])
    beats = [
        (int.from_bytes(beat, "little"), beat is burst[-1])
        for codes in sequences
        for burst in [list(design.input_stream.pack(codes)[0])]
        for beat in burst
    ]
    core, found = design.core, list[bytes]()

    async def offer(context: Any) -> None:
        context.set(core.s_axis_tvalid, 1)
        for data, last in beats:
            context.set(core.s_axis_tdata, data)
            context.set(core.s_axis_tlast, last)
            await context.tick().until(core.s_axis_tready)
        context.set(core.s_axis_tvalid, 0)

    async def collect(context: Any) -> None:
        context.set(core.m_axis_tready, 1)
        while len(found) < len(expected):
            (data,) = await context.tick().sample(core.m_axis_tdata).until(core.m_axis_tvalid)
            found.append(int(data).to_bytes(design.output_stream.beat_bytes, "little"))

    simulator = Simulator(core)
    simulator.add_clock(10e-9)
    simulator.add_testbench(offer)
    simulator.add_testbench(collect)
    simulator.run()
    given = np.frombuffer(b"".join(found), np.uint8).reshape(len(found), -1)
    np.testing.assert_array_equal(design.output_stream.unpack(given), expected)


def test_figures_of_a_series() -> None:
    design = designed(NETWORKS["stacked"].replace(steps=10))
    schedule = design.schedule
    assert isinstance(schedule, Series)
    assert len(schedule.parts) == len([m for m in schedule.memories if m]) == 3
    sums = sum(part.latency_cycles for part in schedule.parts)
    assert schedule.latency_cycles == 9 + sums + 3 * Reversal.cycles
    assert schedule.tail_cycles == schedule.latency_cycles - 9
    assert schedule.initiation_interval == 10 * schedule.cycles_per_step
    assert schedule.multipliers == sum(part.multipliers for part in schedule.parts) > 0
    report = design.report()
    assert "| a_f, a_b | 2 x 10 x 6 x 10 |" in report
    assert "a_b.h_next" in schedule.gantt()


def test_network_of_one_direction_is_one_core() -> None:
    net = network(recurrent("lstm"), dense(3), steps=STEPS)
    design = designed(net)
    (stage,) = design.stages
    assert stage.graph is design.graph
    assert stage.memory is None
    assert not isinstance(design.schedule, Series)
    assert "memory_0" not in design.verilog


def test_merged_results_have_a_format() -> None:
    net = NETWORKS["ave, last"]
    assert rnnrtl.tensors(net)["both"] == ("output",)
    assert rnnrtl.tensors(NETWORKS["concat, last"])["both"] == ()
    formats = {"*": "fixed<14,5>", "both_f.hidden": "fixed<9,1>", "both_b.hidden": "fixed<7,2>"}
    concat = designed(NETWORKS["no head, all steps"], formats)
    assert concat.graph.output_format == Format(10, 2)
    check(concat)
    check(designed(net, {**formats, "both.output": "fixed<6,2>"}))


def test_directions_begin_with_states_of_their_own() -> None:
    both = bidirectional("lstm", "lstm", units=(2, 2))
    states = {"h": np.array([0.5, -0.25]), "c": np.array([1.0, -1.0])}
    forward = replace(both.forward, initial=states)
    backward = replace(both.backward, initial={"h": np.array([-0.75, 0.5])})
    both = replace(both, forward=forward, backward=backward)
    net = network(both, steps=STEPS)
    x = inputs(net, 3, STEPS)
    np.testing.assert_allclose(net.predict(x), reference(net, x), rtol=0, atol=1e-12)
    check(designed(net))
    last = net.replace(layers=(replace(both, last_output=True),))
    np.testing.assert_allclose(last.predict(x), reference(last, x), rtol=0, atol=1e-12)
    check(designed(last))


@pytest.mark.filterwarnings("ignore::rnnrtl.errors.PrecisionWarning")
def test_found_formats() -> None:
    both = bidirectional("gru_after", "gru_before", 1, (1, 1), merge="sum")
    net = network(both, dense(1, 1), steps=STEPS)
    x = inputs(net, 8, STEPS)
    precision = find_precision(net, x, max_error=0.1)
    design = generate(net, precision)
    assert np.abs(design.predict(x) - net.predict(x)).max() <= 0.1
    assert {"both_f.hidden", "both_b.kernel", "both.output"} <= set(precision.as_dict())
    assert design.saturation(x)[0].values == x.size


@pytest.mark.parametrize("name", ["ave, all steps", "last output, stacked", "backwards twice"])
@pytest.mark.filterwarnings("ignore::rnnrtl.errors.PrecisionWarning")
def test_training(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    from rnnrtl.training import QuantizedNetwork

    net = NETWORKS[name]
    x = inputs(net, 3, STEPS)
    model = QuantizedNetwork(net, "fixed<9,4>")
    y = model(torch.from_numpy(x))
    np.testing.assert_array_equal(generate(model).predict(x), y.detach().numpy())
    y.square().sum().backward()
    for part in net.parts:
        gradients = [v.grad for k, v in model.weights.items() if k.startswith(f"{part.name}/")]
        assert any(bool(gradient.any()) for gradient in gradients), part.name


@pytest.mark.parametrize("name", ["mul, all steps", "last output, stacked", "backwards twice"])
def test_file(name: str, tmp_path: Any) -> None:
    net = NETWORKS[name]
    rnnrtl.save(net, tmp_path / "net.npz")
    again = rnnrtl.load(tmp_path / "net.npz")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in net.layers]
    x = inputs(net, 2, STEPS)
    np.testing.assert_array_equal(again.predict(x), net.predict(x))


def test_bad_files() -> None:
    cell = {"kernel": np.ones((2, 4)), "recurrent_kernel": np.ones((1, 4))}
    pair = {"forward": "f", "backward": "b"}
    for arrays, message in (
        ({"both": pair, "f": cell}, "'both.backward' is 'b', which is no recurrent layer"),
        ({"both": {"forward": "f"}, "f": cell}, "'both.backward' is missing"),
        ({"both": {**pair, "units": 2}, "f": cell, "b": cell}, "unknown key 'both.units'"),
        ({"both": {**pair, "backward": "f"}, "f": cell}, "in both directions"),
    ):
        with pytest.raises(ModelError, match=message):
            rnnrtl.load(arrays)
    with pytest.raises(UnsupportedError, match="merge 'max' is not supported, only concat"):
        rnnrtl.load({"both": {**pair, "merge": "max"}, "f": cell, "b": cell})


def test_what_makes_no_bidirectional_layer() -> None:
    lstm, gru = recurrent("lstm", units=2), recurrent("gru_after", units=3)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"merge": "ave"}, "as many units in both directions, not 2 and 3"),
        ({"forward": replace(lstm, return_sequences=True)}, "one direction returns sequences"),
        ({"backward": replace(gru, go_backwards=True)}, "neither layer may have go_backwards"),
        ({"backward": recurrent("lstm", 4)}, "takes 3 features, backward 4"),
    ]
    for members, message in cases:
        given: dict[str, Any] = {"name": "both", "forward": lstm, "backward": gru, **members}
        with pytest.raises(ModelError, match=message):
            Bidirectional(**given)
    both = bidirectional(sequences=True)
    with pytest.raises(ModelError, match="last_output is for layers that return no sequence"):
        replace(both, last_output=True)
    with pytest.raises(ModelError, match="two layers are called 'both_f'"):
        network(both, recurrent("lstm", 6, name="both_f"))
    with pytest.raises(ModelError, match="needs a sequence"):
        network(bidirectional(), bidirectional(features=6, name="upper"))


def test_what_hardware_is_refused() -> None:
    net = NETWORKS["concat, last"]
    with pytest.raises(ModelError, match=r"'both' reads time in reverse.*steps=20"):
        designed(net.replace(steps=None))
    with pytest.raises(UnsupportedError, match=r"'interleaved' .* 'both' reads time in reverse"):
        designed(net, mode="interleaved")
    with pytest.raises(
        UnsupportedError, match=r"reuse_factor 20 is fewer multipliers .*: 4 is the"
    ):
        designed(net, reuse_factor=20)
    # A layer of which only the last output is wanted is one core, and takes all of it.
    designed(NETWORKS["last output"].replace(steps=None), mode="interleaved")
    few = designed(net, reuse_factor="auto", max_dsp=40)
    assert few.schedule.dsp <= 40
