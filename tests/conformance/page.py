"""The page of the matrix: docs/conformance.md."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.conformance.case import Case, NotMeaningful, Refused, Works
from tests.conformance.frameworks import FRAMEWORKS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"

_TITLE = """# Conformance

Every option of every framework's layers has one of three answers. *Works*: the network gives the
framework's own float output to rounding, in fixed point it is as near to that as its formats say,
and the hardware, in Amaranth's simulator, equals fixed point in every bit. *Refused*: one line with
these words, before anything is generated. *Not meaningful*: there is nothing to compute.

Each line is a test of small layers with random weights (`tests/conformance`); what makes it and how
it is checked is said there. This page is written by

    python -m tests.conformance

which runs the cases of the frameworks that it finds; those of the others stay as they were run
last. CI runs PyTorch's and ONNX'. Formats: `{precision}`.
"""


def page(cases: Iterable[Case], ran: Mapping[str, str]) -> str:
    """Return the page as Markdown; `ran` says for each framework with what its cases ran."""
    from tests.conformance.case import PRECISION

    cases = list(cases)
    parts = [_TITLE.format(precision=PRECISION), _summary(cases)]
    for framework in FRAMEWORKS:
        own = [case for case in cases if case.framework == framework]
        if not own:
            continue
        lines = [f"## {framework}", "", _ran(framework, ran.get(framework, "nothing"), own), ""]
        lines += ["| layer | option | answer |", "|---|---|---|"]
        lines += [
            f"| {plain(case.group)} | {plain(case.option)} | {plain(str(case.answer))} |"
            for case in own
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _summary(cases: list[Case]) -> str:
    lines = ["| framework | works | refused | not meaningful |", "|---|---|---|---|"]
    for framework in [*FRAMEWORKS, "all"]:
        answers = [case.answer for case in cases if framework in ("all", case.framework)]
        if answers:
            counts = (
                sum(isinstance(answer, kind) for answer in answers)
                for kind in (Works, Refused, NotMeaningful)
            )
            lines.append(f"| {framework} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


def _ran(framework: str, versions: str, cases: list[Case]) -> str:
    return f"{len(cases)} cases, run with {versions}."


def last_ran(text: str) -> dict[str, tuple[int, str]]:
    """Return framework -> (cases, versions) of a page, as it was run last."""
    found = re.findall(r"^## (.+)\n\n(\d+) cases, run with (.+)\.$", text, re.MULTILINE)
    return {framework: (int(count), versions) for framework, count, versions in found}


def plain(words: str) -> str:
    """Return words as they stand in a cell of a Markdown table."""
    return re.sub(r"([|<>*_\\])", r"\\\1", words)
