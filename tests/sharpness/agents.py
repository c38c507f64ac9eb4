"""`nox -s cluster -- --cost`: what agents cost, and whether they measure what processes of this machine do.

One load is made by `--workers N` and by N agents of a local cluster, in turns that begin with the other every time, so
that both see the same minutes. A turn gives a ratio of each number, and the intervals are over turns. The cluster is
started once, as in a run, and its start is told apart. Which mean and which interval is the business of `bench.stats`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from helpers.checkout import CHECKOUT
from helpers.generator import serving
from sharpness.ending import status_of

from bench import units
from bench.analysis.estimates.cells import LEVEL
from bench.errors import MeasurementError
from bench.stats import geometric_mean_interval
from clients.agents.session import session
from clients.target import parse_target
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.agents.session import Session

    Numbers = dict[str, float]

LOAD = Workload(connections=16, rate_per_s=2_000.0, arrivals="poisson", warmup_s=0.3, duration_s=1.5)
AGENTS, TURNS = (1, 2, 3, 4, 8), 8
SHOWN = ("trial_s", "replies_per_s", "response_p50_ns", "response_p99_ns")
TITLES = ("trial time", "rate", "p50", "p99")


def by_workers(address: str, workers: int) -> Numbers:
    """Make the load by so many processes; return its numbers, and the seconds that it took."""
    load = [address, "--workload", json.dumps(LOAD.to_json()), "--workers", str(workers), "--json"]
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clients", *load],
        cwd=CHECKOUT,
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - began_s
    if done.returncode:
        raise MeasurementError(f"a load by {workers} workers ended with status {done.returncode}: {done.stderr}")
    return numbers(json.loads(done.stdout), took_s)


def by_agents(address: str, agents: Session) -> Numbers:
    """Make the load by all agents; return its numbers, and the seconds that it took."""
    began_s = time.monotonic()
    carried = agents.carry(parse_target(address), LOAD)
    return numbers(carried.result.to_json(), time.monotonic() - began_s)


def numbers(result: dict[str, Any], took_s: float) -> Numbers:
    """Return what is compared. Raise MeasurementError for a load that has not all of it."""
    found = {**result, "trial_s": took_s}
    if missing := [name for name in SHOWN if not found[name]]:
        raise MeasurementError(f"a load gave no {', '.join(missing)}")
    return {name: found[name] for name in SHOWN}


def turns_of(address: str, agents: int, turns: int) -> tuple[float, list[tuple[Numbers, Numbers]]]:
    """Return how long the cluster took to start, in s, and for each turn the numbers without agents and with them."""
    began_s, pairs = time.monotonic(), []
    with session(f"local:{agents}") as started:
        start_s = time.monotonic() - began_s
        for turn in range(turns):
            click.echo(f"{units.plural(agents, 'agent')}: turn {turn + 1} of {turns}", err=True)
            if turn % 2:
                withal = by_agents(address, started)
                pairs.append((by_workers(address, agents), withal))
            else:
                pairs.append((by_workers(address, agents), by_agents(address, started)))
    return start_s, pairs


def row(agents: int, start_s: float, pairs: Sequence[tuple[Numbers, Numbers]]) -> str:
    """Return a line of the table: seconds of a trial without and with, and the ratios of with to without."""
    seconds = [geometric_mean_interval([pair[way]["trial_s"] for pair in pairs], LEVEL).value for way in (0, 1)]
    ratios = [geometric_mean_interval([after[name] / before[name] for before, after in pairs], LEVEL) for name in SHOWN]
    cells = [f"{start_s:.1f}", *(f"{one:.2f}" for one in seconds)]
    cells += [units.estimate(ratio, "{:.3f}".format) for ratio in ratios]
    return f"| {agents} | {len(pairs)} | {' | '.join(cells)} |"


def head() -> str:
    """Return the first two lines of the table."""
    titles = ["cluster starts, s", "trial without, s", "trial with, s", *(f"{title}, ratio" for title in TITLES)]
    return f"| agents | turns | {' | '.join(titles)} |\n| ---: | ---: | ---: | ---: | ---: |{' --- |' * len(TITLES)}"


@click.command("agents")
@click.option("--agents", type=click.IntRange(1, 16), multiple=True, default=AGENTS, help="How many; may be repeated.")
@click.option("--turns", type=click.IntRange(2), default=TURNS, show_default=True, help="Turns of both ways.")
def main(*, agents: Sequence[int], turns: int) -> None:
    """Make one load with and without agents, in turns, and show what it cost and gave as ratios."""
    click.echo(head())
    with serving("coroutines") as served:
        for number in agents:
            click.echo(row(number, *turns_of(served.address, number, turns)))


if __name__ == "__main__":
    sys.exit(status_of(main))
