"""`echobench search`: the highest offered load that a server carries within a latency objective."""

from __future__ import annotations

import json
import re
import sys

import click
from rich.console import Console

from bench import units
from bench.cli.door import door_of
from bench.cli.progress import watching
from bench.errors import ExitCode, UsageError
from bench.experiment.drive import drive
from bench.experiment.search import Bracket, Found, Objective
from bench.experiment.search import search as experiment
from bench.regress.request import spec
from clients.workload import Workload, parse_duration_s

_OBJECTIVE = re.compile(r"(p50|p90|p99|p999)\s*<=?\s*(\S+)")


@click.command("search", short_help="Find the highest rate that keeps a latency objective.")
@click.argument("server")
@click.option("--slo", default="p99<10ms", show_default=True, help="p50, p90, p99 or p999 of the response time.")
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True)
@click.option("--message-bytes", type=click.IntRange(1), default=1024, show_default=True)
@click.option("--duration", default="2s", show_default=True, help="Window of each trial.")
@click.option("--arrivals", type=click.Choice(["constant", "poisson"]), default="poisson", show_default=True)
@click.option("--first-rate", type=float, default=2000.0, show_default=True, help="Rate per second to begin with.")
@click.option("--precision", type=float, default=0.05, show_default=True, help="How near kept and missed must come.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of lines.")
@click.pass_context
def search(
    context: click.Context,
    /,
    *,
    server: str,
    slo: str,
    connections: int,
    message_bytes: int,
    duration: str,
    arrivals: str,
    first_rate: float,
    precision: float,
    seed: int,
    as_json: bool,
) -> None:
    """Offer SERVER more and more load, a fresh launch each time, until its response times miss the objective.

    Exits 0 with a rate, 3 if the load generator was the limit before the server, 4 if not even the lowest rate kept
    the objective.
    """
    objective = parse_objective(slo)
    if not first_rate > 0 or not 0 < precision < 1:
        raise UsageError("--first-rate must be above 0, and --precision between 0 and 1")
    workload = Workload(
        connections=connections,
        message_bytes=message_bytes,
        rate_per_s=first_rate,
        arrivals="poisson" if arrivals == "poisson" else "constant",
        warmup_s=0.3,
        duration_s=parse_duration_s(duration),
        seed=seed,
    )
    bracket = Bracket(first_per_s=first_rate, precision=precision)
    with watching(Console(stderr=True)) as watcher, door_of(context)() as bench:
        found = drive(experiment(spec(server, "s"), workload, objective, bracket), bench, watcher=watcher)
    _conclude(found, objective, as_json=as_json)


def parse_objective(text: str) -> Objective:
    """Read `p99<10ms`. Raise UsageError."""
    match = _OBJECTIVE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"objective {text!r} is not understood: write p99<10ms (p50, p90, p99 or p999)")
    return Objective(percentile=match[1], limit_ns=parse_duration_s(match[2]) * 1e9)


def _conclude(outcome: Found, objective: Objective, *, as_json: bool) -> None:
    state, trials = outcome.bracket, outcome.trials
    found, missed = state.kept_per_s, state.missed_per_s
    limit = f"{objective.percentile} < {units.duration(objective.limit_ns)}"
    if as_json:
        document = {
            "highest_kept_per_s": found,
            "lowest_missed_per_s": missed,
            "limited_by_generator": state.limited_by_generator,
            "objective": {"metric": objective.metric, "limit_ns": objective.limit_ns},
            "trials": trials,
        }
        click.echo(json.dumps(document, indent=1))
    elif found is None:
        click.echo(f"No rate down to {units.rate(state.least_per_s)} kept {limit}.")
    else:
        above = "" if missed is None else f" and not at {units.rate(missed)}"
        click.echo(f"{limit} is kept at {units.rate(found)}{above} ({trials} trials).")
        if state.limited_by_generator:
            click.echo("The load generator was the limit, not the server: read this as a lower bound.")
    if found is None:
        sys.exit(ExitCode.INVALID)
    if state.limited_by_generator:
        sys.exit(ExitCode.INCONCLUSIVE)
