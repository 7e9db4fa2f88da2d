"""Two products in one multiplier: proved for all numbers, and the same bits as without."""

import numpy as np
import pytest

from rnnrtl.design import Design
from rnnrtl.errors import UnsupportedError
from rnnrtl.schedule import packing
from rnnrtl.simulation import SimulatorName
from tests.designs import check, designed
from tests.networks import GATED
from tests.test_turns import net_of


@pytest.mark.parametrize("signed", [True, False], ids=["signed x", "unsigned x"])
def test_all_products_of_8_bits(signed: bool) -> None:
    """Every a, b and x of 8 bits."""
    weights = np.arange(-128, 128, dtype=np.int64)
    xs = weights if signed else weights + 128
    shift = 16 + (not signed)
    a, b = weights[:, None], weights[None, :]
    for x in xs.tolist():
        product = packing.packed(a, b, shift) * x
        assert np.abs(product).max() < 1 << 47  # what a DSP48's product register holds
        np.testing.assert_array_equal(
            packing.upper_product(product, shift), np.broadcast_to(a * x, product.shape)
        )
        np.testing.assert_array_equal(
            packing.lower_product(product, shift), np.broadcast_to(b * x, product.shape)
        )


@pytest.mark.parametrize("factor", [2, 5, 12])
@pytest.mark.parametrize("mode", ["static", "interleaved"])
@pytest.mark.parametrize("cell", GATED)
def test_packed_networks(cell: str, mode: str, factor: int) -> None:
    """About half the multipliers, every bit as before."""
    plain = designed(net_of(cell), mode, "fixed<8,3>", reuse_factor=factor)
    packed = designed(net_of(cell), mode, "fixed<8,3>", reuse_factor=factor, dsp_packing=True)
    check(packed)

    def shared(design: Design) -> int:
        ops = design.schedule.ops
        return sum(op.kind == "product" and "_from_" in op.name for op in ops)

    rows = max(shared(plain), 1)
    assert shared(packed) <= 0.6 * rows + 2  # an odd row has no partner


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_packed_in_verilog(simulator: SimulatorName) -> None:
    design = designed(net_of("gru_after"), "static", "fixed<8,3>", reuse_factor=5, dsp_packing=True)
    check(design, simulator)


def test_what_does_not_fit_is_not_packed() -> None:
    wide = [
        designed(
            net_of("lstm"), "static", "fixed<16,6>", reuse_factor=5, dsp_packing=packed
        ).schedule.multipliers
        for packed in (False, True)
    ]
    assert wide[0] == wide[1]
    with pytest.raises(UnsupportedError, match="must be True or False"):
        designed(net_of("lstm"), "static", dsp_packing="no")
