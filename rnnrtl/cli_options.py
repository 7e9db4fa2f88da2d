"""The options that make a design, once for all commands that begin with one."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, get_type_hints

import numpy as np
import typer
from numpy.typing import NDArray

import rnnrtl
from rnnrtl.design import Design
from rnnrtl.errors import InputError
from rnnrtl.fixedpoint import Precision
from rnnrtl.generation import DEFAULT_PRECISION
from rnnrtl.network import Network
from rnnrtl.options import MODES, STRATEGIES, WEIGHT_STORAGES
from rnnrtl.tuning.metrics import METRICS
from rnnrtl.tuning.trials import Metric

MODEL = "trained network: Keras .keras or .h5, .onnx, PyTorch .pt, .safetensors or .npz"
"""Help of what `rnnrtl.load` reads."""

DATA = ".npy, or .npz with `x`: (batch, steps, features)"
"""Help of what `read_x` reads."""

Normalise = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads Optional
    typer.Option(
        "--normalise",
        help=".npz with `mean` and `scale`: fold (x - mean) / scale into the first layer",
    ),
]
"""Option of what `read_normalise` reads."""


def made_design(
    model: Annotated[Path, typer.Argument(help=MODEL)],
    precision: Annotated[
        Optional[str],  # noqa: UP045 - typer reads Optional
        typer.Option(
            "--precision",
            "-p",
            help="fixed<W,I> (rounds, saturates), ap_fixed<W,I[,Q[,O]]> as in Vitis HLS, or "
            "a .toml file with a format for every tensor",
            show_default=f"what the network was trained in, else {DEFAULT_PRECISION}",
        ),
    ] = None,
    formats: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads Optional
        typer.Option(
            "--format", "-f", help="format of some tensors: gru.hidden=fixed<12,2>; may be repeated"
        ),
    ] = None,
    mode: Annotated[str, typer.Option("--mode", "-m", help=", ".join(MODES))] = "static",
    reuse_factor: Annotated[
        str,
        typer.Option(
            "--reuse-factor",
            "-r",
            help="products that share one multiplier: 10, 5,10 (kernel, recurrent kernel) or auto",
        ),
    ] = "1",
    max_dsp: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--max-dsp", min=1, help="with -r auto: the fastest with so many at most"),
    ] = None,
    max_latency: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--max-latency", min=1, help="with -r auto: the smallest with so many cycles"),
    ] = None,
    dsp_packing: Annotated[
        bool, typer.Option("--dsp-packing", help="two narrow products in one multiplier")
    ] = False,
    weight_storage: Annotated[
        str, typer.Option("--weight-storage", help=", ".join(WEIGHT_STORAGES))
    ] = "auto",
    strategy: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--strategy", help=", ".join(STRATEGIES) + "; or LAYER=STRATEGY, may be repeated"
        ),
    ] = None,
    table_error: Annotated[
        float, typer.Option("--table-error", help="bound of a table's error, in LSB of its output")
    ] = 1.0,
    clock_mhz: Annotated[
        float, typer.Option("--clock-mhz", help="clock to place registers for")
    ] = 200.0,
    target: Annotated[
        str, typer.Option("--target", "-t", help="FPGA family: xcup, xcu, xc7, ecp5, ice40")
    ] = "xcup",
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--steps", help="time steps of a sequence, where the file does not say"),
    ] = None,
    stateful: Annotated[
        bool, typer.Option("--stateful", help="states live on until s_axis_tuser clears them")
    ] = False,
    state_ports: Annotated[
        bool, typer.Option("--state-ports", help="states can be written and read, beside the data")
    ] = False,
    activations: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--activation", "-a", help="LAYER=ACTIVATION; may be repeated"),
    ] = None,
    architecture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--architecture", help="JSON of a Keras model whose .h5 holds weights only"),
    ] = None,
    normalise: Normalise = None,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--name", help="Verilog top module"),
    ] = None,
) -> Design:
    """Load a network and generate its design."""
    network = rnnrtl.load(
        model,
        steps=steps,
        activations=pairs("--activation", activations),
        architecture=architecture,
        normalise=read_normalise(normalise),
    )
    # A word by itself is for all layers that no LAYER=STRATEGY names.
    asked = [text if "=" in text else f"*={text}" for text in strategy or ["auto"]]
    return rnnrtl.generate(
        network,
        _precision(network, precision, formats),
        mode=mode,
        reuse_factor=_reuse_factor(reuse_factor),
        max_dsp=max_dsp,
        max_latency=max_latency,
        dsp_packing=dsp_packing,
        weight_storage=weight_storage,
        strategy=pairs("--strategy", asked),
        steps_per_beat=network.steps if mode == "unrolled" and network.steps else 1,
        clock_mhz=clock_mhz,
        target=target,
        stateful=True if stateful else None,
        state_ports=state_ports,
        name=name,
        table_error=table_error,
    )


def _precision(network: Network, text: str | None, formats: list[str] | None) -> Precision:
    if text is not None:
        return read_precision(text, formats)
    given = network.precision or Precision.parse(DEFAULT_PRECISION)
    return given.with_rules(pairs("--format", formats))


def read_precision(text: str, formats: list[str] | None = None) -> Precision:
    """Return a precision given as a format or as a .toml file, with some tensors' own formats."""
    given = Precision.load(text) if text.endswith(".toml") else Precision.parse(text)
    return given.with_rules(pairs("--format", formats))


