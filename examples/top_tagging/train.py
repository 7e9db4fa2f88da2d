"""Train the top taggers: LSTM(20) or GRU(20), Dense(64, relu), Dense(1, sigmoid).

    python examples/top_tagging/train.py jets.npz --cell gru --output build/top_gru20

The jets come from preprocess.py: `x` (jets, 20, 6), `y` 0 background, 1 top. Writes OUTPUT.pt, the
PyTorch weights as {"rnn": ..., "head": ...} (logit out), and OUTPUT.npz, which rnnrtl.load() reads
without PyTorch. Needs the extra rnnrtl[torch].
"""

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import nn

from rnnrtl.frontends import load, save

UNITS, HIDDEN = 20, 64
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


class TopTagger(nn.Module):
    """The tagger of arXiv:2207.00559 (its top tagging benchmark), logit out."""

    def __init__(self, cell: str, features: int) -> None:
        super().__init__()
        self.rnn = CELLS[cell](features, UNITS, batch_first=True)
        self.head = nn.Sequential(nn.Linear(UNITS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one logit a jet, from the last hidden state."""
        states, _ = self.rnn(x)
        return self.head(states[:, -1])[:, 0]


def auc(y: NDArray[np.int8], score: NDArray[np.float32]) -> float:
    """Return the area under the ROC curve: how often a top jet scores above a background jet."""
    background = np.sort(score[y == 0])
    below = np.searchsorted(background, score[y == 1], "left")
    not_above = np.searchsorted(background, score[y == 1], "right")
    return float((below + not_above).mean() / 2 / len(background))


@torch.no_grad()
def score(model: TopTagger, x: torch.Tensor) -> NDArray[np.float32]:
    """Return the logit of each jet."""
    model.eval()
    return np.concatenate([model(part).numpy() for part in x.split(4096)])


def train(
    model: TopTagger,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    validation: int,
    epochs: int,
    batch: int,
    rate: float,
) -> float:
    """Train in place, keep the weights of the best epoch, return its validation AUC.

    The last `validation` jets are not trained on.
    """
    inside, outside = slice(0, len(x) - validation), slice(len(x) - validation, None)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss_of = nn.BCEWithLogitsLoss()
    best, best_weights = 0.0, copy.deepcopy(model.state_dict())
    for epoch in range(epochs):
        model.train()
        total = 0.0
        order = torch.randperm(len(x) - validation)
        for chosen in track(order.split(batch), f"epoch {epoch + 1}/{epochs}", transient=True):
            optimizer.zero_grad()
            loss = loss_of(model(x[inside][chosen]), y[inside][chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        schedule.step()
        area = auc(y[outside].numpy(), score(model, x[outside]))
        if area > best:
            best, best_weights = area, copy.deepcopy(model.state_dict())
        print(f"epoch {epoch + 1}: loss {total / len(order):.4f}, validation AUC {area:.4f}")
    model.load_state_dict(best_weights)
    return best


def write(model: TopTagger, cell: str, steps: int, output: Path) -> None:
    """Write OUTPUT.pt (PyTorch) and OUTPUT.npz (rnnrtl, with the final sigmoid)."""
    weights = {"rnn": model.rnn.state_dict(), "head": model.head.state_dict()}
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, output.with_suffix(".pt"))
    # A state dict holds no activations, so they are said here.
    network = load(weights, steps=steps, activations={"head.0": "relu", "head.2": "sigmoid"})
    names = (cell, "dense", "output")
    layers = tuple(
        replace(layer, name=name) for layer, name in zip(network.layers, names, strict=True)
    )
    save(network.replace(layers=layers, name=output.name), output.with_suffix(".npz"))


def main() -> None:
    """Train one tagger as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jets", type=Path, help=".npz with x and y, from preprocess.py")
    parser.add_argument("--cell", choices=sorted(CELLS), default="gru")
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=3e-3, help="initial learning rate")
    parser.add_argument("--validation", type=float, default=0.15, help="share of the jets")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    with np.load(arguments.jets, allow_pickle=False) as data:
        x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"]).float()
    torch.manual_seed(arguments.seed)
    model = TopTagger(arguments.cell, x.shape[2])
    best = train(
        model,
        x,
        y,
        validation=int(arguments.validation * len(x)),
        epochs=arguments.epochs,
        batch=arguments.batch,
        rate=arguments.rate,
    )
    write(model, arguments.cell, x.shape[1], arguments.output)
    print(f"best validation AUC {best:.4f}: {arguments.output}.pt and .npz")


if __name__ == "__main__":
    main()
