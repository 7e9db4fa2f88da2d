"""Train a top tagger on in few bits, as its hardware computes: quantisation-aware training.

    python examples/top_tagging/train_quantized.py jets.npz --cell gru -o build/top_gru20_w6a8.npz

Begins with the demo's tagger, trained in floats; the jets come from preprocess.py. Writes
weights on the grids of their formats and the formats themselves in one file: rnnrtl.generate(file)
has the very bits that were trained. Needs the extra rnnrtl[torch].
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from train import auc, train

import rnnrtl
from rnnrtl.demo.jets import tagger, test_jets
from rnnrtl.training import QuantizedNetwork

ACTIVATIONS = {
    "*": 1,  # input, gates, candidate, hidden state, and the sigmoid at the end
    "preactivation": 4,
    "inner": 3,
    "cell": 3,
    "cell_preactivation": 3,
    "dense.output": 3,
}
WEIGHTS = {
    "kernel": 2,
    "recurrent_kernel": 1,
    "bias": 1,
    "dense.kernel": 1,
    "output.kernel": 0,
}
"""Bits left of the point, the sign included. The few weights beyond are trained to do within."""


class Logits(nn.Module):
    """A tagger without the sigmoid at its end: what the loss takes, in the format it goes there."""

    def __init__(self, network: rnnrtl.Network, precision: rnnrtl.Precision) -> None:
        super().__init__()
        *layers, last = network.layers
        logits = network.replace(layers=(*layers, replace(last, activation="linear")))
        form = precision.format(last.name, "preactivation")
        self.model = QuantizedNetwork(logits, precision.with_rules({f"{last.name}.output": form}))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one logit a jet."""
        return self.model(x)[:, 0].float()


def main() -> None:
    """Train one tagger as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jets", type=Path, help=".npz with x and y, from preprocess.py")
    parser.add_argument("--cell", choices=("gru", "lstm"), default="gru")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".npz to write")
    parser.add_argument("--weight-bits", type=int, default=6)
    parser.add_argument("--activation-bits", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3, help="initial learning rate")
    parser.add_argument("--validation", type=float, default=0.15, help="share of the jets")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    with np.load(arguments.jets, allow_pickle=False) as data:
        x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"]).float()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)  # the vectors are short: threads would wait for each other
    floats = tagger(f"top_{arguments.cell}20")
    widths = ((ACTIVATIONS, arguments.activation_bits), (WEIGHTS, arguments.weight_bits))
    precision = rnnrtl.Precision.parse(
        {name: rnnrtl.Format(w, bits) for kind, w in widths for name, bits in kind.items()}
    )
    model = Logits(floats, precision)
    validation = int(arguments.validation * len(x))
    best = train(
        model,
        x,
        y,
        validation=validation,
        epochs=arguments.epochs,
        batch=arguments.batch,
        rate=arguments.rate,
    )
    layers = model.model.network.layers
    last = replace(layers[-1], activation=floats.layers[-1].activation)
    trained = floats.replace(
        layers=(*layers[:-1], last), precision=precision, name=arguments.output.stem
    )
    rnnrtl.save(trained, arguments.output)
    design = rnnrtl.generate(arguments.output)
    x_test, y_test = test_jets()
    for jets, labels, which in (
        (x[-validation:].numpy(), y[-validation:].numpy(), "validation"),
        (x_test, y_test, "the demo's test jets"),
    ):
        before, now = (auc(labels, found.predict(jets)[:, 0]) for found in (floats, design))
        print(f"{which}: AUC {now:.4f}, in floats {before:.4f}, ratio {now / before:.4f}")
    print(f"best validation AUC {best:.4f}: {arguments.output}")


if __name__ == "__main__":
    main()
