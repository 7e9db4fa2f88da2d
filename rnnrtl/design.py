"""A network in hardware, and everything one can ask of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnnrtl.collecting import collecting_seldom
from rnnrtl.errors import InputError, UnsupportedError
from rnnrtl.fixedpoint import Precision
from rnnrtl.fixedpoint.exact import to_codes, to_values
from rnnrtl.graph.graph import Graph
from rnnrtl.graph.heads import head_apart
from rnnrtl.graph.overflow import Saturation, saturation
from rnnrtl.graph.program import Program
from rnnrtl.graph.real import checked_input
from rnnrtl.graph.stages import Stage, stages
from rnnrtl.graph.trace import trace
from rnnrtl.graph.unroll import trace_unrolled
from rnnrtl.hardware.core import Core
from rnnrtl.hardware.pipeline import Pipeline, in_stages
from rnnrtl.hardware.stream import StreamFormat
from rnnrtl.hardware.verilog import to_verilog
from rnnrtl.network import Network
from rnnrtl.options import Options
from rnnrtl.schedule.crowding import of_its_size
from rnnrtl.schedule.delays import Delays, delays_of
from rnnrtl.schedule.make import make_schedule
from rnnrtl.schedule.operations import range_width
from rnnrtl.schedule.schedule import Schedule
from rnnrtl.schedule.series import Series, in_series
from rnnrtl.schedule.sums import FOLD_FROM
from rnnrtl.simulation import Simulation, SimulatorName, simulate
from rnnrtl.states import StateForms
from rnnrtl.streaming import InFixedPoint, Stream

if TYPE_CHECKING:
    from rnnrtl.simulate import Hardware, Progress
    from rnnrtl.synthesis import Estimate, Routing

FEW_PRODUCTS_FROM = 32
"""Cycles for which a step takes an array from which on one more, or two, are worth a multiplier
less for each unit at a time.
"""


class Design:
    """A network in hardware. Made by `generate`; everything here is computed when first asked for.

    Members
    -------
    network : what was generated from
    precision : the format of every tensor
    options : mode, clock, target, name
    graph : one time step as fixed-point operations
    reuse : recurrent layers whose products share multipliers -> how
    """

    def __init__(self, network: Network, precision: Precision, options: Options) -> None:
        self.network = network
        self.precision = precision
        self.options = options
        self._strategy = options.strategy_of(network, precision)
        self.reuse = options.reuse_of(network)
        options.check_states(network)
        self._balanced = options.reuse_factor != (1, 1)
        self._multipliers = options.multipliers_of(network)
        cycles = [reuse.cycles for reuse in self.reuse.values()]
        few_products = min(cycles, default=1) >= FEW_PRODUCTS_FROM
        self.graph: Graph = trace(
            network,
            precision,
            few_products=few_products,
            table_error=options.table_error,
            state_ports=options.state_ports,
        )
        self._steps_per_beat = options.checked_steps_per_beat(network)

    @property
    def name(self) -> str:
        """Name of the Verilog top module."""
        return self.options.name

    @cached_property
    def schedule(self) -> Schedule:
        """Which operation in which cycle; its figures are those that `simulate` measures."""
        with collecting_seldom():
            return self._in_series()

    def _in_series(self) -> Schedule:
        steps, taken = self.network.steps, list[int | None]()
        for stage in self.stages:
            steps = stage.memory.steps_given(steps) if stage.memory else steps
            taken.append(steps)
        each = list(zip(self.stages, taken, strict=True))
        # A stage of one beat a sequence has as much time for it as a step takes elsewhere.
        busy = {
            stage: self._scheduled(stage.graph, count)
            for stage, count in each
            if stage.graph.loops or count != 1 or not self._balanced
        }
        between = max((part.step_cycles for part in busy.values()), default=1)
        if self.network.steps is not None:  # in turns, sequences may be shorter than a step
            longest = (part.interval_of(part.steps or 1) for part in busy.values())
            between = min(between, max(longest, default=1))
        parts = [
            busy[stage] if stage in busy else self._scheduled(stage.graph, count, between)
            for stage, count in each
        ]
        memories = [stage.memory for stage in self.stages]
        return in_series(parts, memories, self.network.steps) if any(memories) else parts[0]

    def _scheduled(self, graph: Graph, steps: int | None, interval: int = 1) -> Schedule:
        options = self.options

        def made(delays: Delays, clock_mhz: float) -> Schedule:
            return make_schedule(
                graph,
                clock_mhz=clock_mhz,
                target=options.target,
                delays=delays,
                mode=options.mode,
                steps=steps,
                steps_per_beat=self._steps_per_beat,
                strategy=self._strategy,
                balanced=self._balanced,
                reuse={p.layer: self.reuse[p.layer] for p in graph.loops if p.layer in self.reuse},
                weight_storage=options.weight_storage,
                multipliers=self._multipliers,
                interval=interval,
            )

        return of_its_size(made, delays_of(options.target), options.clock_mhz)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What the hardware is made of: one graph, or several with memories before them."""
        if self.options.mode == "unrolled":
            unrolled = trace_unrolled(
                self.network,
                self.precision,
                self._steps_per_beat,
                table_error=self.options.table_error,
            )
            return (Stage(unrolled),)
        # A head that is a part of the loop's core would have to take a beat at every edge. Where
        # states are given out it is: they come with the results.
        apart = self.options.mode == "interleaved" and self._balanced and not self.reuse
        apart = apart and not self.options.state_ports
        return stages(head_apart(self.graph, FOLD_FROM) if apart else self.graph)

    @property
    def input_stream(self) -> StreamFormat:
        """How an input vector is packed into a beat."""
        lanes = self.network.features * self._steps_per_beat
        return StreamFormat(lanes, self.graph.input_format.width)

    @property
    def output_stream(self) -> StreamFormat:
        """How a result is packed into a beat."""
        whole = self.options.mode == "unrolled" and self.graph.return_sequences
        steps = (self.network.output_steps or self._steps_per_beat) if whole else 1
        return StreamFormat(self.network.outputs * steps, self.graph.output_format.width)

    @property
    def state_stream(self) -> StreamFormat | None:
        """How the states are packed on the streams' side signals; None where they are not there.

        The layers in order, of each h and then c, in the width of the widest.
        """
        if not self.options.state_ports:
            return None
        nodes = self.states.nodes.values()
        width = max(range_width(min(node.lowest), max(node.highest)) for node in nodes)
        return StreamFormat(sum(node.size for node in nodes), width)

    @property
    def core(self) -> Core | Pipeline:
        """The hardware as an Amaranth component, new each time."""
        given, sink = self.input_stream, self.output_stream
        schedule = self.schedule
        if not isinstance(schedule, Series):
            return Core(
                schedule,
                given,
                sink,
                return_sequences=self.graph.return_sequences,
                stateful=self.network.stateful,
                state=self.state_stream,
            )
        return in_stages(self.stages, schedule, given, sink, stateful=self.network.stateful)

    @cached_property
    def verilog(self) -> str:
        """One self-contained, synthesizable Verilog-2005 file; deterministic byte for byte."""
        return to_verilog(self.core, self.name)

    @property
    def hardware(self) -> "Hardware":
        """What a Verilog simulator needs to know."""
        from rnnrtl.simulate import Hardware

        return Hardware(
            self.verilog,
            self.name,
            self.input_stream,
            self.output_stream,
            self.graph.return_sequences,
            self.schedule.slots,
            self.network.stateful,
            self.state_stream,
        )

    def input_codes(self, x: object) -> NDArray[np.int64]:
        """Return x (batch, steps, features) in the codes of the input format."""
        codes: NDArray[np.int64] = to_codes(checked_input(self.network, x), self.graph.input_format)
        return codes

    def predict(self, x: object) -> NDArray[np.float64]:
        """Run the bit-exact reference.

        x has shape (batch, steps, features). Returns float64 values exactly on the output grid,
        (batch, outputs), or (batch, steps, outputs) where the network returns sequences. Every
        sequence begins from the initial state; `stream` goes on.
        """
        values = checked_input(self.network, x)
        # In pieces that stay in the cache on the way; none is one piece of no sequence.
        pieces = [
            self.predict_codes(to_codes(values[start : start + chunk], self.graph.input_format))
            for chunk in [self.program.chunk]
            for start in range(0, max(len(values), 1), chunk)
        ]
        return to_values(np.concatenate(pieces), self.graph.output_format)

    def predict_codes(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Run the bit-exact reference from input codes to output codes, of the shapes of `predict`.

        Raises InputError for codes that the input format does not have, and for sequences longer
        than the memories of a design that reads time in reverse.
        """
        steps, backwards = self.network.steps, self.network.backwards
        limited = backwards and self.options.mode == "static"
        if limited and steps is not None and codes.shape[1] > steps:
            raise InputError(
                f"x has {codes.shape[1]} time steps, but the memory before layer "
                f"{backwards[0]!r} has room for {steps}: load the network with steps="
                f"{codes.shape[1]}"
            )
        return self.program.run(codes)

    @cached_property
    def program(self) -> Program:
        """The bit-exact reference, on codes."""
        return Program(self.graph)

    @cached_property
    def states(self) -> StateForms:
        """What the states are called, and in which order they stand in a beat."""
        return StateForms(self.graph.loops)

    def stream(
        self,
        batch: int | None = None,
        *,
        state: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Stream:
        """Return sequences that go on in the bit-exact reference from one `predict` to the next.

        They begin from the initial states, `batch` of them (1), or from `state`, which the member
        `state` of a stream gave. Raises InputError.
        """
        return Stream(self.network, InFixedPoint(self.program), batch, state)

    def simulate(
        self,
        x: object,
        simulator: SimulatorName = "amaranth",
        *,
        clear: object = None,
        state: Mapping[str, Mapping[str, object]] | None = None,
        stalls: bool = True,
        seed: int = 0,
        progress: "Progress | None" = None,
    ) -> Simulation:
        """Run the hardware on x, at full speed and under random stalls and resets.

        In a stateful design `clear` says which sequences begin from the initial state, (batch,), or
        which of their steps do, (batch, steps); by default all sequences, as in `predict`. The
        others go on from where the one before them ended, in mode "interleaved" the one so many
        before them as take turns; the first always begins anew.

        In a design with `state_ports` sequences begin from `state`, layer -> state -> values
        (batch, units), as a stream or an earlier simulation gave it; in a stateful one those that
        `clear` does not name, by default all. What they end with is `Simulation.state`.

        Latency and initiation interval are measured. `stalls=False` leaves out the runs in which
        both streams stall at random (seeded by `seed`). `progress` is called with the sequences
        done and their number.

        Raises
        ------
        ToolError : where the simulator is missing
        VerificationError : for X or Z, a broken AXI4-Stream rule, results that depend on stalls,
            a core that hangs or that remembers anything across a reset
        """
        return simulate(
            self,
            x,
            simulator,
            clear=clear,
            state=state,
            stalls=stalls,
            seed=seed,
            progress=progress,
        )

    def estimate(self, target: str | None = None) -> "Estimate":
        """Synthesise with Yosys and count what it takes; `target` defaults to the design's own.

        Results are cached by content. Raises ToolError where Yosys fails.
        """
        from rnnrtl.synthesis import estimate

        return estimate(self.verilog, self.name, target or self.options.target)

    def place_and_route(self, device: str = "ecp5-85k", *, seed: int = 1) -> "Routing":
        """Synthesise, place and route with nextpnr; minutes for a thousand LUTs and more.

        `device` is a key of `rnnrtl.synthesis.DEVICES`; the design's own `target` is to be of its
        family. Raises ToolError where nextpnr is missing or the design does not fit.
        """
        from rnnrtl.synthesis import place_and_route

        return place_and_route(
            self.verilog, self.name, device, clock_mhz=self.options.clock_mhz, seed=seed
        )

    def with_reuse(self, factor: int) -> "Design":
        """Return the same network with another reuse factor, or this design where it has that."""
        if factor == self.options.reuse_factor:
            return self
        return Design(self.network, self.precision, replace(self.options, reuse_factor=factor))

    def explore(self, points: int = 12) -> "Iterator[Design]":
        """Yield the same network with other reuse factors, the fastest first.

        That is 1, and those that take fewer multipliers the more cycles they take; of more than
        `points` (at least 2) so many are chosen, evenly.
        """
        if type(points) is not int or points < 2:
            raise UnsupportedError(f"points must be a whole number from 2 up, not {points!r}")
        factors = self.options.reuse_factors(self.network)
        last = len(factors) - 1
        for number in sorted({round(n * last / (points - 1)) for n in range(points)}):
            yield self.with_reuse(factors[number])

    def saturation(self, x: object) -> tuple[Saturation, ...]:
        """Return how often formats changed values by more than rounding, over a batch.

        x has shape (batch, steps, features). The first entry is the input's, clipped as it is
        quantised; then comes one for every vector whose proved range is wider than its format.
        Counted in the bit-exact reference, in every step. Raises InputError.
        """
        values = checked_input(self.network, x)
        return saturation(self.graph, values, self.input_codes(values))

    def report(self, x: object | None = None) -> str:
        """Return what the design is, as Markdown: formats, ranges, tables with errors, schedule.

        With x (batch, steps, features) it tells how often values left their formats too.
        """
        from rnnrtl.report import report

        return report(self, x)

    def write(self, directory: str | PathLike[str], x: object | None = None) -> Path:
        """Write Verilog, testbench with vectors, constraints, vendor scripts, manifest, report.

        x (batch, steps, features) gives the vectors; random ones where it is None. Either all
        files are written or none. Returns the folder. Raises OutputError.
        """
        from rnnrtl.project import write_project

        return write_project(self, Path(directory), x)

    def __repr__(self) -> str:
        return f"<Design {self.name}: {self.precision}, {self.options.mode}>"
