"""`echobench search`: the highest offered load that a server carries within a latency objective."""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import units
from bench.cli.options import json_option, seed_option, texts_given, workload_given, workload_options
from bench.errors import ExitCode, UsageError
from bench.experiment.host import machine
from bench.experiment.model import Trial
from bench.experiment.search import Objective, Search, judge, run
from bench.experiment.trial.live import LiveBench
from bench.regress.request import spec
from clients.grammar import GrammarError, parse_duration_s, write_number

if TYPE_CHECKING:
    from bench.experiment.model import Server, TrialResult
    from clients.workload import Workload

DEFAULTS = {
    "connections": "64",
    "message_bytes": "1024",
    "duration_s": "2s",
    "warmup_s": "0.3s",
    "arrivals": "poisson",
}
_OBJECTIVE = re.compile(r"(p50|p90|p99|p999)\s*<=?\s*(\S+)")


@click.command("search", short_help="Find the highest rate that keeps a latency objective.")
@click.argument("server")
@click.option("--slo", default="p99<10ms", show_default=True, help="p50, p90, p99 or p999 of the response time.")
@workload_options(DEFAULTS, without=("rate_per_s", "think_s"))
@click.option("--first-rate", type=float, default=2000.0, show_default=True, help="Rate per second to begin with.")
@click.option("--precision", type=float, default=0.05, show_default=True, help="How near kept and missed must come.")
@seed_option("Randomness of the trials.", default=1)
@json_option
def search(
    *,
    server: str,
    slo: str,
    first_rate: float,
    precision: float,
    seed: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Offer SERVER more and more load, a fresh launch each time, until its response times miss the objective.

    Exits 0 with a rate, 3 if the load generator was the limit before the server, 4 if not even the lowest rate kept
    the objective.
    """
    objective = parse_objective(slo)
    if not 0 < first_rate < math.inf or not 0 < precision < 1:
        raise UsageError("--first-rate must be a number above 0, and --precision between 0 and 1")
    workload = workload_given({**texts_given(given), "rate_per_s": write_number(first_rate)}).replace(seed=seed)
    tested = spec(server, "s")
    if tested.gap is not None:
        raise UsageError(f"{server} cannot run here: {tested.gap}")
    state = Search(first_per_s=first_rate, precision=precision)
    with tempfile.TemporaryDirectory(prefix="echobench-") as folder:
        cores = machine.plan_cores(machine.allowed_cores(), 1, machine.cpu_quota())
        prober = Prober(LiveBench(logs=Path(folder), cores=cores), tested, workload, objective)
        trials = run(state, prober, objective)
    _conclude(state, objective, len(trials), as_json=as_json)


class Prober:
    """Measures one rate after another, saying so on stderr."""

    def __init__(self, live: LiveBench, server: Server, workload: Workload, objective: Objective) -> None:
        """Probe with copies of `workload` at other rates."""
        self._live, self._server, self._workload, self._objective = live, server, workload, objective
        self._number = 0

    def __call__(self, rate_per_s: float) -> TrialResult:
        """Measure one trial at a rate."""
        self._number += 1
        workload = self._workload.replace(rate_per_s=rate_per_s, seed=self._workload.seed + self._number)
        trial = Trial(number=self._number, round=0, server=self._server, workload_name="search", workload=workload)
        result = self._live(trial)
        latency_ns = result.metrics.get(self._objective.metric)
        shown = "unknown" if latency_ns is None else units.duration(latency_ns)
        outcome = judge(result, self._objective)
        reason = f" ({result.detail.splitlines()[0]})" if result.detail else ""
        click.echo(
            f"{units.rate(rate_per_s):>12}  {self._objective.percentile} {shown:>9}  {outcome}{reason}", err=True
        )
        return result


def parse_objective(text: str) -> Objective:
    """Read `p99<10ms`. Raise UsageError."""
    match = _OBJECTIVE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"objective {text!r} is not understood: write p99<10ms (p50, p90, p99 or p999)")
    try:
        limit_s = parse_duration_s(match[2])
    except GrammarError as error:
        raise UsageError(f"objective {text!r} is not understood: {error}") from error
    return Objective(percentile=match[1], limit_ns=limit_s * 1e9)


def _conclude(state: Search, objective: Objective, trials: int, *, as_json: bool) -> None:
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
