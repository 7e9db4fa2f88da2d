"""How vectors of codes are packed into the beats of an AXI4-Stream, on one side of a core."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnrtl.errors import VerificationError

_LANE_BYTES = (1, 2, 4, 8)


@dataclass(frozen=True)
class StreamFormat:
    """One beat: `lanes` two's-complement codes, the first in the low bits.

    Every code is sign-extended to `lane_bytes`, the smallest of 1, 2, 4 and 8 bytes that holds it,
    so that a DMA engine sees an array of int8, int16, int32 or int64. Inside a design codes may
    stand side by side.

    Parameters
    ----------
    lanes : int
        Codes in one beat, at least 1.
    width : int
        Bits of one code, 1 to 64.
    padded : bool
        Whether codes are extended to bytes; only beats that are have an array's form.
    """

    lanes: int
    width: int
    padded: bool = True

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {self.lanes!r}")
        if not 1 <= self.width <= 64:
            raise ValueError(f"width must be 1 to 64 bits, not {self.width!r}")

    @property
    def lane_bytes(self) -> int:
        """Bytes of one lane: 1, 2, 4 or 8."""
        return next(size for size in _LANE_BYTES if 8 * size >= self.width)

    @property
    def lane_bits(self) -> int:
        """Bits of one lane."""
        return 8 * self.lane_bytes if self.padded else self.width

    @property
    def beat_bytes(self) -> int:
        """Bytes of one beat."""
        return self.lanes * self.lane_bytes

    @property
    def beat_bits(self) -> int:
        """Bits of one beat: the width of tdata."""
        return self.lanes * self.lane_bits

    @property
    def dtype(self) -> np.dtype[np.signedinteger]:
        """The little-endian integer type that a DMA engine sees in a lane."""
        return np.dtype(f"<i{self.lane_bytes}")

    def pack(self, codes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pack codes (..., lanes) into bytes (..., beat_bytes), the low byte of the beat first.

        Raises `ValueError` for a wrong number of lanes or a code that `width` bits do not hold.
        """
        codes = np.asarray(codes)
        if codes.ndim < 1 or codes.shape[-1] != self.lanes:
            raise ValueError(f"codes must have shape (..., {self.lanes}), not {codes.shape}")
        bound = 1 << (self.width - 1)
        outside = (codes < -bound) | (codes > bound - 1)
        if outside.any():
            raise ValueError(f"code {codes[outside][0]} does not fit in {self.width} bits")
        packed = np.ascontiguousarray(codes.astype(self.dtype))
        return packed.view(np.uint8).reshape(*codes.shape[:-1], self.beat_bytes)

    def unpack(self, beats: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Unpack bytes (..., beat_bytes) into codes (..., lanes).

        Raises `VerificationError` where the upper bits of a lane are not its sign.
        """
        beats = np.ascontiguousarray(beats, dtype=np.uint8)
        if beats.ndim < 1 or beats.shape[-1] != self.beat_bytes:
            raise ValueError(f"beats must have shape (..., {self.beat_bytes}), not {beats.shape}")
        lanes = beats.view(self.dtype).reshape(*beats.shape[:-1], self.lanes).astype(np.int64)
        bound = 1 << (self.width - 1)
        wrong = np.argwhere((lanes < -bound) | (lanes > bound - 1))
        if len(wrong):
            value = int(lanes[tuple(wrong[0])]) & ((1 << self.lane_bits) - 1)
            raise VerificationError(
                f"lane {wrong[0][-1]} of an output beat is {value:#0{2 + 2 * self.lane_bytes}x}, "
                f"which is not a {self.width}-bit code sign-extended to {self.lane_bits} bits"
            )
        return lanes
