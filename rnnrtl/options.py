"""What `generate` can be asked for, checked before any work is done."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rnnrtl.auto import reuse_factors
from rnnrtl.errors import ModelError, PrecisionError, UnsupportedError
from rnnrtl.fixedpoint import Precision
from rnnrtl.frontends.names import VERILOG_KEYWORDS
from rnnrtl.layers import Bidirectional, Recurrent, Stepping
from rnnrtl.lut.search import BOUND_LSB, TIGHTER_LSB
from rnnrtl.network import Network
from rnnrtl.schedule.delays import delays_of
from rnnrtl.schedule.reuse import Reuse, refuse_projection, reuse_of, shared_multipliers

MODES = {
    "static": "one cell, steps in sequence",
    "unrolled": "one cell a step (hls4ml: non-static)",
    "interleaved": "one cell, several independent sequences in flight",
}
WEIGHT_STORAGES = ("auto", "logic", "block")
STRATEGIES = ("auto", "dsp", "shift_add")

COARSEST_TABLE = 16.0
"""Largest error of a table that can be asked for, in LSB of what it gives."""

NARROW_BITS = 12
"""Width of weights up to which shifts and adds cost little more than the adders of a DSP's sum."""


@dataclass(frozen=True)
class Options:
    """How a network becomes hardware.

    Members
    -------
    mode : a key of `MODES`
    reuse_factor : products of a recurrent layer that share one multiplier, one number or two
        (kernel, recurrent kernel). With 1 every product of a loop has hardware of its own, and
        what waits for no state works in several cycles where that costs no throughput; with
        (1, 1) nothing is shared at all
    clock_mhz : the clock that registers are placed for
    target : the FPGA family whose delays place them
    strategy : how products by constants are made, for all layers or by layer name: "dsp" (a
        multiplier each), "shift_add" (shared shifts and adds, no multiplier), or "auto":
        "shift_add" for kernels of at most `NARROW_BITS` bits
    dsp_packing : two products in one multiplier, where they share an operand and fit, in layers
        with a reuse factor
    weight_storage : where weights that multipliers take in turn are: "logic" (look-up tables),
        "block" (block RAM) or "auto", look-up tables where one a bit is enough
    steps_per_beat : time steps in one input beat: all of them if unrolled, else 1
    name : the Verilog top module
    table_error : bound of the error that each table of an activation function adds, in LSB of what
        it gives, over every input code; from 0.5, which is correctly rounded, to `COARSEST_TABLE`
    state_ports : whether a beat may bring states to begin from, and results bring those after them
    """

    mode: str = "static"
    reuse_factor: int | tuple[int, int] = 1
    clock_mhz: float = 200.0
    target: str = "xcup"
    strategy: str | Mapping[str, str] = "auto"
    dsp_packing: bool = False
    weight_storage: str = "auto"
    steps_per_beat: int = 1
    name: str = "network"
    table_error: float = BOUND_LSB
    state_ports: bool = False

    def __post_init__(self) -> None:
        _check_known("mode", self.mode, MODES)
        _check_known("weight_storage", self.weight_storage, WEIGHT_STORAGES)
        if not isinstance(self.dsp_packing, bool):
            raise UnsupportedError(f"dsp_packing must be True or False, not {self.dsp_packing!r}")
        if not isinstance(self.state_ports, bool):
            raise UnsupportedError(f"state_ports must be True or False, not {self.state_ports!r}")
        factor = self.reuse_factor
        parts = factor if type(factor) is tuple and len(factor) == 2 else (factor,)
        if not all(type(part) is int and part >= 1 for part in parts):
            raise UnsupportedError(
                f"reuse_factor must be a whole number from 1 up, or two of them (kernel, recurrent "
                f"kernel), not {self.reuse_factor!r}"
            )
        asked = self.strategy.values() if isinstance(self.strategy, Mapping) else [self.strategy]
        for strategy in asked:
            _check_known("strategy", strategy, STRATEGIES)
        try:
            clock = math.nan if isinstance(self.clock_mhz, bool) else float(self.clock_mhz)
        except (TypeError, ValueError):
            clock = math.nan
        if not math.isfinite(clock) or clock <= 0:
            raise UnsupportedError(f"clock_mhz must be a positive number, not {self.clock_mhz!r}")
        object.__setattr__(self, "clock_mhz", clock)
        bound = self.table_error
        if not (type(bound) in (int, float) and TIGHTER_LSB[0] <= bound <= COARSEST_TABLE):
            raise PrecisionError(
                f"table_error must be a number of LSB from {TIGHTER_LSB[0]} to {COARSEST_TABLE}, "
                f"not {bound!r}"
            )
        delays_of(self.target)
        name = self.name
        if not str(name).isidentifier() or not name.isascii():
            raise ModelError(f"name {name!r} is no Verilog module name: use letters, digits and _")
        if name in VERILOG_KEYWORDS:
            raise ModelError(f"name {name!r} is a Verilog keyword")

    def strategy_of(self, network: Network, precision: Precision) -> Callable[[str], str]:
        """Return the strategy of each layer, by the name of its module: "dsp" or "shift_add"."""
        chosen = {}
        for layer in network.parts:
            asked = self._strategy_asked(layer.name)
            if asked == "auto":
                tensors = ["kernel"]
                tensors += ["recurrent_kernel"] if isinstance(layer, Recurrent) else []
                width = max(precision.format(layer.name, tensor).width for tensor in tensors)
                asked = "shift_add" if width <= NARROW_BITS else "dsp"
            chosen[layer.name] = asked
        if isinstance(self.strategy, Mapping):
            for name in self.strategy:
                if name != "*" and name not in chosen:
                    raise UnsupportedError(
                        f"strategy for unknown layer {name!r}, known: {', '.join(chosen)}"
                    )
        # What merges two directions has no products by weights.
        chosen |= {layer.name: "dsp" for layer in network.layers if layer.name not in chosen}
        # An unrolled layer has a module for every step.
        return lambda module: chosen.get(module) or chosen[module.rpartition("_step_")[0]]

    def reuse_of(self, network: Network) -> dict[str, Reuse]:
        """Return how the products of each recurrent layer share multipliers, if they do.

        Raises UnsupportedError for a reuse factor that is more than a layer has products for.
        """
        if self.reuse_factor in (1, (1, 1)):
            return {}
        if self.mode == "unrolled":
            raise UnsupportedError(
                f"reuse_factor {self.reuse_factor} and mode 'unrolled' exclude each other: a beat "
                "at every edge leaves no cycle for a second product"
            )
        if not network.recurrent:
            raise UnsupportedError(
                f"reuse_factor {self.reuse_factor} is for recurrent layers, and the network has "
                "none: dense layers by themselves take 1 only"
            )
        reuse = {}
        for layer in network.recurrent:
            refuse_projection(layer, self.reuse_factor)
            if self._strategy_asked(layer.name) == "shift_add":
                raise UnsupportedError(
                    f"reuse_factor {self.reuse_factor} and strategy 'shift_add' of {layer.name} "
                    "exclude each other: there is no multiplier to share; give strategy 'dsp' or "
                    "'auto'"
                )
            reuse[layer.name] = reuse_of(layer, self.reuse_factor, packed=self.dsp_packing)
        return reuse

    def check_states(self, network: Network) -> None:
        """Raise UnsupportedError where states cannot live on, or cannot be read and written."""
        if network.stateful and self.mode == "unrolled":
            raise UnsupportedError(
                "mode 'unrolled' has no state that could live on: generate a stateful network in "
                "mode 'static' or 'interleaved', or with stateful=False"
            )
        if self.state_ports:
            self._check_state_ports(network)

    def _check_state_ports(self, network: Network) -> None:
        if self.mode == "unrolled":
            raise UnsupportedError(
                "mode 'unrolled' has no state that could be read or written: state_ports is for "
                "mode 'static' or 'interleaved'"
            )
        if not network.recurrent:
            raise UnsupportedError("state_ports is for recurrent layers, and the network has none")
        for layer in network.layers:
            other = isinstance(layer, Stepping | Bidirectional) and not isinstance(layer, Recurrent)
            if other or layer.name in network.memories:
                raise UnsupportedError(
                    f"layer {layer.name!r} ({type(layer).__name__}) and state_ports exclude each "
                    "other: states go in and out of recurrent layers that read time forwards"
                )
        if network.mask_value is not None and self.mode == "interleaved":
            raise UnsupportedError(
                "state_ports with a mask is not supported in mode 'interleaved', where a masked "
                "step writes no state: use mode 'static'"
            )

    def multipliers_of(self, network: Network) -> int | None:
        """Return how many multipliers all products share; None where none are shared so."""
        if not isinstance(self.reuse_factor, int) or self.reuse_factor == 1:
            return None
        found = shared_multipliers(network.recurrent, self.reuse_factor)
        for layer, why in network.memories.items() if found and self.mode == "static" else ():
            most = min(layer.units for layer in network.recurrent) ** 2
            raise UnsupportedError(
                f"reuse_factor {self.reuse_factor} is fewer multipliers than gates, which all "
                f"products of a network share, but {layer!r} {why}, which takes a core of its "
                f"own: {most} is the most"
            )
        return found

    def reuse_factors(self, network: Network) -> list[int]:
        """Return the reuse factors that differ in what is built, as `rnnrtl.auto` has them."""
        asked = {self._strategy_asked(layer.name) for layer in network.recurrent}
        return [1] if self.mode == "unrolled" or "shift_add" in asked else reuse_factors(network)

    def _strategy_asked(self, layer: str) -> str:
        if isinstance(self.strategy, Mapping):
            return self.strategy.get(layer, self.strategy.get("*", "auto"))
        return self.strategy

    def checked_steps_per_beat(self, network: Network) -> int:
        """Return `steps_per_beat`, or raise where it does not suit mode and network."""
        asked, steps = self.steps_per_beat, network.steps
        for layer, why in network.memories.items() if self.mode == "interleaved" else ():
            raise UnsupportedError(
                f"mode 'interleaved' takes steps of several sequences in turn, but layer "
                f"{layer!r} {why}: use mode 'static'"
            )
        if network.backwards and self.mode == "static" and steps is None:
            raise ModelError(
                f"layer {network.backwards[0]!r} reads time in reverse, so the hardware has a "
                "memory for the longest sequence: give its number of time steps, steps=20"
            )
        if self.mode == "unrolled":
            if steps is None:
                raise ModelError(
                    "mode 'unrolled' has a cell for every time step: give their number, steps=20"
                )
            if type(asked) is not int or asked != steps:
                raise UnsupportedError(
                    f"mode 'unrolled' takes a whole sequence in a beat: steps_per_beat={steps}, "
                    f"not {asked!r}"
                )
        elif type(asked) is not int or asked != 1:
            raise UnsupportedError(
                f"steps_per_beat {asked!r} is not supported in mode {self.mode!r}, only 1"
            )
        return asked


def _check_known(name: str, asked: object, known: Iterable[str]) -> None:
    """Raise UnsupportedError for what is none of some words, which may be anything."""
    words = tuple(known)  # a mapping would want to hash it
    if asked not in words:
        raise UnsupportedError(f"unknown {name} {asked!r}, known: {', '.join(words)}")