def design_command(app: typer.Typer, **defaults: Any) -> Callable[[Callable[..., None]], None]:
    """Register a command whose first parameter is a design.

    On the command line the options of `made_design` take its place; `defaults` replaces some of
    their defaults.
    """
    options = inspect.signature(made_design).parameters
    hints = get_type_hints(made_design, include_extras=True)
    made = [p.replace(default=defaults.get(n, p.default)) for n, p in options.items()]

    def register(command: Callable[..., None]) -> None:
        _, *own = inspect.signature(command).parameters.values()

        @functools.wraps(command)
        def run(**given: Any) -> None:
            design = made_design(**{name: given.pop(name) for name in options})
            command(design, **given)

        run.__signature__ = inspect.Signature([*made, *own])  # type: ignore[attr-defined]
        kept = {name: hint for name, hint in hints.items() if name != "return"}
        of_command = get_type_hints(command, include_extras=True)
        run.__annotations__ = {**kept, **{p.name: of_command[p.name] for p in own}}
        del run.__wrapped__
        app.command()(run)

    return register


def _reuse_factor(text: str) -> int | tuple[int, int] | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        parts = [int(part) for part in text.split(",")]
    except ValueError:
        parts = []
    match parts:
        case [factor]:
            return factor
        case [kernel, recurrent]:
            return kernel, recurrent
    raise typer.BadParameter(
        f"{text!r} is not a whole number, two of them or auto", param_hint="--reuse-factor"
    )


def read_x(path: Path, name: str = "x") -> NDArray[Any]:
    """Return the array of an .npy file, or the one of a name in an .npz file."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return np.asarray(found[name])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"cannot read {name} from {path}: {error}") from None


def read_normalise(path: Path | None) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the arrays `mean` and `scale` of an .npz file, None without one."""
    if path is None:
        return None
    if path.suffix != ".npz":
        raise InputError(f"{path}: normalisation needs an .npz file, with `mean` and `scale`")
    return read_x(path, "mean"), read_x(path, "scale")


def read_metric(name: str | None, path: Path) -> Metric | None:
    """Return a metric of `METRICS` over the labels `y` that are beside `x` in an .npz file."""
    if name is None:
        return None
    if name not in METRICS:
        raise typer.BadParameter(
            f"unknown metric {name!r}, known: {', '.join(METRICS)}", param_hint="--metric"
        )
    if path.suffix != ".npz":
        raise InputError(f"{path}: a metric needs an .npz file, with `x` and the labels `y`")
    return METRICS[name](read_x(path, "y"))


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """Return KEY=VALUE arguments of an option as a mapping."""
    found = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=option)
        found[key] = value
    return found
