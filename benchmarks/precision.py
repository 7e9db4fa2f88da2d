"""How few bits the top taggers need: `python -m benchmarks.precision` writes precision.md.

The formats that were found are kept in `formats`.

Formats are found on the first 1,000 of the 2,000 test jets; the figures are those of all 2,000, and
of the 1,000 that the search has not seen. It takes some minutes.
"""

import warnings
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console

from rnnrtl import AreaUnderCurve, Found, average_bits, find_precision, generate
from rnnrtl.demo.jets import NETWORKS, tagger, test_jets
from rnnrtl.errors import PrecisionWarning
from rnnrtl.report import table

CALIBRATION = 1000
KEEP = (0.9995, 0.997)
"""Shares of the float network's AUC that are asked for on the jets of the calibration."""
SPARE = ("hardware", "bits")
FOUND = Path(__file__).parent / "formats"
HEADINGS = (
    "network", "spare", "AUC ratio asked for", "bits a weight", "bits an activation",
    "AUC ratio, 1,000 jets searched on", "AUC ratio, 1,000 others", "AUC ratio, all 2,000",
    "largest output error", "trials",
)  # fmt: skip
TEXT = """# Fewest bits for the top taggers

Made by `python -m benchmarks.precision`; see `rnnrtl.find_precision`. Bits are averages over all
weights, and over all vectors of a time step that have a format.

"""


def row(name: str, spare: str, keep: float) -> tuple[object, ...]:
    """Find formats for a network of `NETWORKS`, and return what they are worth."""
    network = tagger(name)
    x, y = test_jets()
    floats = network.predict(x)
    metric = AreaUnderCurve(y[:CALIBRATION])
    target = keep * metric(floats[:CALIBRATION])
    steps: list[Found] = []
    precision = find_precision(
        network,
        x[:CALIBRATION],
        metric=metric,
        target=target,
        spare=spare,
        progress=steps.append,
    )
    precision.save(FOUND / f"{name}-{spare}-{keep}.toml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        outputs = generate(network, precision).predict(x)
    ratios = []
    for part in (slice(CALIBRATION), slice(CALIBRATION, None), slice(None)):
        area = AreaUnderCurve(y[part])
        ratios.append(f"{area(outputs[part]) / area(floats[part]):.4f}")
    bits = [f"{average:.2f}" for average in average_bits(network, precision)]
    error = f"{np.abs(outputs - floats).max():.3f}"
    return name, spare, keep, *bits, *ratios, error, steps[-1].trials


def main() -> None:
    """Write the table."""
    with Console(stderr=True).status("searching"):
        rows = [row(*which) for which in product(NETWORKS, SPARE, KEEP)]
    text = TEXT + table(HEADINGS, rows) + "\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
