"""Modules of Brevitas: trained a little, then read bit for bit, or refused in a line."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnrtl

torch = pytest.importorskip("torch")
pytest.importorskip("brevitas")
# Brevitas and the torch that it compiles functions with warn of what is none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")

FEATURES, UNITS = 4, 3


def _parts() -> tuple[Any, dict[str, Any], Any]:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point as q

    weights = type("Weights6", (q.Int8WeightPerTensorFixedPoint,), {"bit_width": 6})
    signed, unsigned = q.Int8ActPerTensorFixedPoint, q.Uint8ActPerTensorFixedPoint
    return (
        qnn,
        {
            "weight_quant": weights,
            "bias_quant": q.Int8BiasPerTensorFixedPointInternalScaling,
            "io_quant": signed,
            "gate_acc_quant": signed,
            "sigmoid_quant": unsigned,
            "tanh_quant": signed,
            "cell_state_quant": signed,
            "batch_first": True,
        },
        q,
    )


def _tagger(layers: int = 1) -> Any:
    qnn, lstm, q = _parts()
    linear = {name: lstm[name] for name in ("weight_quant", "bias_quant")}

    module: Any = torch.nn.Module

    class Tagger(module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = qnn.QuantLSTM(FEATURES, UNITS, num_layers=layers, **lstm)
            self.middle = qnn.QuantLinear(UNITS, 5, bias=True, **linear)
            self.relu = qnn.QuantReLU(act_quant=q.Uint8ActPerTensorFixedPoint)
            self.head = qnn.QuantLinear(
                5, 2, bias=True, output_quant=q.Int8ActPerTensorFixedPoint, **linear
            )
            self.sigmoid = qnn.QuantSigmoid(act_quant=q.Uint8ActPerTensorFixedPoint)

        def forward(self, x: Any) -> Any:
            states, _ = self.rnn(x)
            return self.sigmoid(self.head(self.relu(self.middle(states[:, -1]))))

    return Tagger()


def _plain(nonlinearity: str, **options: Any) -> Any:
    """Return two plain recurrent layers and a linear one."""
    qnn, lstm, q = _parts()
    names = ("weight_quant", "bias_quant", "io_quant", "gate_acc_quant", "batch_first")
    given = {**{name: lstm[name] for name in names}, "nonlinearity": nonlinearity, **options}
    module: Any = torch.nn.Module

    class Tagger(module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = qnn.QuantRNN(FEATURES, UNITS, num_layers=2, **given)
            self.head = qnn.QuantLinear(
                UNITS, 2, bias=True, output_quant=q.Int8ActPerTensorFixedPoint,
                **{name: lstm[name] for name in ("weight_quant", "bias_quant")},
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0][:, -1])

    return Tagger()


def _sums() -> Any:
    """Return linear layers, of which the last gives exact sums on."""
    qnn, lstm, q = _parts()
    return torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=q.Int8ActPerTensorFixedPoint),
        qnn.QuantLinear(
            FEATURES, 6, bias=True, weight_quant=lstm["weight_quant"],
            output_quant=q.Int8ActPerTensorFixedPoint,
        ),
        torch.nn.ReLU(),
        qnn.QuantLinear(6, 2, bias=True, **{k: lstm[k] for k in ("weight_quant", "bias_quant")}),
    )  # fmt: skip


def _trained(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    module = make()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(10):
        x = torch.randn(16, 5, FEATURES)
        optimizer.zero_grad()
        y = module(x)
        target = x.sum(-1, keepdim=True)
        (y - (target.sum(1) if y.dim() == 2 else target)).square().mean().backward()
        optimizer.step()
    return module.eval()


@pytest.mark.parametrize("make", [_tagger, lambda: _tagger(2), _sums])
def test_read_bit_for_bit(make: Callable[[], Any]) -> None:
    module = _trained(make)
    x = torch.randn(300, 7, FEATURES) * 1.5
    with torch.no_grad():
        expected = module(x).numpy()
    design = rnnrtl.generate(module, strategy="dsp")
    np.testing.assert_array_equal(design.predict(x.numpy()), expected)
    assert design.precision == rnnrtl.load(module).precision
    if make is _tagger:
        layer = rnnrtl.load(module).layers[0]
        assert isinstance(layer, rnnrtl.LSTM)
        assert layer.rounded_products
        assert design.precision.format("rnn", "gate").width == 9  # unsigned, of 8
        assert design.simulate(x[:3].numpy()).bit_exact


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_plain_layers_in_every_simulator(nonlinearity: str) -> None:
    module = _trained(lambda: _plain(nonlinearity))
    x = torch.randn(300, 7, FEATURES) * 1.5
    with torch.no_grad():
        expected = module(x).numpy()
    design = rnnrtl.generate(module)
    np.testing.assert_array_equal(design.predict(x.numpy()), expected)
    assert np.ptp(expected) > 0
    layers = rnnrtl.load(module).layers
    assert [type(layer) for layer in layers] == [rnnrtl.SimpleRNN] * 2 + [rnnrtl.Dense]
    simulators: tuple[Any, ...] = ("icarus", "verilator")
    for simulator in simulators:
        outputs = design.simulate(x[:20].numpy(), simulator).outputs
        np.testing.assert_array_equal(outputs, expected[:20])


def test_what_has_no_equal_is_refused() -> None:
    from brevitas.inject.enum import FloatToIntImplType

    qnn, lstm, q = _parts()
    floor = {"float_to_int_impl_type": FloatToIntImplType.FLOOR}
    downwards = type("Floor", (q.Int8ActPerTensorFixedPoint,), floor)
    linear = {"weight_quant": lstm["weight_quant"], "bias": False}
    identity = qnn.QuantIdentity(act_quant=q.Int8ActPerTensorFixedPoint)
    cases = {
        "no power of two": qnn.QuantLSTM(FEATURES, UNITS),
        "io_quant has the scale .* no power of two": qnn.QuantRNN(FEATURES, UNITS),
        "rounds tanh or sigmoid by FLOOR": _plain("tanh", io_quant=downwards),
        "bidirectional": qnn.QuantLSTM(FEATURES, UNITS, bidirectional=True, **lstm),
        "coupled": qnn.QuantLSTM(FEATURES, UNITS, coupled_input_forget_gates=True, **lstm),
        "cell_state_quant does not quantise": qnn.QuantLSTM(
            FEATURES, UNITS, **{**lstm, "cell_state_quant": None, "return_quant_tensor": False}
        ),
        "the input of 0": torch.nn.Sequential(qnn.QuantLinear(FEATURES, 2, **linear)),
        "takes a sum": torch.nn.Sequential(
            identity,
            qnn.QuantLinear(FEATURES, 2, **linear),
            qnn.QuantSigmoid(act_quant=q.Uint8ActPerTensorFixedPoint),
        ),
        "has no format": torch.nn.Sequential(
            identity, qnn.QuantLinear(FEATURES, 2, **linear), torch.nn.Sigmoid()
        ),
        "is not quantised, or": torch.nn.Sequential(
            identity, qnn.QuantLinear(FEATURES, 2, weight_quant=None, bias=False)
        ),
    }
    for message, module in cases.items():
        for _ in range(3):
            module(torch.randn(16, 5, FEATURES))
        with pytest.raises(rnnrtl.UnsupportedError, match=message):
            rnnrtl.load(module.eval())
