"""`echobench search`: the highest rate at which a server keeps a latency objective. Nothing is computed here."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from bench import units
from bench.cli.door import door_of
from bench.cli.options import json_option, seed_option, texts_given, workload_options
from bench.cli.progress import watching
from bench.cli.terminal import columns
from bench.errors import ExitCode, UsageError
from bench.experiment.doubts import lines
from bench.experiment.drive import drive
from bench.experiment.inspection import looked_over
from bench.experiment.planning.plan_file import plan_of
from bench.experiment.planning.selection import resolve
from bench.experiment.search import Bracket, Found, Objective
from bench.experiment.search import search as experiment
from clients.grammar import GrammarError, parse_duration_s, write_number
from clients.workload import RATE_MAX_PER_S

if TYPE_CHECKING:
    from bench.experiment.model import Server
    from clients.workload import Workload

DEFAULTS = {
    "connections": "64",
    "message_bytes": "1024",
    "duration_s": "2s",
    "warmup_s": "0.3s",
    "arrivals": "poisson",
}
EXAMPLES = """\b
Examples:
  echobench search threads
  echobench search ./mine.py --slo "p99<5ms" -c 256 -s 4KiB
"""
_OBJECTIVE = re.compile(r"(p50|p90|p99|p999)\s*<=?\s*(\S.*)")


@click.command(
    "search", epilog=EXAMPLES, short_help="Find the highest rate at which a server keeps a stated response time."
)
@click.argument("server")
@click.option(
    "--slo",
    metavar="OBJECTIVE",
    default="p99<10ms",
    show_default=True,
    help="Objective: a limit for the p50, p90, p99 or p999 of the response time, with its unit.",
)
@workload_options(DEFAULTS, without=("rate_per_s", "think_s"))
@click.option(
    "--first-rate",
    metavar="PER_S",
    type=float,
    default=2000.0,
    show_default=True,
    help="Rate to begin with, per second.",
)
@click.option(
    "--precision",
    metavar="FRACTION",
    type=float,
    default=0.05,
    show_default=True,
    help="Stop when the lowest rate that missed is at most this fraction above the highest that kept.",
)
@seed_option("Seed of the randomness of the trials.", default=1)
@click.option("--anyway", is_flag=True, help="Search even if the server fails a basic case of `check`.")
@json_option
@click.pass_context
def search(
    context: click.Context,
    /,
    *,
    server: str,
    slo: str,
    first_rate: float,
    precision: float,
    seed: int,
    anyway: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the highest rate at which SERVER keeps a latency objective, with a fresh launch for every trial.

    SERVER is a name or FILE.py, either with @PYTHON, or NAME=COMMAND with {port}. The exit status is 0 if a rate was
    found. It is 3 if the load generator was the limit before the server, or if a higher rate could not be judged, as
    when the server crashed. It is 4 if no rate kept the objective, or none could be judged.
    """
    objective = parse_objective(slo)
    if not 0 < first_rate <= RATE_MAX_PER_S or not 0 < precision < 1:
        raise UsageError(f"--first-rate must be above 0 and {RATE_MAX_PER_S} at most, and --precision between 0 and 1")
    texts = texts_given(given)
    least = least_rate(objective, texts["duration_s"], first_rate)
    tested, workload = _looked_over(server, {**texts, "rate_per_s": write_number(first_rate)}, seed, anyway=anyway)
    bracket = Bracket(first_per_s=first_rate, precision=precision, least_per_s=least)
    with watching(Console(stderr=True), only_failures=True) as watcher, door_of(context)() as bench:
        found = drive(experiment(tested, workload, objective, bracket), bench, watcher=watcher)
    conclude(found, objective, as_json=as_json)


def _looked_over(text: str, workload: dict[str, str], seed: int, *, anyway: bool) -> tuple[Server, Workload]:
    """Return the server and the load of a search, as the plan of a run would have them.

    Raises UsageError for what would make every trial fail, and for a server that is no echo server.
    """
    name, _, python = text.partition("@") if not {" ", "="} & set(text) else (text, "", "")
    pythons = [python] if python else []
    raw = {"name": "search", "trials": 1, "seed": seed}
    file = plan_of(raw, "search", servers=[name], pythons=pythons, workload=workload)
    plan = looked_over(resolve(file), anyway=anyway).plan
    for gap in plan.gaps():
        raise UsageError(f"{gap.trial.server.name}: {gap.detail}")
    return plan.servers[0], plan.workloads[0].workload.replace(seed=seed)


