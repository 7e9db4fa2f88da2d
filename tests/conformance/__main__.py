"""Run the cases of the frameworks that are installed, and write docs/conformance.md."""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.conformance.case import Case
from tests.conformance.frameworks import FRAMEWORKS
from tests.conformance.matrix import CASES
from tests.conformance.page import PAGE, last_ran, page


def main() -> int:
    """Return 1 where a case has another answer than it says; then nothing is written."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", default="", help="run those with this in their name; no page")
    only = parser.parse_args().only
    text = PAGE.read_text() if PAGE.exists() else ""
    ran = {framework: versions for framework, (_, versions) in last_ran(text).items()}
    wrong = 0
    for framework, needs in FRAMEWORKS.items():
        versions = needs.versions()
        cases = [case for case in CASES if case.framework == framework and only in str(case)]
        if versions is None or not cases:
            sys.stdout.write(f"{framework}: {len(cases)} cases, not run here\n")
            continue
        start = time.process_time()
        wrong += sum(not _holds(case) for case in cases)
        seconds = time.process_time() - start
        sys.stdout.write(f"{framework}: {len(cases)} cases with {versions}, {seconds:.0f} CPU s\n")
        ran[framework] = versions
    if not wrong and not only:
        PAGE.write_text(page(CASES, ran))
    return bool(wrong)


def _holds(case: Case) -> bool:
    """Run a case; print what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras' own, of NumPy 2 on PyTorch
        try:
            case.check(Path(folder))
        except Exception as error:
            sys.stdout.write(f"{case}: {type(error).__name__}: {' '.join(str(error).split())}\n")
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
