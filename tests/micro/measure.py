"""Times the mechanisms on the Python that runs this, round after round, each round in an order of its own.

`tests/micro/__main__.py` starts this file once for each Python. pytest-benchmark times, and writes the JSON. This file
may import nothing but the mechanisms, pytest and pytest-benchmark, because other Pythons have nothing more.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import pytest  # noqa: E402 - after the path is set
from micro.mechanisms import MECHANISMS, Mechanism  # noqa: E402
from pytest_benchmark.stats import Stats  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TURNS = Path(__file__).with_name("turns.py")
TRIES = 4
"""Of as many, the quickest says how long a turn is: it is warm, and the machine did nothing else. Turns of a few times
would be made of what a turn costs once, such as to start a loop."""


class Timed(NamedTuple):
    """A mechanism that is open, its work, and how many times that is done in one turn."""

    mechanism: Mechanism
    work: Callable[[int], None]
    times: int


def here(mechanisms: Sequence[Mechanism] = MECHANISMS) -> list[Mechanism]:
    """Return the mechanisms whose packages this Python has."""
    return [one for one in mechanisms if not one.needs or importlib.util.find_spec(one.needs)]


def times_that_last(work: Callable[[int], None], turn_s: float) -> int:
    """Return how often the work can be done in `turn_s` seconds, about, once it is warm."""
    times, took_s = 1, 0.0
    while took_s < turn_s / 4:
        times *= 2
        took_s = min(seconds(work, times) for _ in range(TRIES))
    return max(1, round(times * turn_s / took_s))


def seconds(work: Callable[[int], None], times: int) -> float:
    """Return how long the work takes now."""
    began_s = time.perf_counter()
    work(times)
    return time.perf_counter() - began_s


def in_rounds(timed: Sequence[Timed], rounds: int, seed: int) -> list[Timed]:
    """Return each of `timed` once for each round, each round shuffled."""
    shuffle = random.Random(seed)
    return [one for _ in range(rounds) for one in shuffle.sample(timed, len(timed))]


class InOurOrder:
    """A plugin of pytest that makes a test of each turn, and one benchmark of the turns of each mechanism."""

    def __init__(self, turns: Sequence[Timed], seed: int) -> None:
        self.turns, self.seed = turns, seed

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.parametrize("timed", self.turns, ids=[str(number) for number in range(len(self.turns))])

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        output_json["benchmarks"] = joined(output_json["benchmarks"])
        output_json["seed"] = self.seed  # of the order in every round


def joined(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join benchmarks of one turn each, in the order of execution, to one for each mechanism: its data by round."""
    found: dict[str, dict[str, Any]] = {}
    stats: dict[str, Stats] = {}
    for turn in turns:
        name = turn["extra_info"]["mechanism"]
        found.setdefault(name, turn | {"name": name, "fullname": name, "param": None, "params": None})
        for taken_s in turn["stats"]["data"]:
            stats.setdefault(name, Stats()).update(taken_s)
    return [
        found[name] | {"stats": {**stats[name].as_dict(), "data": stats[name].data, "iterations": 1}} for name in found
    ]


def measure(rounds: int, seed: int, turn_s: float, json_file: Path) -> int:
    """Time the mechanisms of this Python, and return the exit status of pytest."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # so that a switch is one, and no wake-up of another core
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # so that no other plugin takes part, or takes time to load
    options = ["-q", "-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull]
    options += ["--benchmark-only", "--benchmark-quiet", "--benchmark-disable-gc", f"--benchmark-json={json_file}"]
    options += ["--rootdir", str(TURNS.parent)]
    with contextlib.ExitStack() as stack:
        opened = [(one, stack.enter_context(one.opened())) for one in here()]
        timed = [Timed(one, work, times_that_last(work, turn_s)) for one, work in opened]
        return int(pytest.main([*options, str(TURNS)], plugins=[InOurOrder(in_rounds(timed, rounds, seed), seed)]))


def main() -> int:
    """Read the options, all of which `__main__.py` gives, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--turn-s", type=float, required=True)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    return measure(given.rounds, given.seed, given.turn_s, given.json)


if __name__ == "__main__":
    sys.exit(main())
