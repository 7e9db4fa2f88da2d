"""The files of the testbench: manifest and vectors that it reads, results that it writes."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Code = TypeVar("Code", bound=np.generic)

#: At least so many sequences, and so many beats, are offered back to back to find the steady state.
STEADY_SEQUENCES = 4
STEADY_BEATS = 32

#: Seconds between two notes of progress.
_PROGRESS_PERIOD = 0.2


@dataclass(frozen=True)
class Side:
    """One stream: `lanes` codes of `width` bits a beat, each sign-extended to `lane_bits`."""

    lanes: int
    width: int
    lane_bits: int

    @property
    def beat_bytes(self) -> int:
        """Bytes of one beat."""
        return self.lanes * self.lane_bits // 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integer that one lane holds."""
        return np.dtype(f"<i{self.lane_bits // 8}")

    def pack(self, codes: NDArray[np.int64]) -> bytes:
        """Return the bytes of the beats that carry `codes` (..., lanes)."""
        return codes.astype(self.dtype).tobytes()

    def unpack(self, data: bytes) -> NDArray[np.int64]:
        """Return the codes (beats, lanes) in `data`; `ValueError` where an upper bit is no sign."""
        codes = np.frombuffer(data, self.dtype).reshape(-1, self.lanes).astype(np.int64)
        bound = 1 << (self.width - 1)
        for beat, lane in np.argwhere((codes < -bound) | (codes > bound - 1))[:1]:
            value = int(codes[beat, lane]) % (1 << self.lane_bits)
            raise ValueError(
                f"lane {lane} is {value:#x}, not a {self.width}-bit code "
                f"sign-extended to {self.lane_bits} bits"
            )
        return codes


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says about the core and about how to test it.

    Attributes
    ----------
    top, verilog : str
        Name of the top module, and of its file relative to the manifest.
    input, output : Side
        The two streams.
    output_beats : int
        Beats that one sequence gives.
    steps, sequences : int
        Beats in one sequence, and sequences in the vectors.
    interleave : int
        So many independent sequences take turns, beat by beat: a burst. With 1 a burst is a
        sequence. `sequences` is a multiple of it.
    stateful : bool
        States live on from burst to burst, but for the steps that `clear.npy` marks.
    state : Side or None
        How states are packed on tuser, where they go in and out: `offers.npy` marks the steps that
        begin from those in `offered.npy`, `ended.npy` are those expected after each result's step.
    seed : int
        Of everything random.
    phases : list of str
        The tests to run.
    stall_sequences, reset_rounds : int
        How many sequences run under random stalls, and how many resets are tried.
    latency_cycles, initiation_interval : int or None
        What the schedule predicts; measured values must equal it.
    watchdog_cycles : int or None
        So many cycles without a beat on either side mean that the core hangs.
    """

    top: str
    verilog: str
    input: Side
    output: Side
    output_beats: int
    steps: int
    sequences: int
    interleave: int
    stateful: bool
    state: Side | None
    seed: int
    phases: list[str]
    stall_sequences: int
    reset_rounds: int
    latency_cycles: int | None
    initiation_interval: int | None
    watchdog_cycles: int | None

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read the manifest at `path`; keys that are not of the testbench are ignored."""
        text = json.loads(path.read_text())
        values = {name: text[name] for name in cls.__dataclass_fields__}
        for side in ("input", "output", "state"):
            values[side] = values[side] and Side(**values[side])
        return cls(**values)

    @property
    def bursts(self) -> int:
        """Bursts in the vectors."""
        return self.sequences // self.interleave

    @property
    def burst_beats(self) -> int:
        """Input beats of a burst."""
        return self.steps * self.interleave

    @property
    def output_frames(self) -> list[int]:
        """Beats in each of a burst's output frames: the sequences end one after the other."""
        first = (self.output_beats - 1) * self.interleave + 1
        return [first] + [1] * (self.interleave - 1)

    @property
    def back_to_back_bursts(self) -> int:
        """Bursts offered back to back: all, repeated if too few for a steady state."""
        return max(self.bursts, STEADY_SEQUENCES, -(-STEADY_BEATS // self.burst_beats))

    @property
    def total(self) -> int:
        """Bursts in all phases."""
        count = {
            "latency": 1,
            "back_to_back": self.back_to_back_bursts,
            "stalls": self.stall_sequences,
            "reset": self.reset_rounds,
        }
        return sum(count[phase] for phase in self.phases)


class Vectors:
    """The codes offered to the core and the ones expected of it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._beats = self._loaded("inputs", manifest.steps)
        #: (bursts, output beats, lanes); after the lanes of the result, those of the states.
        self.expected: NDArray[np.int64] = self._loaded("expected", manifest.output_beats)
        # What tuser says of each beat (bursts, input beats), where the core has it.
        shape = self._beats.shape[:2]
        self._clear, self._offers = np.zeros(shape, bool), np.zeros(shape, bool)
        if manifest.stateful:
            self._clear = self._loaded("clear", manifest.steps)[..., 0]
        if manifest.state:
            ended = self._loaded("ended", manifest.output_beats)
            self.expected = np.concatenate([self.expected, ended], axis=-1)
            self._offers = self._loaded("offers", manifest.steps)[..., 0]
            self._offered = self._loaded("offered", manifest.steps)

    @property
    def anew(self) -> list[int]:
        """The bursts whose sequences all begin from a state that is known."""
        if not self._manifest.stateful:
            return list(range(self._manifest.bursts))
        begin = (self._clear | self._offers)[:, : self._manifest.interleave].all(axis=1)
        return [int(index) for index in np.flatnonzero(begin)]

    def frames(self, index: int, *, after_reset: bool = False) -> list[tuple[bytes, list[int]]]:
        """Return the frames of burst `index`: each ends with a sequence's last beat.

        A frame is its bytes, and tuser for each of them. After a reset no beat need say that a
        sequence begins from the initial state.
        """
        beats, interleave = self._beats[index], self._manifest.interleave
        clear = self._clear[index].copy()
        if after_reset:
            clear[:interleave] = False
        user = [self._user(index, beat, bool(first)) for beat, first in enumerate(clear)]
        ends = len(beats) - interleave + 1
        parts = [slice(0, ends), *(slice(n, n + 1) for n in range(ends, len(beats)))]
        side = self._manifest.input
        return [
            (
                side.pack(beats[part]),
                [value for value in user[part] for _ in range(side.beat_bytes)],
            )
            for part in parts
        ]

    def _user(self, burst: int, beat: int, clear: bool) -> int:
        """Return tuser: the states, whether the step begins from them, and whether anew."""
        side = self._manifest.state
        if side is None:
            return int(clear)
        states = int.from_bytes(side.pack(self._offered[burst, beat]), "little")
        flags = int(self._offers[burst, beat]) | clear << 1
        return states | flags << (8 * side.beat_bytes)

    def _loaded(self, name: str, beats: int) -> NDArray[Any]:
        """Return an array of the folder as (bursts, beats, lanes)."""
        values = np.load(self._folder / f"{name}.npy", allow_pickle=False)
        return self._in_turn(values.reshape(self._manifest.sequences, beats, -1))

    def _in_turn(self, codes: NDArray[Code]) -> NDArray[Code]:
        """Return codes (sequences, beats, lanes) as (bursts, beats, lanes), taking turns."""
        bursts, interleave = self._manifest.bursts, self._manifest.interleave
        lanes = codes.shape[-1]
        turns = codes.reshape(bursts, interleave, -1, lanes).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(turns).reshape(bursts, -1, lanes)


class Results:
    """What the testbench found, in `results.json` and `observed.npy` of the working directory.

    Each test adds to the file and writes it at once, so that a failure loses nothing.
    """

    def __init__(self, folder: Path, total: int) -> None:
        self._folder = folder
        self._total = total
        self._noted = 0.0
        path = folder / "results.json"
        self.values: dict[str, Any] = (
            json.loads(path.read_text())
            if path.is_file()
            else {"cycles": 0, "seconds": 0.0, "sequences": 0, "failures": []}
        )

    @property
    def blocking_failure(self) -> str | None:
        """The message of an earlier failure after which the other phases tell nothing."""
        return next(
            (entry["message"] for entry in self.values["failures"] if entry["kind"] != "bits"), None
        )

    def record(self, **values: Any) -> None:
        """Add measured values and write them."""
        self.values.update(values)
        (self._folder / "results.json").write_text(json.dumps(self.values, indent=1) + "\n")

    def fail(self, phase: str, kind: str, message: str) -> None:
        """Add a failure; `kind` is bits, unknown, protocol, hang, state or schedule."""
        failures = [*self.values["failures"], {"phase": phase, "kind": kind, "message": message}]
        self.record(failures=failures)

    def sequence_done(self) -> None:
        """Count one more burst, and note it for whoever shows the progress."""
        self.values["sequences"] += 1
        done, now = self.values["sequences"], time.monotonic()
        if now - self._noted > _PROGRESS_PERIOD or done == self._total:
            self._noted = now
            (self._folder / "progress").write_text(f"{done} {self._total}\n")

    def save_observed(self, codes: NDArray[np.int64]) -> None:
        """Keep what the core gave at full speed: (bursts, output beats, lanes)."""
        np.save(self._folder / "observed.npy", codes)

    def observed(self) -> NDArray[np.int64] | None:
        """Return what the core gave at full speed, if that test has run."""
        path = self._folder / "observed.npy"
        return np.load(path, allow_pickle=False) if path.is_file() else None
