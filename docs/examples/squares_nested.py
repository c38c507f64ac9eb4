"""Two generators, one for squares and one for cubes, and a third that delegates to each in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def squares(count: int) -> Iterator[int]:
    """Yield the squares of 1 to `count`."""
    for number in range(1, count + 1):
        yield number**2


def cubes(count: int) -> Iterator[int]:
    """Yield the cubes of 1 to `count`."""
    for number in range(1, count + 1):
        yield number**3


def squares_and_cubes(count: int) -> Iterator[int]:
    """Yield what both yield. Whoever iterates does not notice that there are two of them."""
    yield from squares(count)
    yield from cubes(count)


print(*squares_and_cubes(5))
