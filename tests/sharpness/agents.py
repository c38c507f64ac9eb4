"""`nox -s cluster -- --cost`: what agents cost, and whether they measure what processes of this machine do.

One load is made by `--workers N` and by N agents of a local cluster. Each turn makes it both ways, with the same seed
and in a shuffled order, so that both see the same minutes. A turn gives a ratio of each number, and the intervals are
over turns. The cluster is held over the turns, as in a run, and its start is told apart. What it uses meanwhile is
measured too. Which mean and which interval is the business of `bench.stats`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import psutil
from helpers.checkout import CHECKOUT
from helpers.generator import serving
from sharpness.ending import status_of

from bench import units
from bench.analysis.estimates.cells import LEVEL
from bench.errors import MeasurementError
from bench.experiment.host import machine
from bench.stats import geometric_mean_interval
from clients.agents.session import session
from clients.cpuclock import used_ns
from clients.target import parse_target
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clients.agents.session import Session

    Numbers = dict[str, float]
    Pairs = list[tuple[Numbers, Numbers]]

CLOSED = Workload(connections=24, warmup_s=0.2, duration_s=1.5)
OPEN = CLOSED.replace(rate_per_s=3_000.0, arrivals="poisson")
LOADS = {"open loop, 3,000/s, Poisson": OPEN, "closed loop": CLOSED}
SHORT, LONG = OPEN.replace(duration_s=0.5), OPEN.replace(duration_s=10.0)
AGENTS, COMPARED, TURNS, MINUTES = (1, 2, 4, 8), 3, 5, 7.5
SHOWN = ("trial_s", "replies_per_s", "response_p50_ns", "response_p99_ns")
PAGE = CHECKOUT / "docs" / "agents.md"
BEGIN, END = "<!-- written by `nox -s cluster -- --cost --write` -->\n", "<!-- written until here -->"


def by_workers(address: str, workers: int, load: Workload) -> Numbers:
    """Make a load by so many processes; return its numbers, and the seconds that it took."""
    words = [address, "--workload", json.dumps(load.to_json()), "--workers", str(workers), "--json"]
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clients", *words],
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


def by_agents(address: str, agents: Session, load: Workload) -> Numbers:
    """Make a load by all agents; return its numbers, and the seconds that it took."""
    began_s = time.monotonic()
    carried = agents.carry(parse_target(address), load)
    return numbers(carried.result.to_json(), time.monotonic() - began_s)


def numbers(result: dict[str, Any], took_s: float) -> Numbers:
    """Return what is compared. Raise MeasurementError for a load that has not all of it."""
    found = {**result, "trial_s": took_s}
    if missing := [name for name in SHOWN if not found[name]]:
        raise MeasurementError(f"a load gave no {', '.join(missing)}")
    return {name: found[name] for name in SHOWN}


def turn(address: str, agents: Session, loads: Sequence[Workload], seed: int) -> Pairs:
    """Make each load without agents and with them, in an order that the seed shuffles; return a pair for each."""
    ways = [(place, way) for place in range(len(loads)) for way in range(2)]
    random.Random(seed).shuffle(ways)
    made: dict[tuple[int, int], Numbers] = {}
    for place, way in ways:
        load = loads[place].replace(seed=seed)
        number = len(agents.agents)
        made[place, way] = by_agents(address, agents, load) if way else by_workers(address, number, load)
    return [(made[place, 0], made[place, 1]) for place in range(len(loads))]


def ratios(pairs: Pairs, names: Iterable[str]) -> list[str]:
    """Return for each name the ratio of with to without, and its interval over turns."""
    found = [geometric_mean_interval([after[name] / before[name] for before, after in pairs], LEVEL) for name in names]
    return [units.estimate(one, "{:.3f}".format) for one in found]


def cost_row(agents: int, start_s: float, pairs: Pairs) -> str:
    """Return a line of the first table: seconds of a trial without and with, and their ratio."""
    seconds = [geometric_mean_interval([pair[way]["trial_s"] for pair in pairs], LEVEL).value for way in (0, 1)]
    cells = [f"{start_s:.1f}", *(f"{one:.2f}" for one in seconds), *ratios(pairs, ["trial_s"])]
    return f"| {agents} | {len(pairs)} | {' | '.join(cells)} |"


def cost_table(address: str, turns: int) -> list[str]:
    """Measure what a trial of half a second costs at several numbers of agents; return a table."""
    lines = ["| agents | turns | cluster starts, s | trial without, s | trial with, s | ratio |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: | --- |")
    for agents in AGENTS:
        began_s = time.monotonic()
        with session(f"local:{agents}") as started:
            start_s = time.monotonic() - began_s
            pairs = []
            for seed in range(turns + 1):
                click.echo(f"{units.plural(agents, 'agent')}: turn {seed} of {turns}", err=True)
                pairs += turn(address, started, [SHORT], seed)
        lines.append(cost_row(agents, start_s, pairs[1:]))  # the first one finds no files in memory
    return lines


def compared(address: str, agents: Session, until_s: float) -> list[str]:
    """Make the loads both ways, turn after turn until a time, but twice at least; return a table."""
    made: list[Pairs] = []
    while len(made) < 2 or time.monotonic() < until_s:
        click.echo(f"workers and agents: turn {len(made) + 1}", err=True)
        made.append(turn(address, agents, list(LOADS.values()), len(made)))
    lines = ["| load | turns | rate, ratio | p50, ratio | p99, ratio |", "| --- | ---: | --- | --- | --- |"]
    for name, *pairs in zip(LOADS, *made, strict=True):
        lines.append(f"| {name} | {len(pairs)} | {' | '.join(ratios(pairs, SHOWN[1:]))} |")
    return lines


def used_beside(address: str, agents: Session) -> dict[str, float]:
    """Return the CPU that keepers, workers and coordinator use in the window of a long load, in ms per second each."""
    seen: list[tuple[float, dict[str, float]]] = []

    def look(who: dict[str, list[int]]) -> None:
        each = {name: sum(used_ns(pid) for pid in pids) / 1e6 / len(pids) for name, pids in who.items()}
        seen.append((time.monotonic(), each))

    def announce(_established: int, _requested: int) -> int:
        keepers = [one for one in psutil.Process().children(recursive=True) if _is_keeper(one)]
        workers = [keeper.ppid() for keeper in keepers]
        who = {"keeper": [one.pid for one in keepers], "worker": workers, "coordinator": [os.getpid()]}
        start_ns = time.monotonic_ns() + agents.lead_ns
        began_s = start_ns / 1e9 + LONG.warmup_s - time.monotonic()
        for after_s in (began_s + 0.5, began_s + LONG.duration_s - 0.5):
            threading.Timer(after_s, look, [who]).start()
        return start_ns

    agents.carry(parse_target(address), LONG, announce)
    (began_s, before), (ended_s, after) = seen
    return {name: (after[name] - before[name]) / (ended_s - began_s) for name in before}


def _is_keeper(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "clients.agents.keeper" in process.cmdline()
    return False


def measured(turns: int, until_s: float) -> str:
    """Measure all, and return it as text for a page."""
    facts, load = machine.facts(machine.cores()), os.getloadavg()[0]
    cpus = machine.usable_cpus()
    with serving("coroutines") as served:
        if len(cpus) > 1:  # as in a run: the server on a core, all the rest beside it
            os.sched_setaffinity(served.process.pid, cpus[-1:])
            os.sched_setaffinity(0, cpus[:-1])
        costs = cost_table(served.address, turns)
        with session(f"local:{COMPARED}") as agents:
            used = used_beside(served.address, agents)
            same = compared(served.address, agents, until_s)
    versions = machine.library_versions(("distributed", "echobench"))
    place = f"{facts['cpus']} CPUs of {facts['cpu_model']}, Linux {facts['kernel']}"
    software = (
        f"Python {machine.interpreter_facts()['version']}, Dask {versions['distributed']}, "
        f"echobench {versions['echobench']}"
    )
    source = (
        f"Source: `nox -s cluster -- --cost --write` on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC, {place}, "
        f"{software}. The load average before was {load:.1f}."
    )
    spent = ", ".join(f"{spent_ms:.2f} ms by the {name}" for name, spent_ms in used.items())
    beside = f"In a window with {COMPARED} agents, a second costs this much CPU: {spent}, on average over them."
    title = f"The same load by {COMPARED} agents and by `--workers {COMPARED}`, as ratios of with to without:"
    return "\n".join([*costs, "", beside, "", title, "", *same, "", source, ""])


def write(text: str, page: str) -> str:
    """Return the page with the text in the place of what was measured before. Raise ValueError if it has no place."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN.strip()} and {END}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


@click.command("agents")
@click.option("--turns", type=click.IntRange(2), default=TURNS, show_default=True, help="Turns at each number.")
@click.option("--minutes", type=float, default=MINUTES, show_default=True, help="Time for all, of two turns at least.")
@click.option("--write", "writes", is_flag=True, help="Write it into docs/agents.md too.")
def main(*, turns: int, minutes: float, writes: bool) -> None:
    """Make loads with and without agents, in turns, and show what agents cost and gave as ratios."""
    text = measured(turns, time.monotonic() + minutes * 60)
    click.echo(text)
    if writes:
        PAGE.write_text(write(text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(status_of(main))
