"""Fixed-point formats, spelled as hls4ml and Vitis HLS users spell them."""

import enum
import re
from dataclasses import dataclass, replace
from typing import TypeVar

from rnnrtl.errors import PrecisionError

Mode = TypeVar("Mode", bound=enum.Enum)


class Rounding(enum.Enum):
    """What happens to bits below the last one kept (quantisation modes of Vitis HLS, UG1399)."""

    RND = "to nearest, ties towards plus infinity"
    RND_ZERO = "to nearest, ties towards zero"
    RND_MIN_INF = "to nearest, ties towards minus infinity"
    RND_INF = "to nearest, ties away from zero"
    RND_CONV = "to nearest, ties to even"
    TRN = "towards minus infinity (bits dropped)"
    TRN_ZERO = "towards zero"


class Overflow(enum.Enum):
    """What happens to values out of range (overflow modes of Vitis HLS, UG1399)."""

    SAT = "to the nearest end of the range"
    SAT_ZERO = "to zero"
    SAT_SYM = "to the nearest end of the range, without the most negative code"
    WRAP = "upper bits dropped"


@dataclass(frozen=True, repr=False)
class Format:
    """A two's-complement fixed-point format.

    A code c stands for the value c * 2**-fraction_bits.

    Members
    -------
    width : bits of a code, 1 to 64
    int_bits : bits left of the binary point, the sign included; may be negative or above `width`
    rounding, overflow : how a value is brought into the format

    `repr` gives the call that makes it, `str` what `parse` reads.
    """

    width: int
    int_bits: int
    rounding: Rounding = Rounding.RND
    overflow: Overflow = Overflow.SAT

    def __post_init__(self) -> None:
        for what, value in (("width", self.width), ("int_bits", self.int_bits)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise PrecisionError(f"{what} of a format must be an integer, not {value!r}")
        if not 1 <= self.width <= 64:
            raise PrecisionError(f"width of a format must be 1 to 64 bits, not {self.width}")
        if not -64 <= self.int_bits <= 128:
            raise PrecisionError(f"int_bits of a format must be -64 to 128, not {self.int_bits}")

    @property
    def fraction_bits(self) -> int:
        """Bits right of the binary point."""
        return self.width - self.int_bits

    @property
    def lsb(self) -> float:
        """Value of one code step."""
        return 2.0**-self.fraction_bits

    @property
    def min_code(self) -> int:
        """Lowest code that a value can be brought to."""
        lowest = -(1 << (self.width - 1))
        return lowest + 1 if self.overflow is Overflow.SAT_SYM and self.width > 1 else lowest

    @property
    def max_code(self) -> int:
        """Highest code."""
        return (1 << (self.width - 1)) - 1

    def saturating(self) -> "Format":
        """Return the format that saturates."""
        return self.replace(overflow=Overflow.SAT)

    def nearest(self) -> "Format":
        """Return the format that saturates and rounds to nearest."""
        return self.replace(overflow=Overflow.SAT, rounding=Rounding.RND)

    def replace(self, **changes: object) -> "Format":
        """Return a copy with some members changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def __str__(self) -> str:
        plain = (self.rounding, self.overflow)
        if plain == (Rounding.RND, Overflow.SAT):
            return f"fixed<{self.width},{self.int_bits}>"
        if plain == (Rounding.TRN, Overflow.WRAP):
            return f"ap_fixed<{self.width},{self.int_bits}>"
        return f"fixed<{self.width},{self.int_bits},{self.rounding.name},{self.overflow.name}>"

    def __repr__(self) -> str:
        return f"Format.parse({str(self)!r})"

    @classmethod
    def parse(cls, text: "str | Format") -> "Format":
        """Read `fixed<W,I[,Q[,O]]>` or `ap_fixed<W,I[,Q[,O]]>`.

        `fixed<W,I>` rounds to nearest and saturates (RND, SAT); `ap_fixed<W,I>` means what it means
        in Vitis HLS: bits dropped and overflow wrapped (TRN, WRAP). The prefixes AP_ and SC_ of
        the mode names may be left out.
        """
        if isinstance(text, Format):
            return text
        if not isinstance(text, str):
            raise PrecisionError(f"a format is text such as 'fixed<16,6>', not {text!r}")
        match = re.fullmatch(r"\s*(fixed|ap_fixed)\s*<([^<>]*)>\s*", text)
        if re.match(r"\s*(ap_)?ufixed", text):
            raise PrecisionError(f"{text!r}: unsigned formats are not supported, use fixed<W,I>")
        if match is None:
            raise PrecisionError(
                f"{text!r} is not a format: write fixed<W,I>, such as 'fixed<16,6>' "
                "(W bits in all, I of them left of the binary point, the sign included)"
            )
        kind, inner = match.groups()
        parts = [part.strip() for part in inner.split(",")]
        if not 2 <= len(parts) <= 4 or not all(
            re.fullmatch(r"[+-]?\d{1,6}", part) for part in parts[:2]
        ):
            raise PrecisionError(
                f"{text!r} is not a format: expected <W,I[,rounding[,overflow]]> with integers W, I"
            )
        rounding, overflow = (
            (Rounding.RND, Overflow.SAT) if kind == "fixed" else (Rounding.TRN, Overflow.WRAP)
        )
        if len(parts) > 2:
            rounding = _mode(Rounding, parts[2], text)
        if len(parts) > 3:
            overflow = _mode(Overflow, parts[3], text)
        try:
            return cls(int(parts[0]), int(parts[1]), rounding, overflow)
        except PrecisionError as error:
            raise PrecisionError(f"{text!r}: {error}") from None


def _mode(kind: type[Mode], name: str, text: str) -> Mode:
    name = name.removeprefix("AP_").removeprefix("SC_")
    try:
        return kind[name]
    except KeyError:
        raise PrecisionError(
            f"{text!r}: unknown {kind.__name__.lower()} mode {name!r}, "
            f"known: {', '.join(kind.__members__)}"
        ) from None
