"""What bits cost in accuracy, and hls4ml beside it: `python -m benchmarks.accuracy`.

Writes accuracy.json, accuracy.md and accuracy.svg. Both tools get the same trained taggers, the
same format for everything and the same 2,000 jets; `predict` are sequences a CPU second of the two
emulations in this one run, `first` the CPU seconds before the first. hls4ml is measured where it is
installed (extra `hls4ml`, with KERAS_BACKEND=torch), and g++; elsewhere its figures of the last run
that had it are kept. `ap_fixed<W,I>` truncates and wraps, which is hls4ml's default; `fixed<W,I>`
rounds to nearest and saturates, which is ours. `found` are the formats in benchmarks/formats, which
`python -m benchmarks.precision` found on half of the jets, and `trained` the networks trained in
weights of 6 bits and activations of 8, whose AUC is divided by that of the network of floats that
this training began with.
"""

import importlib.util
import json
import resource
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import rnnrtl
from benchmarks.runner import ROOT, machine, source
from rnnrtl.demo.jets import NETWORKS, tagger, test_jets
from rnnrtl.layers import GRU, Dense
from rnnrtl.network import Network
from rnnrtl.report import table

RESULTS = ROOT / "benchmarks" / "accuracy.json"
FORMATS = ("16,6", "14,5", "12,4", "10,4", "9,3", "8,3")
HLS4ML = ("16,6", "12,4", "10,4")
"""Formats that hls4ml is measured in: each takes g++ a minute of CPU."""
AIMS = {"12,4": 0.9995, "10,4": 0.996}
OWN = {"found": "*", "trained": "D"}
"""Formats of each tensor's own, and how they are drawn."""
FOUND = ROOT / "benchmarks" / "formats"
RUNS = 3
HEADINGS = (
    "network", "format", "tool", "AUC ratio", "aim", "largest error", "predict", "first, CPU s",
)  # fmt: skip

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]


def ours(name: str, form: str) -> Predict:
    """Return rnnrtl's reference."""
    return rnnrtl.generate(*_case(name, form)).predict


def _case(name: str, form: str) -> tuple[Network, rnnrtl.Precision]:
    if form == "trained":
        network = tagger(f"{name}_w6a8")
        assert network.precision is not None
        return network, network.precision
    if form == "found":
        return tagger(name), rnnrtl.Precision.load(FOUND / f"{name}-hardware-0.9995.toml")
    return tagger(name), rnnrtl.Precision(rnnrtl.Format.parse(f"fixed<{form}>"))


def _bits(key: str) -> float:
    """Return the average bits of weights and activations in a row."""
    name, form, _ = key.split("/")
    return sum(rnnrtl.average_bits(*_case(name, form))) / 2


def keras_model(network: Network) -> Any:
    """Return a top tagger as a Keras model."""
    import keras

    (cell, *heads) = network.layers
    assert network.steps is not None
    x = keras.Input((network.steps, network.features))
    kind = keras.layers.GRU if isinstance(cell, GRU) else keras.layers.LSTM
    y = kind(network.recurrent[0].units, name=cell.name)(x)
    for head in heads:
        assert isinstance(head, Dense)
        y = keras.layers.Dense(head.units, activation=head.activation, name=head.name)(y)
    model = keras.Model(x, y)
    given = np.load(ROOT / "rnnrtl" / "demo" / "data" / f"{network.name}.npz")
    for layer in model.layers[1:]:
        parts = [f"{layer.name}/{part}" for part in ("kernel", "recurrent_kernel", "bias")]
        arrays = [given[part] for part in parts if part in given]
        if isinstance(layer, keras.layers.LSTM):  # which has one bias where PyTorch has two
            arrays[-1] = arrays[-1].sum(axis=0)
        layer.set_weights(arrays)
    return model


def hls4ml_model(network: Network, form: str, folder: Path) -> Predict:
    """Return hls4ml's compiled C++, with its own defaults but for the format."""
    import hls4ml

    model = keras_model(network)
    config = hls4ml.utils.config_from_keras_model(
        model, granularity="name", default_precision=f"ap_fixed<{form}>", backend="Vitis"
    )
    made = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, backend="Vitis", output_dir=str(folder)
    )
    made.compile()
    return lambda x: np.asarray(made.predict(np.ascontiguousarray(x, np.float32)), np.float64)


