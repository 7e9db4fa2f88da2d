"""The frameworks of the matrix: which packages their cases need, and in which versions they are."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """Packages that a framework's cases need.

    Members
    -------
    package : without it the cases are skipped
    first, last : numbers of its major versions
    besides : what else its versions are noted of
    """

    package: str
    first: int
    last: int
    besides: tuple[str, ...] = ()

    def versions(self) -> str | None:
        """Return what is installed, as text; None where the package or its version is missing."""
        try:
            version = importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None
        if not self.first <= int(version.split(".")[0]) <= self.last:
            return None
        others = [f"{name} {importlib.metadata.version(name)}" for name in self.besides]
        return ", ".join([f"{self.package} {version.split('+')[0]}", *others])


FRAMEWORKS: Mapping[str, Needs] = {
    "Keras 3": Needs("keras", 3, 3),
    "Keras 2 file": Needs("keras", 2, 2),
    "PyTorch": Needs("torch", 2, 2),
    "ONNX": Needs("onnx", 1, 1),
}
"""Name of a framework -> what it needs, in the order of the page."""
