"""The tables of a report as plain values: estimates by load, leads, doubts, failures, facts. No markup."""

from __future__ import annotations

import json
import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.sentences import marked
from bench.analysis.figures.palette import styles
from bench.analysis.figures.words import capital
from bench.analysis.report.words import interval, ratio
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status
from bench.metrics import CPU, P99, THROUGHPUT
from bench.text import cut_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranked, Ranking, Standing
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

NOT_KNOWN = "not known"
"""What a fact that is None reads as."""

_SHOWN_APART = {"plan", "command", "schema_version", "state"}
_OF_NAMES = {"libraries", "interpreters"}
_MISSING = {"libraries": "not installed"}


@dataclass(frozen=True, slots=True)
class CellText:
    """One number of the table as written: the ratio, below it the value with its interval, and whether it is the best.

    Where there is no ratio, the value stands first. `value` is what rows are sorted by.
    """

    first: str
    below: str
    best: bool
    value: float


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the run: its server, how many trials, its numbers, its doubts' codes.

    `anchor` names it in an address. `mark` is the class of its server's marks on the page, `role` the colour of these.
    `is_level` says that it is not told from the row above.
    """

    anchor: str
    server: str
    mark: str
    role: str
    trials: str
    entries: tuple[CellText | None, ...]
    doubts: tuple[str, ...]
    why_missing: str
    is_level: bool


@dataclass(frozen=True, slots=True)
class LoadTable:
    """The cells of one load, best first by what the run asks."""

    caption: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Lead:
    """Who is best at one load, by how much, and at what price."""

    where: str
    server: str
    value: str
    lead: str
    level_with: str
    cpu: str
    p99: str


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """A doubt with its advice, the number of trials it is about, and their cells."""

    code: str
    advice: str
    trials: int
    cells: str


@dataclass(frozen=True, slots=True)
class FailedTrials:
    """Trials of a server that ended alike: under which workloads, their numbers, the sentence with the log's tail."""

    server: str
    workloads: str
    status: str
    trials: str
    detail: str


def load_tables(run: Run, ranking: Ranking) -> list[LoadTable]:
    """Return the estimates of every cell, by load."""
    raised = doubts_by_cell(run)
    best = {
        (metric, standing.best.workload, standing.best.server)
        for metric, standings in ranking.standings.items()
        for standing in standings
        if standing.metric in ranking.sweep.metrics and not standing.is_overloaded
    }
    drawn = styles(ranking.servers, ranking.teaching)

    def row(found: Ranked, workload: str) -> Row:
        first = found.cells[THROUGHPUT.column]
        texts = tuple(_text(ranking, metric, found.cells[metric.column], best) for metric in metrics.TABLE)
        codes = tuple(raised[first.server, workload])
        missing = ", ".join(first.statuses) if first.missing else ""
        return Row(
            anchor=f"cell-{quote(workload)}-{quote(first.server)}",
            server=first.server,
            mark=f"s{list(drawn).index(first.server)}",
            role=drawn[first.server].role,
            trials=remarks.trials(first),
            entries=texts,
            doubts=codes,
            why_missing=missing,
            is_level=found.is_level,
        )

    return [
        LoadTable(
            capital(ranking.sweep.load(panel, x)),
            tuple(row(found, workload) for found in ranking.rows(workload)),
        )
        for panel in ranking.sweep.panels
        for workload, x in panel.places.items()
    ]


def _text(ranking: Ranking, metric: Metric, cell: Cell, best: set[tuple[str, str, str]]) -> CellText | None:
    if cell.missing:
        return None
    value = marked(metric, cell)
    bounds, relative = interval(metric, cell), remarks.relative(ranking, metric, cell)
    is_best = (metric.column, cell.workload, cell.server) in best
    first, below = (relative, f"{value} {bounds}") if relative else (value, bounds)
    standing = ranking.standing(metric, cell.workload)
    if metric is ranking.question and standing is not None and cell in standing.out_of_order:
        below += " placed by its ratio"
    return CellText(first, below, is_best, cell.estimate.value)