def measured(network: Network, make: Callable[[], Predict]) -> dict[str, float]:
    """Return the figures of a tool: seconds are of the process and its children."""
    x, y = test_jets()
    area, floats = rnnrtl.AreaUnderCurve(y), network.predict(x)
    start = _cpu_seconds()
    predict = make()
    predict(x[:1])
    first = _cpu_seconds() - start
    best = float("inf")
    for _ in range(RUNS):
        start = _cpu_seconds()
        outputs = predict(x).reshape(len(x), -1)
        best = min(best, _cpu_seconds() - start)
    return {
        "auc_ratio": round(area(outputs) / area(floats), 4),
        "largest_error": round(float(np.abs(outputs - floats).max()), 4),
        "predict": round(len(x) / best),
        "first_seconds": round(first, 2),
    }


def _cpu_seconds() -> float:
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def main(path: Path = RESULTS) -> None:
    """Measure, and write the files."""
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found: dict[str, dict[str, float]] = {}
    with threadpool_limits(1):
        for name in NETWORKS:
            network = tagger(name)
            for form in (*FORMATS, *OWN):
                found[f"{name}/{form}/rnnrtl"] = measured(network, partial(ours, name, form))
    version = held.get("hls4ml", "")
    if importlib.util.find_spec("hls4ml") is None:
        found |= {key: row for key, row in held.get("rows", {}).items() if key.endswith("hls4ml")}
    else:
        version = metadata.version("hls4ml")
        for name in NETWORKS:
            network = tagger(name)
            for form in HLS4ML:
                with tempfile.TemporaryDirectory() as folder:
                    make = partial(hls4ml_model, network, form, Path(folder) / "hls4ml")
                    found[f"{name}/{form}/hls4ml"] = measured(network, make)
    record = {"machine": machine(), "source": source(), "hls4ml": version, "rows": found}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    lines = [_line(key, found[key], version) for key in sorted(found, key=_place)]
    facts = ", ".join(f"{name}: {fact}" for name, fact in record["machine"].items())
    text = (
        f"# Accuracy against bits\n\n{_text()}\n\nMachine: {facts}.\n\n{table(HEADINGS, lines)}\n"
    )
    path.with_suffix(".md").write_text(
        f"{text}\n![Both against bits](accuracy.svg)\n", encoding="utf-8"
    )
    _draw(found, path.with_suffix(".svg"))


def _text() -> str:
    """Return what the module says of itself, below its first line."""
    assert __doc__ is not None
    return (
        "Made by `python -m benchmarks.accuracy`. " + __doc__.split("accuracy.svg. ", 1)[1].strip()
    )


def _place(key: str) -> tuple[str, str, float]:
    name, _, tool = key.split("/")
    return name, tool, -_bits(key)


def _line(key: str, row: Mapping[str, float], version: str) -> tuple[object, ...]:
    name, form, tool = key.split("/")
    written = {"hls4ml": f"ap_fixed<{form}>", "rnnrtl": f"fixed<{form}>"}[tool]
    title = f"{form}, {_bits(key):.1f} bits on average" if form in OWN else written
    aim = AIMS.get(form, "") if tool == "rnnrtl" else ""
    return (
        name, title, tool + f" {version}" * (tool == "hls4ml"), f"{row['auc_ratio']:.4f}", aim,
        f"{row['largest_error']:.4f}", f"{row['predict']:,}", row["first_seconds"],
    )  # fmt: skip


def _draw(found: Mapping[str, Mapping[str, float]], path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "rnnrtl"}):
        figure = Figure(figsize=(11, 4), layout="constrained")
        panels = figure.subplots(1, 2)
        for name, tool in product(NETWORKS, ("rnnrtl", "hls4ml")):
            own = [key for key in found if key.startswith(f"{name}/") and key.endswith(tool)]
            plain = sorted((key for key in own if key.split("/")[1] not in OWN), key=_bits)
            groups = {"o-": plain} | {
                style: [key for key in own if f"/{form}/" in key] for form, style in OWN.items()
            }
            for style, keys in groups.items():
                named = {style: f", {form}" for form, style in OWN.items()}
                label = f"{tool}, {name}{named.get(style, '')}"
                for panel, figure_name in zip(panels, ("auc_ratio", "largest_error"), strict=True):
                    values = [found[key][figure_name] for key in keys]
                    if keys:
                        panel.plot([_bits(key) for key in keys], values, style, label=label)
        panels[0].set_ylabel("AUC, fixed point by float")
        panels[1].set_ylabel("largest error of an output")
        panels[1].set_yscale("log")
        for panel in panels:
            panel.set_xlabel("bits, average of weights and activations")
            panel.grid(visible=True, alpha=0.3)
        panels[0].legend(fontsize="small")
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
