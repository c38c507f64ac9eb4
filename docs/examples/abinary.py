"""A coroutine that awaits two of its own kind: it counts the nodes of a binary tree, and never suspends."""

from __future__ import annotations


async def abinary(depth: int) -> int:
    """Return how many nodes a full binary tree of this depth has."""
    if depth == 0:
        return 1
    left = await abinary(depth - 1)
    right = await abinary(depth - 1)
    return left + 1 + right


try:
    abinary(5).send(None)
except StopIteration as end:
    print(end.value)
