"""Sizes and levels as people write them: one number, a range, a list, a mixture. Pure; draws are seeded.

| text | as a size in bytes | as a rate or a number of connections |
| --- | --- | --- |
| `1024` | every message | level |
| `64..4096` | uniform, both ends included | a ramp over the window |
| `1,8,64` | | steps of equal length |
| `64:9,16KiB:1` | a mixture with these weights | |
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clients.workload import Profile, WorkloadError, parse_size_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1024


def parse_sizes(text: str) -> tuple[list[int], list[float]] | range | int:
    """Return one size, a range (uniform) or (sizes, probabilities). Raise WorkloadError."""
    if ".." in text:
        low, high = (parse_size_bytes(end) for end in text.split("..", 1))
        if not 1 <= low <= high:
            raise WorkloadError(f"sizes {text!r}: write LOW..HIGH with 1 <= LOW <= HIGH")
        return range(low, high + 1)
    if ":" in text:
        pairs = [part.partition(":") for part in text.split(",")]
        sizes = [parse_size_bytes(size) for size, _, _ in pairs]
        weights = [parse_level(weight) for _, _, weight in pairs]
        if min(sizes) < 1 or min(weights) <= 0:
            raise WorkloadError(f"sizes {text!r}: write SIZE:WEIGHT,… with sizes of 1 or more and weights above 0")
        return sizes, [weight / sum(weights) for weight in weights]
    size = parse_size_bytes(text)
    if size < 1:
        raise WorkloadError(f"size {text!r} must be 1 byte or more")
    return size


def largest_size(text: str) -> int:
    """Return the largest size that a distribution can draw."""
    sizes = parse_sizes(text)
    if isinstance(sizes, int):
        return sizes
    return max(sizes) if isinstance(sizes, range) else max(sizes[0])


def draw_sizes(text: str, seed: int) -> Iterator[int]:
    """Yield sizes in bytes without end."""
    sizes = parse_sizes(text)
    if isinstance(sizes, int):
        while True:
            yield sizes
    random = np.random.default_rng(seed)
    while True:
        if isinstance(sizes, range):
            yield from random.integers(sizes.start, sizes.stop, _CHUNK).tolist()
        else:
            yield from random.choice(sizes[0], _CHUNK, p=sizes[1]).tolist()


def parse_level(text: str) -> float:
    """Read a number above or below 0, finite. Raise WorkloadError."""
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not math.isfinite(level):
        raise WorkloadError(f"{text!r} is not a number")
    return level


def parse_profile(text: str, parse: Callable[[str], float] = parse_level) -> tuple[float, Profile]:
    """Return (mean level, profile) of `20000`, `1000..20000` or `1000,5000,20000`. Raise WorkloadError."""
    if ".." in text:
        start, end = (parse(part) for part in text.split("..", 1))
        return (start + end) / 2, ((1.0, start, end),)
    levels = [parse(part) for part in text.split(",")]
    if len(levels) == 1:
        return levels[0], ()
    return sum(levels) / len(levels), tuple((1 / len(levels), level, level) for level in levels)
