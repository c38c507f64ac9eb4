"""The tables of a report as plain values: estimates by load, leads, doubts, failures, facts. No markup."""

from __future__ import annotations

import json
import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import metrics, units
from bench.analysis.figures.palette import styles
from bench.analysis.figures.words import capital
from bench.analysis.report.words import interval, ratio
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status
from bench.metrics import CPU, P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

NOT_KNOWN = "not known"
"""What a fact that is None reads as."""

_SHOWN_APART = {"plan", "command", "schema_version", "state"}
_OF_NAMES = {"libraries", "interpreters"}
_MISSING = {"libraries": "not installed"}


@dataclass(frozen=True, slots=True)
class CellText:
    """One number of the table: value and interval as they are written, and whether it is the best of its column."""

    value: str
    interval: str
    best: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the run: its server with the index of its hue, how many trials, its numbers, its doubts' codes."""

    server: str
    hue: int
    trials: str
    entries: tuple[CellText | None, ...]
    doubts: tuple[str, ...]
    why_missing: str


@dataclass(frozen=True, slots=True)
class Block:
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
class Failure:
    """Trials of a cell that ended in the same way: their numbers, and the sentence with the tail of the log."""

    server: str
    workload: str
    status: str
    trials: str
    detail: str


def blocks(run: Run, ranking: Ranking) -> list[Block]:
    """Return the estimates of every cell, by load."""
    by_cell: defaultdict[tuple[str, str], dict[str, Cell]] = defaultdict(dict)
    for column, found in ranking.cells.items():
        for cell in found:
            by_cell[cell.workload, cell.server][column] = cell
    doubts = _doubts_by_cell(run)
    best = {
        (metric, standing.best.workload, standing.best.server)
        for metric, standings in ranking.standings.items()
        for standing in standings
    }
    hues = {server: style.hue for server, style in styles(ranking.servers).items()}
    found_blocks = []
    for panel in ranking.sweep.panels:
        for workload, x in panel.places.items():
            here = {server: row for (name, server), row in by_cell.items() if name == workload}
            order = sorted(here, key=lambda server: (*_rank(here[server], ranking.question), server))
            rows = tuple(_row(here[s], hues[s], best, tuple(doubts[s, workload])) for s in order)
            caption = capital(ranking.sweep.phrase(panel, x).removeprefix("at "))
            found_blocks.append(Block(caption, rows))
    return found_blocks


def _rank(row: Mapping[str, Cell], metric: Metric) -> tuple[bool, float]:
    """Return what sorts the rows of a load: best first, those without a number last."""
    cell = row[metric.column]
    return cell.missing, 0.0 if cell.missing else cell.estimate.value * (-1 if metric.larger_is_better else 1)


def _row(row: Mapping[str, Cell], hue: int, best: set[tuple[str, str, str]], doubts: tuple[str, ...]) -> Row:
    first = row[THROUGHPUT.column]
    entries = []
    for metric in metrics.TABLE:
        cell = row[metric.column]
        value = ("≥ " if cell.lower_bound else "") + metric.words(cell.estimate.value)
        is_best = (metric.column, cell.workload, cell.server) in best
        entries.append(None if cell.missing else CellText(value, interval(metric, cell), is_best))
    trials = str(first.trials) if first.measured == first.trials else f"{first.measured} of {first.trials}"
    return Row(first.server, hue, trials, tuple(entries), doubts, ", ".join(first.statuses) if first.missing else "")


def leads(ranking: Ranking) -> list[Lead]:
    """Return who is best at each load, by what the run asks."""
    by_cell = {
        (metric.column, cell.server, cell.workload): metric.words(cell.estimate.value)
        for metric in (CPU, P99)
        for cell in ranking.cells[metric.column]
        if not cell.missing
    }
    return [
        Lead(
            where=capital(ranking.sweep.phrase(standing.panel, standing.best.x).removeprefix("at ")),
            server=standing.best.server,
            value=("≥ " if standing.best.lower_bound else "") + standing.metric.words(standing.best.estimate.value),
            lead=f"{ratio(standing.lead)} {standing.runner_up.server}" if standing.lead and standing.runner_up else "",
            level_with=", ".join(standing.level_with),
            cpu=by_cell.get((CPU.column, standing.best.server, standing.best.workload), ""),
            p99=by_cell.get((P99.column, standing.best.server, standing.best.workload), ""),
        )
        for standing in ranking.standings[ranking.question.column]
    ]


def _doubts_by_cell(run: Run) -> defaultdict[tuple[str, str], Counter[str]]:
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for server, workload, codes in run.trials[["server", "workload", "doubts"]].itertuples(index=False):
        found[server, workload].update(filter(None, codes.split(",")))
    return found


def doubts(run: Run) -> list[DoubtRow]:
    """Return every doubt that any trial carries, in the order of the enumeration."""
    by_cell = _doubts_by_cell(run)
    rows = []
    for doubt in Doubt:
        where = {cell: codes[doubt] for cell, codes in by_cell.items() if codes[doubt]}
        if where:
            cells = ", ".join(f"{server} {workload}" for server, workload in sorted(where))
            rows.append(DoubtRow(str(doubt), doubt.advice, sum(where.values()), cells))
    return rows


def failures(run: Run) -> list[Failure]:
    """Return the trials that were not measured, those of a cell that ended alike together."""
    failed = run.trials[run.trials["status"] != Status.MEASURED]
    columns = failed[["server", "workload", "status", "status_detail", "trial"]].itertuples(index=False)
    alike: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for server, workload, status, detail, trial in columns:
        alike[server, workload, status, detail].append(str(trial))
    return [
        Failure(server, workload, status, ", ".join(numbers), detail)
        for (server, workload, status, detail), numbers in alike.items()
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
        yield "Measure again", shlex.join(command)


def _label(key: str) -> str:
    """Write a key for people; its unit is in the value."""
    words = key.removesuffix("_bytes").removesuffix("_s").split("_")
    return " ".join({"cpu": "CPU", "cpus": "CPUs", "smt": "SMT"}.get(word, word) for word in words)


def _fact(name: str, value: object, *, missing: str) -> str:
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name.endswith("_bytes"):
        return units.size(value)
    if isinstance(value, int | float) and name.endswith("_s"):
        return f"{value:.1f} s"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
