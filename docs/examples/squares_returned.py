"""Generators return a value when they end, and `yield from` hands that value to the generator that delegated."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


def squares(count: int) -> Generator[int, None, int]:
    """Yield the squares of 1 to `count`. Return their sum."""
    total = 0
    for number in range(1, count + 1):
        yield number**2
        total += number**2
    return total


def cubes(count: int) -> Generator[int, None, int]:
    """Yield the cubes of 1 to `count`. Return their sum."""
    total = 0
    for number in range(1, count + 1):
        yield number**3
        total += number**3
    return total


def squares_and_cubes(count: int) -> Generator[int, None, tuple[int, int]]:
    """Yield what both yield. Return both sums."""
    of_squares = yield from squares(count)
    of_cubes = yield from cubes(count)
    return of_squares, of_cubes


task = squares_and_cubes(5)
try:
    while True:
        print(task.send(None), end=" ")
except StopIteration as end:
    print(f"\nsum of squares, sum of cubes: {end.value}")