def parse_objective(text: str) -> Objective:
    """Read `p99<10ms`. Raise UsageError."""
    match = _OBJECTIVE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"objective {text!r} is not understood: write p99<10ms (p50, p90, p99 or p999)")
    if not match[2].rstrip()[-1].isalpha():
        raise UsageError(f"objective {text!r}: a time needs its unit, as in p99<10ms")
    try:
        limit_s = parse_duration_s(match[2])
    except GrammarError as error:
        raise UsageError(f"objective {text!r} is not understood: {error}") from error
    if limit_s <= 0:
        raise UsageError(f"objective {text!r} cannot be kept: give a time above 0, as in p99<10ms")
    return Objective(percentile=match[1], limit_ns=limit_s * 1e9)


def least_rate(objective: Objective, duration: str, first_per_s: float) -> float:
    """Return the lowest rate that can be judged by trials of this duration. Raise UsageError if the first is below."""
    try:
        window_s = parse_duration_s(duration)
    except GrammarError as error:
        raise UsageError(f"--duration: {error}") from error
    least = max(1.0, objective.least_rate_per_s(window_s)) if window_s > 0 else 1.0
    if first_per_s < least:
        needed_s = window_s * least / first_per_s
        raise UsageError(
            f"at {units.rate(first_per_s)}, {units.duration(window_s * 1e9)} have too few requests for"
            f" {objective.percentile}: give --first-rate {math.ceil(least)}, or --duration {math.ceil(needed_s)}s"
        )
    return least


def in_words(found: Found, objective: Objective) -> tuple[list[str], ExitCode]:
    """Return what a search says to people, the doubts of its trials last, and its exit status.

    That is INCONCLUSIVE if the search was cut short, by whatever, and INVALID if no rate is known to be kept.
    """
    bracket, kept, missed = found.bracket, found.bracket.kept_per_s, found.bracket.missed_per_s
    limit = f"{objective.percentile} < {units.duration(objective.limit_ns)}"
    said = []
    if kept is not None:
        above = "" if missed is None else f" and not at {units.rate(missed)}"
        said.append(f"{limit} is kept at {units.rate(kept)}{above} ({units.plural(found.trials, 'trial')}).")
    status = ExitCode.FINE
    if found.stopped is not None:
        what = "No rate had kept it yet" if kept is None else "The highest rate may be another"
        said.append(f"Interrupted before the search was over. {what}.")
        status = ExitCode.INCONCLUSIVE
    elif bracket.unknown_per_s is not None:
        said.append(f"Nothing can be said at {units.rate(bracket.unknown_per_s)}: {found.why_unknown}")
        status = ExitCode.INVALID if kept is None else ExitCode.INCONCLUSIVE
    elif kept is None:
        said.append(f"No rate down to {units.rate(bracket.least_per_s)} kept {limit}.")
        status = ExitCode.INVALID
    elif bracket.limited_by_generator:
        said.append("The load generator was the limit, not the server: read this as a lower bound.")
        status = ExitCode.INCONCLUSIVE
    return [*said, *lines(found.doubts, found.trials)], status


def conclude(found: Found, objective: Objective, *, as_json: bool) -> None:
    """Print what a search found, and exit with its status, if that is not 0."""
    said, status = in_words(found, objective)
    if as_json:
        document = {
            "highest_kept_per_s": found.bracket.kept_per_s,
            "lowest_missed_per_s": found.bracket.missed_per_s,
            "unknown_at_per_s": found.bracket.unknown_per_s,
            "limited_by_generator": found.bracket.limited_by_generator,
            "interrupted": found.stopped is not None,
            "objective": {"metric": objective.metric, "limit_ns": objective.limit_ns},
            "trials": found.trials,
            "doubts": found.doubts,
        }
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(units.folded("\n".join(said), columns()))
    if status is not ExitCode.FINE:
        sys.exit(status)
