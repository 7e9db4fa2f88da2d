"""From a data set to verified Verilog: train, scan formats, generate, simulate every sequence.

    python examples/classifiers/classify.py digits --output build/digits
    python examples/classifiers/classify.py vowels --output build/vowels

`digits` are scikit-learn's handwritten ones, whose eight rows of eight pixels are the time steps;
`vowels` is JapaneseVowels of the aeon toolkit, whose nine speakers say two vowels in 7 to 29 steps
of 12 features. One in three digits is kept for the test; the vowels have a test set of their own.
The network ends in argmax: the hardware gives the number of the class. Needs the extras
rnnrtl[torch] and rnnrtl[plot,demo], and aeon for the vowels.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import nn

import rnnrtl
from rnnrtl.report import table

FORMATS = tuple(f"fixed<{width},{int_bits}>" for width, int_bits in
                ((16, 6), (14, 5), (12, 4), (10, 4), (8, 3), (6, 3)))  # fmt: skip
CHOSEN = "fixed<10,4>"

Arrays = NDArray[Any]


@dataclass(frozen=True)
class Data:
    """Sequences to learn from and to test with: x (batch, steps, features), y (batch,) from 0 up.

    Shorter sequences have zeros before their first step.
    """

    x: Arrays
    y: Arrays
    x_test: Arrays
    y_test: Arrays


def digits() -> Data:
    """Return handwritten digits: a row of pixels a step, 0 to 1."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8) / 16
    test = np.arange(len(x)) % 3 == 2
    return Data(x[~test], y[~test], x[test], y[test])


def vowels() -> Data:
    """Return the LPC cepstrum coefficients of two vowels, by speaker."""
    from aeon.datasets import load_japanese_vowels

    parts = [load_japanese_vowels(split=split) for split in ("train", "test")]
    longest = max(one.shape[1] for x, _ in parts for one in x)
    found = []
    for x, y in parts:
        padded = [np.pad(one.T, ((longest - one.shape[1], 0), (0, 0))) for one in x]
        found += [np.stack(padded), np.asarray(y).astype(int) - 1]
    return Data(*found)


DATA: Mapping[str, Callable[[], Data]] = {"digits": digits, "vowels": vowels}


class Classifier(nn.Module):
    """A recurrent layer, and a linear one on its last state."""

    def __init__(self, cell: str, features: int, units: int, classes: int) -> None:
        super().__init__()
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](features, units, batch_first=True)
        self.head = nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a score a class."""
        states, _ = self.rnn(x)
        return self.head(states[:, -1])


def trained(data: Data, cell: str, units: int, epochs: int) -> Classifier:
    """Return a classifier trained on all of `data` but the test."""
    x, y = torch.from_numpy(data.x).float(), torch.from_numpy(data.y).long()
    model = Classifier(cell, x.shape[2], units, int(y.max()) + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss_of = nn.CrossEntropyLoss()
    for _ in track(range(epochs), "training", transient=True):
        for chosen in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            loss_of(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
        schedule.step()
    return model


def main() -> None:
    """Do it all as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=sorted(DATA))
    parser.add_argument("--cell", choices=("gru", "lstm"), default="gru")
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", type=Path, required=True, help="folder of what is generated")
    parser.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator")
    arguments = parser.parse_args()

    data = DATA[arguments.data]()
    torch.manual_seed(1)
    model = trained(data, arguments.cell, arguments.units, arguments.epochs)
    network = rnnrtl.load(model, steps=data.x.shape[1]).replace(name=arguments.data)

    right = rnnrtl.Accuracy(data.y_test)
    found = rnnrtl.scan(network, FORMATS, data.x_test, metric=right)
    arguments.output.mkdir(parents=True, exist_ok=True)
    found.plot(arguments.output / "scan.svg")
    print(found.table(), end="\n\n")

    head = replace(network.layers[-1], activation="argmax")
    classifier = network.replace(layers=(*network.layers[:-1], head))
    design = rnnrtl.generate(classifier, CHOSEN)
    result = design.simulate(data.x_test, arguments.simulator)
    design.write(arguments.output)
    size = design.estimate()
    share = float((result.outputs[:, 0] == data.y_test).mean())
    print(table(
        ("format", "sequences", "bit-exact", "accuracy of the RTL", "latency", "II", "LUT", "DSP"),
        [(CHOSEN, len(data.x_test), "yes" if result.bit_exact else "NO", f"{share:.4f}",
          result.latency_cycles, result.initiation_interval, size.lut, size.dsp)],
    ))  # fmt: skip


if __name__ == "__main__":
    main()
