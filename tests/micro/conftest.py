"""The price list that ends `nox -s micro`: every suspension as a ratio to a generator's `send`.

The yardstick is timed before and after each round of a benchmark, so that both meet the same machine and its drift
cancels; the ratio is the Hodges-Lehmann estimate over the rounds with its exact interval.
"""

from __future__ import annotations

import math
import time
from itertools import pairwise, repeat
from typing import TYPE_CHECKING

import pytest

from bench import units
from bench.stats import hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stats import Estimate

ROUNDS = 60
WARMUP_ROUNDS = 5
SENDS = 20_000
PRICES = pytest.StashKey[list[tuple[str, "Estimate", float]]]()


def send_many(send: Callable[[None], object], times: int = SENDS) -> None:
    for nothing in repeat(None, times):
        send(nothing)


OUT = object()


def forever():
    while True:
        yield OUT


@pytest.fixture
def price(benchmark, request):
    """Return a function that times `work`, which suspends and resumes `times` times, beside the yardstick."""

    def measure(work: Callable[[], None], times: int) -> None:
        yardstick = forever()
        yardstick_s = []

        def time_the_yardstick() -> None:
            start = time.perf_counter()
            send_many(yardstick.send)
            yardstick_s.append((time.perf_counter() - start) / SENDS)

        benchmark.pedantic(work, setup=time_the_yardstick, rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS)
        if benchmark.stats is None:  # benchmarks are off: it ran once, as a test
            return
        time_the_yardstick()
        work_s = [seconds / times for seconds in benchmark.stats.stats.data]
        around = pairwise(yardstick_s[-ROUNDS - 1 :])
        logs = [math.log(mine / math.sqrt(its * then)) for mine, (its, then) in zip(work_s, around, strict=True)]
        ratio = hodges_lehmann(logs).map(math.exp)
        benchmark.extra_info |= {"ratio_to_send": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
        name = request.node.name.removeprefix("test_").replace("_", " ")
        request.config.stash.setdefault(PRICES, []).append((name, ratio, min(work_s) * 1e9))

    return measure


@pytest.fixture
def price_of_sending(price):
    """Return a function that prices a `send`, or what stands for it: each call resumes, and returns at a suspension."""

    def measure(send: Callable[[None], object]) -> None:
        price(lambda: send_many(send), SENDS)

    return measure


def pytest_terminal_summary(terminalreporter, config):
    prices = config.stash.get(PRICES, [])
    if not prices:
        return
    terminalreporter.section("what a suspension costs, as a multiple of a generator's send")
    width = max(len(name) for name, _, _ in prices)
    for name, ratio, fastest_ns in sorted(prices, key=lambda price: price[1].value):
        terminalreporter.line(
            f"{name:{width}}  {ratio.value:8.2f}  [{ratio.low:.2f}, {ratio.high:.2f}] at {ratio.level:.0%}"
            f"   fastest {units.duration(fastest_ns)}"
        )
