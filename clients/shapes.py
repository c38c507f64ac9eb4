"""How a level changes over the window: the rate of an open loop, or the number of busy connections.

| text | shape |
| --- | --- |
| `20000` | constant |
| `1000..20000` | a ramp over the whole window |
| `1000,5000,20000` | steps of equal length |

A new shape is one class here and its entry in SHAPES. `parse` reads its text, `text` writes it, and `pieces` draws it
as straight lines, which is all that a schedule needs (`pacing.py`). A curve takes as many pieces as it needs. Nothing
here knows what the level counts, reads a clock or draws a random number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from clients.grammar import GrammarError, parse_number, write_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Level = Callable[[str], float]


class Piece(NamedTuple):
    """A straight piece of a shape: its share of the window, the level at its start, the level at its end."""

    share: float
    start: float
    end: float


class Shape(ABC):
    """A level over the window, as a frozen value that is equal to another with the same text."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def parse(cls, text: str, level: Level) -> Self | None:
        """Return the shape that a text describes, None if it describes another. `level` reads one level of it.

        Raises GrammarError for a text that is meant for this shape and cannot be.
        """

    @abstractmethod
    def text(self) -> str:
        """Return the text that `parse` reads as this shape."""

    @abstractmethod
    def pieces(self) -> Sequence[Piece]:
        """Return the pieces in their order; the shares add up to 1."""

    def to_json(self) -> Any:
        """Return what `shape_from_json` reads as this shape: its text, unless it says otherwise."""
        return self.text()

    @property
    def levels(self) -> list[float]:
        """The levels at the ends of the pieces, in their order: its lowest and its highest are among them."""
        return [level for piece in self.pieces() for level in piece[1:]]

    @property
    def mean(self) -> float:
        """The mean level over the window."""
        return sum(share * (start + end) / 2 for share, start, end in self.pieces())


@dataclass(frozen=True, slots=True)
class Constant(Shape):
    """`20000`: the same level throughout."""

    level: float

    @classmethod
    def parse(cls, text: str, level: Level) -> Self:
        """Read any text as a level: this shape is asked last."""
        return cls(level(text))

    def text(self) -> str:
        """Write the level."""
        return write_number(self.level)

    def pieces(self) -> Sequence[Piece]:
        """Return one level piece."""
        return (Piece(1.0, self.level, self.level),)


@dataclass(frozen=True, slots=True)
class Ramp(Shape):
    """`1000..20000`: a straight line from the start of the window to its end."""

    start: float
    end: float

    @classmethod
    def parse(cls, text: str, level: Level) -> Self | None:
        """Read START..END."""
        start, dots, end = text.partition("..")
        return cls(level(start), level(end)) if dots else None

    def text(self) -> str:
        """Write START..END."""
        return f"{write_number(self.start)}..{write_number(self.end)}"

    def pieces(self) -> Sequence[Piece]:
        """Return one sloped piece."""
        return (Piece(1.0, self.start, self.end),)

    def to_json(self) -> Any:
        """Return the pieces: run folders hold ramps in this form."""
        return [list(piece) for piece in self.pieces()]


@dataclass(frozen=True, slots=True)
class Steps(Shape):
    """`1000,5000,20000`: two levels or more, each for an equal share of the window."""

    steps: tuple[float, ...]

    @classmethod
    def parse(cls, text: str, level: Level) -> Self | None:
        """Read LEVEL,LEVEL,…."""
        return cls(tuple(map(level, text.split(",")))) if "," in text else None

    def text(self) -> str:
        """Write LEVEL,LEVEL,…."""
        return ",".join(map(write_number, self.steps))

    def pieces(self) -> Sequence[Piece]:
        """Return a level piece for each step."""
        return tuple(Piece(1 / len(self.steps), level, level) for level in self.steps)

    @property
    def mean(self) -> float:
        """The mean of the levels, rounded as run folders hold it."""
        return sum(self.steps) / len(self.steps)

    def to_json(self) -> Any:
        """Return the pieces: run folders hold steps in this form."""
        return [list(piece) for piece in self.pieces()]


SHAPES: tuple[type[Shape], ...] = (Ramp, Steps, Constant)
"""The shapes, in the order in which they are asked: the first that knows a text reads it. A new one goes first."""


def parse_shape(text: str, level: Level = parse_number) -> Shape:
    """Return the shape that a text describes, each level read by `level`. Raise GrammarError."""
    return next(found for shape in SHAPES if (found := shape.parse(text, level)) is not None)


def shape_from_json(value: Any) -> Shape | None:
    """Return what `Shape.to_json` wrote; None of the empty list, which is how a constant level is stored.

    Raises GrammarError for anything else.
    """
    if isinstance(value, str):
        return parse_shape(value)
    try:
        pieces = [Piece(*map(float, piece)) for piece in value]
    except (TypeError, ValueError, OverflowError) as error:
        raise GrammarError(f"{value!r} is not a list of pieces [share of the window, start, end]") from error
    if not pieces:
        return None
    found = Ramp(*pieces[0][1:]) if len(pieces) == 1 else Steps(tuple(piece.start for piece in pieces))
    if list(found.pieces()) != pieces:
        raise GrammarError(f"{value!r} is neither a ramp over the whole window nor steps of equal length")
    return found
