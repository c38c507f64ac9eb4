"""A generator that delegates to two of its own kind: it counts the nodes of a binary tree, and never yields."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


def binary(depth: int) -> Generator[None, None, int]:
    """Return how many nodes a full binary tree of this depth has."""
    if depth == 0:
        return 1
    left = yield from binary(depth - 1)
    right = yield from binary(depth - 1)
    return left + 1 + right


try:
    binary(5).send(None)
except StopIteration as end:
    print(end.value)
