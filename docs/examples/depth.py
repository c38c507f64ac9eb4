"""What a level costs: resume a generator, or a coroutine, that is suspended below 1 to 100 others. Run it by itself."""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.stats import hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

DEPTHS = (1, 3, 10, 30, 100)
ROUNDS = 30
SENDS = 5_000


def ticks() -> Generator[None, None, None]:
    """Suspend for ever."""
    while True:
        yield


def nested(depth: int) -> Generator[None, None, None]:
    """Suspend below so many generators."""
    yield from ticks() if depth == 1 else nested(depth - 1)


@types.coroutine
def tick() -> Generator[None, None, None]:
    """Suspend once: what an awaitable does at the bottom."""
    yield


async def anested(depth: int) -> None:
    """Suspend below so many coroutines."""
    while depth == 1:
        await tick()
    await anested(depth - 1)


def time_ns(send: Callable[[None], object]) -> float:
    """Return the time of one resumption and suspension, in ns."""
    began_ns = time.perf_counter_ns()
    for _ in range(SENDS):
        send(None)
    return (time.perf_counter_ns() - began_ns) / SENDS


def main() -> None:
    """Time all in turn, round after round, so that what the machine does falls on all alike."""
    ways = {("yield from", depth): nested(depth).send for depth in DEPTHS}
    ways |= {("await", depth): anested(depth).send for depth in DEPTHS}
    times: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, send in ways.items():
            times[way].append(time_ns(send))
    print(f"{'':10} {'depth':>5} {'ns':>8} {'[95 % interval]':>20}")
    for (word, depth), values in times.items():
        found = hodges_lehmann(values, 0.95)
        print(f"{word:10} {depth:5} {found.value:8.0f} {f'[{found.low:.0f}, {found.high:.0f}]':>20}")


if __name__ == "__main__":
    main()
