"""The conformance matrix: every case has the answer that docs/conformance.md gives."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnrtl
from rnnrtl.network import Network
from tests import networks
from tests.conformance.bound import error_bound
from tests.conformance.case import (
    PRECISION,
    Built,
    Case,
    Refused,
    Source,
    Works,
    check_fixed,
    check_float,
)
from tests.conformance.frameworks import FRAMEWORKS
from tests.conformance.matrix import CASES
from tests.conformance.page import PAGE, last_ran, page


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy 2 on PyTorch
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    needs = FRAMEWORKS[case.framework]
    if needs.versions() is None:
        pytest.skip(f"could not import '{needs.package}' {needs.first}.x")
    case.check(tmp_path)


def test_no_case_twice() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names)


def test_page_says_what_the_cases_say() -> None:
    """It was also run with as many cases as there are, wherever that was."""
    text = PAGE.read_text()
    ran = last_ran(text)
    counts = {name: sum(case.framework == name for case in CASES) for name in FRAMEWORKS}
    assert {name: count for name, (count, _) in ran.items()} == {
        name: count for name, count in counts.items() if count
    }
    written = page(CASES, {name: versions for name, (_, versions) in ran.items()})
    assert text == written, "write it anew: python -m tests.conformance"


def small() -> Network:
    return networks.network(networks.recurrent("gru_after", 2, 2, scale=0.5))


def case_of(network: Network, answer: Any, y: Any = None) -> Case:
    x = networks.inputs(network)
    built = Built((Source(network),), x, lambda: network.predict(x) if y is None else y)
    return Case("PyTorch", "test", "test", answer, lambda folder: built)


def test_wrong_answers_are_found(tmp_path: Path) -> None:
    network = small()
    case_of(network, Works()).check(tmp_path)
    wrong = network.predict(networks.inputs(network)) + 1e-12
    with pytest.raises(AssertionError, match="Mismatched"):
        case_of(network, Works(), wrong).check(tmp_path)
    with pytest.raises(AssertionError, match="Mismatched"):
        case_of(network, Works(), (wrong + 1e-5).astype(np.float32)).check(tmp_path)
    with pytest.raises(AssertionError, match="shape"):
        case_of(network, Works(), wrong[:1]).check(tmp_path)
    with pytest.raises(AssertionError, match="not refused"):
        case_of(network, Refused("words")).check(tmp_path)
    refused = Case("PyTorch", "test", "test", Refused("words"), lambda folder: Built(
        (Source(folder / "none.h5"),), wrong, lambda: wrong))  # fmt: skip
    with pytest.raises(AssertionError, match="other words"):
        refused.check(tmp_path)


@pytest.mark.parametrize("cell", networks.CELLS)
def test_bound(cell: str) -> None:
    """It holds, it is no more than 20 times the error, and a wrong bias breaks it."""
    recurrent, head = networks.recurrent(cell, 2, 2, scale=0.5), networks.dense(2, 2, "sigmoid")
    network = networks.network(recurrent, head)
    design = rnnrtl.generate(network, PRECISION)
    x = networks.inputs(network, 16)
    check_fixed(design, x)
    check_float(network, x, network.predict(x))
    bound = error_bound(network, design.precision, x)
    error = np.abs(design.predict(x) - network.predict(x))
    assert bound.max() < 20 * error.max()
    other = replace(head, bias=head.bias + 0.05)
    moved = rnnrtl.generate(network.replace(layers=(recurrent, other)), PRECISION)
    assert (np.abs(moved.predict(x) - network.predict(x)) > bound).any()