def leads(ranking: Ranking) -> list[Lead]:
    """Return who is best at each load, by what the run asks.

    Nobody leads where nobody kept the rate, or where one server is alone.
    """
    by_cell = {
        (metric.column, cell.server, cell.workload): metric.words(cell.estimate.value)
        for metric in (CPU, P99)
        for cell in ranking.cells[metric.column]
        if not cell.missing
    }
    return [
        Lead(
            where=capital(ranking.sweep.load(standing.panel, standing.best.x)),
            server=standing.best.server,
            value=marked(standing.metric, standing.best),
            lead=_lead(standing),
            level_with=", ".join(standing.level_with),
            cpu=by_cell.get((CPU.column, standing.best.server, standing.best.workload), ""),
            p99=by_cell.get((P99.column, standing.best.server, standing.best.workload), ""),
        )
        for standing in ranking.choices[ranking.question.column]
        if not standing.is_overloaded and standing.runner_up is not None
    ]


def _lead(standing: Standing) -> str:
    if standing.lead is None or standing.runner_up is None:
        return ""
    return f"{ratio(standing.lead.estimate)} {standing.runner_up.server}"


def doubts_by_cell(run: Run) -> defaultdict[tuple[str, str], Counter[str]]:
    """Return how many trials of each cell (server, workload) carry which doubt."""
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for server, workload, codes in run.trials[["server", "workload", "doubts"]].itertuples(index=False):
        found[server, workload].update(filter(None, codes.split(",")))
    return found


def doubts(run: Run) -> list[DoubtRow]:
    """Return every doubt that any trial carries, in the order of the enumeration."""
    by_cell = doubts_by_cell(run)
    rows = []
    for doubt in Doubt:
        where = {cell: codes[doubt] for cell, codes in by_cell.items() if codes[doubt]}
        if where:
            cells = ", ".join(f"{server} {workload}" for server, workload in sorted(where))
            rows.append(DoubtRow(str(doubt), doubt.advice, sum(where.values()), cells))
    return rows


def failures(run: Run) -> list[FailedTrials]:
    """Return the trials that were not measured, those of a server that ended alike together."""
    failed = run.trials[run.trials["status"] != Status.MEASURED]
    columns = failed[["server", "workload", "status", "status_detail", "trial"]].itertuples(index=False)
    alike: defaultdict[tuple[str, str, str], list[tuple[str, int]]] = defaultdict(list)
    for server, workload, status, detail, trial in columns:
        alike[server, status, detail].append((workload, trial))
    return [
        FailedTrials(
            server,
            units.listed(workload for workload, _ in found),
            status,
            ", ".join(str(trial) for _, trial in found),
            cut_lines(detail),
        )
        for (server, status, detail), found in alike.items()
    ]


def facts(info: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what run.json says about the machine and the software: sections of (name, value as written)."""
    plain = {key: value for key, value in info.items() if not isinstance(value, dict | list)}
    sections = {"run": plain} | {key: value for key, value in info.items() if isinstance(value, dict)}
    return [
        (
            capital(_label(section)),
            [
                (
                    key if section in _OF_NAMES else _label(key),
                    _fact(key, value, missing=_MISSING.get(section, NOT_KNOWN)),
                )
                for key, value in found.items()
                if key not in _SHOWN_APART
            ],
        )
        for section, found in sections.items()
        if section not in _SHOWN_APART and found
    ]


def plan_text(info: Mapping[str, Any]) -> str:
    """Return the plan of a run with its seed, as it is stored."""
    return json.dumps(info.get("plan", {}), indent=2, ensure_ascii=False)


def commands(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the commands that make this page again, and the numbers behind it, each with what it does."""
    folder = shlex.quote(f"{run.path.parent.name}/{run.id}")
    yield "Rebuild this page, its tables and plots from the records", f"python -m bench report {folder}"
    if command := run.info.get("command"):
        yield "Measure again, in the same order", shlex.join([*command, *_seed(run, command)])


def _seed(run: Run, command: Sequence[str]) -> list[str]:
    """Return the option for the seed that the run drew, where its command gives none."""
    drawn = run.info.get("plan", {}).get("seed")
    given = any(word.partition("=")[0] == "--seed" for word in command)
    return [] if given or drawn is None else ["--seed", str(drawn)]


def _label(key: str) -> str:
    """Write a key for people; its unit is in the value."""
    words = key.removesuffix("_bytes").removesuffix("_s").split("_")
    return " ".join({"cpu": "CPU", "cpus": "CPUs", "smt": "SMT"}.get(word, word) for word in words)


def _fact(name: str, value: object, *, missing: str) -> str:
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name.endswith(("_bytes", "_s")):
        return units.size(value) if name.endswith("_bytes") else f"{value:.1f} s"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        parts = (f"{_label(key)}: {_fact(key, one, missing=missing)}" for key, one in value.items() if one is not None)
        return "; ".join(parts) or "none"
    return str(value)
