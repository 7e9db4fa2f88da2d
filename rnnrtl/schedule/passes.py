"""What passes through an array of multipliers, and where the results lie."""

from dataclasses import dataclass

from rnnrtl.graph.nodes import Node
from rnnrtl.schedule.linear import Linear
from rnnrtl.schedule.operations import Op


@dataclass(frozen=True)
class Lanes:
    """Which unit computes each lane of a layer's vectors, and in which phase.

    Members
    -------
    units : how many there are
    first : phase in which the first lanes stand
    stride : phases from a unit's lane to its next
    """

    units: int
    first: int
    stride: int

    def unit(self, lane: int) -> int:
        """Return the unit that computes a lane."""
        return lane % self.units

    def phase(self, lane: int) -> int:
        """Return the phase in which a lane stands."""
        return self.first + lane // self.units * self.stride


@dataclass(frozen=True, eq=False)
class Pass:
    """A vector that passes through an array, as often as there are rows to be multiplied by it.

    Members
    -------
    operands : the vector
    first : phase in which it begins
    rows : how often it passes
    phases : of one passage
    width : columns taken at a time
    """

    operands: tuple[Op, ...]
    first: int
    rows: int
    phases: int
    width: int

    @property
    def end(self) -> int:
        return self.first + self.rows * self.phases

    def read(self, column: int, phase: int) -> Op | None:
        """Return what a column of the array takes in a phase."""
        if not self.first <= phase < self.end:
            return None
        lane = (phase - self.first) % self.phases * self.width + column
        return self.operands[lane] if column < self.width and lane < len(self.operands) else None


@dataclass(frozen=True, eq=False)
class Head:
    """A dense layer on the array of the recurrent layer before it.

    Members
    -------
    total, vector : the sum W v + b, and v
    lanes : v as the array reads it
    passed : its passage through the array
    lies : where its results are
    """

    total: Node
    vector: Node
    lanes: tuple[Op, ...]
    passed: Pass
    lies: Lanes


@dataclass(frozen=True, eq=False)
class Row:
    """What a row of an array computes in each phase.

    Members
    -------
    forms : the row of a matrix of which it takes a part; None where it idles
    adds : whether that is added to what was before
    """

    forms: list[Linear | None]
    adds: list[bool]

    @property
    def constants(self) -> list[int]:
        """What is added to the products: the row's constant, once."""
        return [
            form.constant if form and not add else 0
            for form, add in zip(self.forms, self.adds, strict=True)
        ]
