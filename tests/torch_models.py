"""Small PyTorch modules for the tests of the front ends. Imports torch."""

from typing import Any

import numpy as np
import torch
from torch import nn

from tests.frontend_models import FEATURES, UNITS


def sequences(*shape: int) -> Any:
    return torch.from_numpy(np.random.default_rng(2).standard_normal(shape))


def trained(norm: Any) -> Any:
    """Return a BatchNorm1d with weights and statistics as if it had been trained."""
    rng = np.random.default_rng(8)
    with torch.no_grad():
        for name, values in norm.state_dict().items():
            if values.ndim:
                drawn = rng.uniform(0.3, 2, values.shape) * (1 if "var" in name else -0.7)
                values.copy_(torch.from_numpy(drawn))
    return norm


class Tagger(nn.Module):
    """A recurrent layer, the last state or every one, a head, and what forward adds to it."""

    def __init__(
        self, cell: Any, *, last: bool = True, after: Any = None, first: bool = True
    ) -> None:
        super().__init__()
        self.rnn = cell(FEATURES, UNITS, batch_first=first)
        self.head = nn.Sequential(nn.Linear(UNITS, 5), nn.ReLU(), nn.Linear(5, 2))
        self.last, self.after, self.first = last, after, first

    def forward(self, x: Any) -> Any:
        states, _ = self.rnn(x)
        if self.last:
            states = states[:, -1] if self.first else states[-1]
        y = self.head(states)
        return self.after(y) if self.after else y


class Custom(nn.Module):
    """Layers given by name, and any function of (module, x) for a forward."""

    def __init__(self, forward: Any, **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = forward

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


class LastState(nn.Module):
    """What users put between an LSTM and a Linear in a Sequential."""

    def forward(self, x: Any) -> Any:
        return x[0][:, -1]


def assert_same(network: Any, expected: Any, x: Any, tolerance: float = 1e-12) -> None:
    with torch.no_grad():
        y = expected.double().eval()(x)
    y = y[0] if isinstance(y, tuple) else y
    np.testing.assert_allclose(network.predict(x.numpy()), y.numpy(), rtol=0, atol=tolerance)
