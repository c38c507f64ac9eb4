"""One generator that yields squares first, and cubes after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def squares_and_cubes(count: int) -> Iterator[int]:
    """Yield the squares of 1 to `count`, then their cubes."""
    for number in range(1, count + 1):
        yield number**2
    for number in range(1, count + 1):
        yield number**3


print(*squares_and_cubes(5))
