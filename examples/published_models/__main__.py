"""Compare published networks with their packages, and simulate them: a table.

    python -m examples.published_models             # which there are, and what each needs
    python -m examples.published_models chars2vec   # a row for it

The packages do not fit into one environment: install one, and what it needs, beside rnnrtl, and run
that row.
"""

import argparse

from examples.published_models import gait, speech, words
from examples.published_models.published import Measured, Published, measure
from rnnrtl.report import table

MODELS = {**words.MODELS, **speech.MODELS, **gait.MODELS}


def row(published: Published, found: Measured) -> tuple[object, ...]:
    """Return what is known and found of a network."""
    simulated: str = "–"
    if published.hardware is not None:
        simulated = (
            f"{found.exact} of {found.exact} in `{published.hardware['precision']}`, "
            f"error {found.fixed:.2g}"
        )
    return (
        published.package.replace("==", " "),
        published.licence,
        published.kind,
        found.shape,
        f"{published.input}: {found.sequences} sequences, {found.steps} steps",
        published.compared,
        f"{found.difference:.1e} of {found.largest:.2g}",
        simulated,
    )


HEADINGS = (
    "package", "licence", "network, file", "layers", "input", "compared with",
    "largest difference", "bit-exact in Verilator",
)  # fmt: skip


def main() -> None:
    """Print a row for each network asked for."""
    parser = argparse.ArgumentParser(prog="python -m examples.published_models")
    parser.add_argument("names", nargs="*", choices=[*MODELS, []], metavar="NAME")
    names = parser.parse_args().names
    if not names:
        for name, published in MODELS.items():
            print(f"{name}: pip install {published.package} {published.needs}")
        return
    rows = [row(MODELS[name], measure(MODELS[name])) for name in names]
    print(table(HEADINGS, rows))


if __name__ == "__main__":
    main()
