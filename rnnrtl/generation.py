"""From what was trained to a design: `generate`."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from rnnrtl.auto import chosen_reuse
from rnnrtl.design import Design
from rnnrtl.errors import PrecisionError, UnsupportedError
from rnnrtl.fixedpoint import Format, Precision
from rnnrtl.frontends import load
from rnnrtl.lut.search import BOUND_LSB
from rnnrtl.network import Network
from rnnrtl.options import Options
from rnnrtl.tuning.trials import Metric

DEFAULT_PRECISION = "fixed<16,6>"
"""Of a network that was trained in floats, where nothing else is asked."""


def generate(
    weights: object,
    precision: str | Format | Mapping[str, object] | Precision | None = None,
    *,
    mode: str = "static",
    reuse_factor: int | tuple[int, int] | Literal["auto"] = 1,
    max_dsp: int | None = None,
    max_latency: int | None = None,
    clock_mhz: float = 200.0,
    target: str = "xcup",
    strategy: str | Mapping[str, str] = "auto",
    dsp_packing: bool = False,
    weight_storage: str = "auto",
    steps_per_beat: int = 1,
    steps: int | None = None,
    stateful: bool | None = None,
    state_ports: bool = False,
    activations: Mapping[str, str] | None = None,
    name: str | None = None,
    calibration: object | None = None,
    metric: Metric | None = None,
    metric_target: float | None = None,
    max_error: float | None = None,
    table_error: float = BOUND_LSB,
) -> Design:
    """Turn a trained network into a design.

    Parameters
    ----------
    weights : anything that `load` takes
    precision : "fixed<W,I>" (rounds, saturates), "ap_fixed<W,I[,Q[,O]]>" (as in Vitis HLS), a
        mapping of patterns such as "gru.hidden" or "*.kernel" to formats, a `Precision`, or
        "auto": what `find_precision` finds, whose `progress` and `state` it does without. Where
        it is left out, a network that was trained in fixed point keeps its own formats
        (`Network.precision`), and any other one has "fixed<16,6>"
    calibration : for "auto": x (batch, steps, features), some hundreds of typical inputs
    metric, metric_target : for "auto": figure of the outputs, and what it is to be at least
    max_error : for "auto": the largest difference of any output from the float network's
    table_error : what each table of an activation function may be off by, in LSB of its output,
        at any input code: 0.5 is correctly rounded. "auto" finds formats with the default
    mode : "static" (one cell, steps in sequence), "interleaved" (one cell, as many independent
        sequences taking turns as its loop has stages) or "unrolled" (a cell a step)
    reuse_factor : products of a recurrent layer that share one multiplier, one number or two
        (kernel, recurrent kernel), up to a multiplier a gate; with one number beyond that all
        products of the network share so few multipliers, in the end a single one. In mode
        "static", with one result a sequence, dense layers after the last recurrent one run on its
        multipliers. With 1 only what waits for no state may work in several cycles, at no cost of
        throughput; with (1, 1) nothing is shared. "auto" finds one
    max_dsp, max_latency : for "auto": the fastest with at most so many DSP blocks, or the one with
        fewest multipliers and a latency of at most so many cycles
    clock_mhz, target : the clock and the FPGA family (xcup, xcu, xc7, ecp5, ice40) that registers
        are placed for
    strategy : "dsp" (a multiplier for every product), "shift_add" (shifts and adds that products
        share; needs da4ml) or "auto" (by width), for all layers or by layer name
    dsp_packing : with a reuse factor above 1, two products of at most about 8 bits in a DSP block
    weight_storage : where weights that multipliers take in turn are: "logic" (look-up tables),
        "block" (block RAM) or "auto", look-up tables where one a bit is enough
    steps_per_beat : time steps in one input beat: all of them if unrolled, else 1
    stateful : whether the states live on after a sequence's last step, so that the next one goes on
        from them; the port `s_axis_tuser` then marks a step that begins from the initial state. By
        default as the network was trained (Keras' `stateful`)
    state_ports : whether the states of recurrent layers can be written and read: `s_axis_tuser`
        brings states that a step may begin from, any that their formats have, and `m_axis_tuser`
        those after the step of each result
    steps, activations : see `load`
    name : Verilog top module; the network's name where not given

    Raises
    ------
    RnnrtlError : ModelError, PrecisionError or UnsupportedError, before any hardware is made
    """
    network = load(weights, steps=steps, activations=activations)
    if stateful is not None:
        network = network.replace(stateful=stateful)
    automatic = isinstance(reuse_factor, str) and reuse_factor == "auto"
    options = Options(
        mode,
        1 if automatic else reuse_factor,  # type: ignore[arg-type]
        clock_mhz,
        target,
        strategy,
        dsp_packing,
        weight_storage,
        steps_per_beat,
        network.name if name is None else name,
        table_error,
        state_ports,
    )
    aims = {"metric": metric, "target": metric_target, "max_error": max_error}
    design = Design(network, _formats(network, precision, calibration, aims), options)
    if not automatic:
        if max_dsp is not None or max_latency is not None:
            raise UnsupportedError("max_dsp and max_latency go with reuse_factor='auto'")
        return design
    made = cache(design.with_reuse)
    return made(
        chosen_reuse(
            network,
            options.reuse_factors(network),
            lambda factor: made(factor).schedule,
            max_dsp=max_dsp,
            max_latency=max_latency,
        )
    )


def _formats(
    network: Network,
    precision: str | Format | Mapping[str, object] | Precision | None,
    calibration: object | None,
    aims: Mapping[str, Any],
) -> Precision:
    """Return the precision that is given, or that "auto" finds with what goes with it."""
    from rnnrtl.tuning import find_precision

    automatic = isinstance(precision, str) and precision.strip() == "auto"
    if automatic and calibration is not None:
        return find_precision(network, calibration, **aims)
    if not automatic and any(given is not None for given in (calibration, *aims.values())):
        raise PrecisionError(
            "calibration, metric, metric_target and max_error go with precision='auto'"
        )
    if precision is None:
        precision = network.precision or DEFAULT_PRECISION
    return Precision.parse(precision)
