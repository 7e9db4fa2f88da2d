"""Two recurrent layers that read a sequence from both ends."""

from dataclasses import dataclass

from rnnrtl.errors import ModelError, UnsupportedError
from rnnrtl.layers.recurrent import Recurrent

MERGES = ("concat", "sum", "mul", "ave")
"""How a Bidirectional layer's outputs become one; "ave" is half of "sum"."""


@dataclass(frozen=True, eq=False)
class Bidirectional:
    """Two recurrent layers, one of which reads the sequence in reverse, and their outputs merged.

    With return_sequences step t is merge(forward's at t, backward's when it has read t).

    Members
    -------
    name : layer name, unique in its network
    forward, backward : of any kinds; both return sequences, or neither. Both are described as they
        read: `go_backwards` is for layers by themselves
    merge : one of `MERGES`; all but "concat", forward's first, need equally many units
    last_output : where no sequence is returned: the output of the last step, when `backward` has
        read that step only (PyTorch's `output[:, -1]`), not the last state of each (Keras, `h_n`)
    """

    name: str
    forward: Recurrent
    backward: Recurrent
    merge: str = "concat"
    last_output: bool = False

    def __post_init__(self) -> None:
        what = f"Bidirectional {self.name!r}"
        if self.merge not in MERGES:
            raise UnsupportedError(
                f"{what}: merge {self.merge!r} is not supported, only {', '.join(MERGES)}"
            )
        forward, backward = self.parts
        if forward.features != backward.features:
            raise ModelError(
                f"{what}: forward takes {forward.features} features, backward {backward.features}"
            )
        if self.merge != "concat" and forward.outputs != backward.outputs:
            raise ModelError(
                f"{what}: merge {self.merge!r} needs as many units in both directions, not "
                f"{forward.outputs} and {backward.outputs}"
            )
        if forward.return_sequences != backward.return_sequences:
            raise ModelError(f"{what}: one direction returns sequences, the other does not")
        if forward.go_backwards or backward.go_backwards:
            raise ModelError(f"{what}: neither layer may have go_backwards, the name says it")
        if self.last_output and forward.return_sequences:
            raise ModelError(f"{what}: last_output is for layers that return no sequence")

    @property
    def parts(self) -> tuple[Recurrent, Recurrent]:
        """Forward and backward."""
        return self.forward, self.backward

    @property
    def return_sequences(self) -> bool:
        """Whether every step is given on (True) or only the last one (False)."""
        return self.forward.return_sequences

    @property
    def features(self) -> int:
        """Length of the vector taken in at each step."""
        return self.forward.features

    @property
    def units(self) -> int:
        """Length of the two hidden states together."""
        return self.forward.units + self.backward.units

    @property
    def outputs(self) -> int:
        """Length of the vector given on."""
        if self.merge != "concat":
            return self.forward.outputs
        return self.forward.outputs + self.backward.outputs

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        return self.forward.parameters + self.backward.parameters
