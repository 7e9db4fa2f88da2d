"""reuse_factor="auto": the best reuse factor within limits, found by trying all that differ."""

import pytest

import rnnrtl
from rnnrtl.errors import UnsupportedError
from rnnrtl.network import Network
from tests.networks import dense, network, recurrent

FACTORS = (*range(1, 38), 40, 54, 81, 100, 162)


def small(steps: int = 4) -> Network:
    return network(recurrent("gru_after", 3, 6), dense(6, 4, "relu"), steps=steps)


def figures(form: str, factor: int) -> tuple[int, int]:
    schedule = rnnrtl.generate(small(), form, reuse_factor=factor).schedule
    return schedule.dsp, schedule.latency_cycles


@pytest.mark.parametrize("form", ["fixed<12,4>", "fixed<16,4>"], ids=["in logic", "in DSP"])
def test_the_fastest_within_a_number_of_dsp_blocks(form: str) -> None:
    found = {factor: figures(form, factor) for factor in FACTORS}
    for limit in (1, 3, 9, 20, 33, 60, 500):
        made = rnnrtl.generate(small(), form, reuse_factor="auto", max_dsp=limit)
        assert made.schedule.dsp <= limit
        best = min(latency for dsp, latency in found.values() if dsp <= limit)
        assert made.schedule.latency_cycles == best


@pytest.mark.parametrize("form", ["fixed<12,4>", "fixed<16,4>"], ids=["in logic", "in DSP"])
def test_the_smallest_within_a_latency(form: str) -> None:
    found = {factor: figures(form, factor) for factor in FACTORS}
    for limit in (30, 60, 100, 250, 3000):
        made = rnnrtl.generate(small(), form, reuse_factor="auto", max_latency=limit)
        assert made.schedule.latency_cycles <= limit
        assert made.schedule.dsp == min(d for d, latency in found.values() if latency <= limit)


def test_limits_that_nothing_keeps_say_what_would() -> None:
    def auto(max_dsp: int | None = None, max_latency: int | None = None) -> None:
        rnnrtl.generate(
            small(), "fixed<16,4>", reuse_factor="auto", max_dsp=max_dsp, max_latency=max_latency
        )

    with pytest.raises(UnsupportedError, match=r"at most 0 DSP: reuse_factor 162 takes 1"):
        auto(max_dsp=0)
    with pytest.raises(UnsupportedError, match=r"at most 5 cycles: \d+ cycles are the fewest"):
        auto(max_latency=5)
    with pytest.raises(UnsupportedError, match=r"at most 20 cycles and at most 20 DSP"):
        auto(max_dsp=20, max_latency=20)
    for wrong in ("20", True, -1, 20.5):
        with pytest.raises(UnsupportedError, match="max_dsp must be a whole number"):
            auto(max_dsp=wrong)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="needs a limit"):
        auto()
    with pytest.raises(UnsupportedError, match="go with reuse_factor='auto'"):
        rnnrtl.generate(small(), max_dsp=20)


def test_limits_without_a_number_of_steps() -> None:
    net = network(recurrent("gru_after", 3, 6), dense(6, 4, "relu"))
    made = rnnrtl.generate(net, "fixed<16,4>", reuse_factor="auto", max_dsp=40)
    assert made.schedule.dsp <= 40


def test_without_multipliers_there_is_one_factor() -> None:
    """Nothing to share: what is made, or refused, is reuse factor 1."""
    shifts = rnnrtl.generate(small(), "fixed<12,4>", strategy="shift_add")
    assert [design.options.reuse_factor for design in shifts.explore()] == [1]
    options = {"mode": "unrolled", "steps_per_beat": 4}
    made = rnnrtl.generate(small(), reuse_factor="auto", max_dsp=5000, **options)  # type: ignore[arg-type]
    assert made.options.reuse_factor == 1
    with pytest.raises(UnsupportedError, match="reuse_factor 1 takes"):
        rnnrtl.generate(small(), reuse_factor="auto", max_dsp=5, **options)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="points must be"):
        next(shifts.explore(1))
