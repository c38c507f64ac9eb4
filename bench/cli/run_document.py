"""What a run found as one JSON object: estimates, ratios, findings, doubts, failures. Nothing is computed here.

`run --json` and `show --json` print it. A key is never renamed or given another meaning; new ones may be added.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench import metrics
from bench.analysis.estimates.sentences import sentence
from bench.analysis.estimates.thresholds import judge
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status
from bench.metrics import THROUGHPUT
from bench.plain import plain

if TYPE_CHECKING:
    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranked, Ranking
    from bench.analysis.runs.run_folder import Run


def document(run: Run, found: Ranking) -> dict[str, Any]:
    """Return a run that is ranked in plain JSON types, null for what is not known. Of a workload, the best is first."""
    standing = found.headline(found.question)
    rows = [
        (workload, row) for panel in found.sweep.panels for workload in panel.places for row in found.rows(workload)
    ]
    about = {
        name: run.info.get(name) for name in ("state", "started_at", "machine", "interpreter", "git", "load", "plan")
    }
    whole: dict[str, Any] = plain(
        {
            "run": run.id,
            "answer": None if standing is None else sentence(standing, found.sweep),
            "baseline": found.baseline,
            "cells": [_cell(found, workload, row) for workload, row in rows],
            "thresholds": [one.to_json() for one in judge(run)],
            "doubts": _doubts(run),
            "failures": _failures(run),
            "damage": list(run.damage),
            **about,
        }
    )
    return whole


def _cell(found: Ranking, workload: str, row: Ranked) -> dict[str, Any]:
    first = row.cells[THROUGHPUT.column]
    return {
        "server": first.server,
        "workload": workload,
        "trials": first.trials,
        "measured": first.measured,
        "solo": first.solo,
        "is_told_from_the_one_above": not row.is_level,
        "metrics": {metric.column: _metric(found, row.cells[metric.column], metric.column) for metric in metrics.TABLE},
    }


def _metric(found: Ranking, cell: Cell, column: str) -> dict[str, Any]:
    ratio = found.ratios.get((column, cell.workload, cell.server))
    return {
        **asdict(cell.estimate),
        "is_lower_bound": cell.lower_bound,
        "ratio": None if ratio is None or not ratio.values else asdict(ratio.estimate),
    }


def _doubts(run: Run) -> list[dict[str, Any]]:
    lists = [text.split(",") for text in run.measured["doubts"].dropna()]
    counts = {doubt: sum(doubt in codes for codes in lists) for doubt in Doubt}
    return [{"doubt": str(doubt), "trials": count, "advice": doubt.advice} for doubt, count in counts.items() if count]


def _failures(run: Run) -> list[dict[str, Any]]:
    missing = run.trials[run.trials["status"] != Status.MEASURED]
    columns = ("server", "workload", "trial", "status")
    rows = missing[[*columns, "status_detail"]].astype(object).to_dict("records")
    return [{**{name: row[name] for name in columns}, "detail": row["status_detail"]} for row in rows]
