"""What the script of the page draws: every metric by load, and every measure over time, as one value for JSON.

All statistics are made here or before, so that the script computes none. What is over time is thinned to what can be
seen: `course.thinned` keeps the lowest and the highest of each moment, and the number of moments falls as cells become
more, so that a page stays small whatever the run. Numbers have four digits.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bench import units
from bench.analysis.figures import course
from bench.analysis.figures.palette import DASHES, ordered, styles
from bench.analysis.figures.words import capital

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import pandas as pd

    from bench.analysis.estimates.cells import Cell, Panel
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

STEPS: dict[str, units.Steps] = {
    "duration": tuple((factor, f" {unit}") for factor, unit in units.DURATIONS),
    "size": tuple((factor, f" {unit}") for factor, unit in units.SIZES),
    "rate": ((1.0, "/s"),),
    "cores": ((1.0, ""),),
    "count": units.THOUSANDS,
}
"""How the script writes a number, by unit: factors with their suffixes, the largest first."""

MOST_MOMENTS, FEWEST_MOMENTS = 120, 8
NUMBERS = 150_000
"""So many numbers over time, about 0.8 MB, are on a page unless FEWEST_MOMENTS of each cell are more."""

TOGETHER = "all servers together"
"""Stands for a server, where servers of a block share what is measured."""

_UNITS = {"_ns": ("duration", 1.0), "_us_per_reply": ("duration", 1e3), "_bytes": ("size", 1.0)}


def live(run: Run, ranking: Ranking) -> dict[str, Any]:
    """Return what the script draws. `over_time` and `by_load` are empty where the run has nothing for them."""
    drawn = styles(ranking.servers, ranking.teaching)
    return {
        "servers": {name: {"role": style.role, "dash": _dash(name, drawn)} for name, style in drawn.items()}
        | {TOGETHER: {"role": "ink", "dash": []}},
        "steps": STEPS,
        "over_time": over_time(run, ranking),
        "by_load": by_load(ranking),
    }


def _dash(server: str, drawn: Mapping[str, Style]) -> list[float]:
    """Return the dashes of a server's line in pixels. Those that teach are all grey: they differ in dashes."""
    style = drawn[server]
    grey = [name for name in ordered(drawn) if drawn[name].grey]
    dash = DASHES[grey.index(server) % len(DASHES)] if style.grey else style.dash
    return [2 * part for part in dash]


def as_json(found: dict[str, Any]) -> str:
    """Write the value as JSON that may stand in a script element of HTML."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def over_time(run: Run, ranking: Ranking) -> list[dict[str, Any]]:
    """Return for each load its caption, its measures (title, unit, moments, series of each server), and a note.

    A series is a list of lows, of medians and of highs, an entry for each moment. None is not known, and False says
    that nothing was due at that moment, so that a line goes on over it. What servers of a block share has one series,
    named TOGETHER. The note names the measures that are left out, because they are not known or always 0.
    """
    found: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    zero: defaultdict[str, set[str]] = defaultdict(set)
    cells = len(run.measured[["server", "workload"]].drop_duplicates())
    room = NUMBERS // (3 * len(course.MEASURES) * max(cells, 1))
    most = min(max(room, FEWEST_MOMENTS), MOST_MOMENTS)
    points = course.points(run)
    in_blocks = set(run.slices["workload"])
    for measure in course.MEASURES:
        rows = points[measure.key]
        if measure.is_shared:
            rows = rows.assign(server=rows["server"].where(~rows["workload"].isin(in_blocks), TOGETHER))
        bins = {workload: max(min(most, number), 1) for workload, number in course.usual_points(rows).items()}
        moments, length = course.thinned(rows, bins)
        for workload, here in moments.groupby("workload"):
            name = str(workload)
            if (here["high"] == 0).any():
                zero[name].add(measure.key)
            at = [_short((number + 0.5) * length[name]) for number in range(bins[name])]
            if here["high"].any():
                series = {str(server): _series(mine, bins[name]) for server, mine in here.groupby("server")}
                found[name][measure.key] = {"title": measure.title, "unit": measure.unit, "x": at, "series": series}
    return [
        {
            "load": capital(ranking.sweep.load(panel, x)),
            "measures": list(found[workload].values()),
            "note": _note(found[workload], zero[workload]),
        }
        for panel in ranking.sweep.panels
        for workload, x in panel.places.items()
        if workload in found
    ]


def _note(drawn: Collection[str], zero: Collection[str]) -> str:
    """Say which measures are not drawn, by their keys, and why."""
    left = [measure for measure in course.MEASURES if measure.key not in drawn]
    groups = (
        ("Not known at this load", [one.title for one in left if one.key not in zero]),
        ("Always 0 at this load", [one.title for one in left if one.key in zero]),
    )
    return " ".join(f"{why}: {'; '.join(titles)}." for why, titles in groups if titles)


def _series(rows: pd.DataFrame, bins: int) -> list[list[float | bool | None]]:
    places = rows["bin"].clip(upper=bins - 1).tolist()
    found: list[list[float | bool | None]] = []
    for column in ("low", "value", "high"):
        line: list[float | bool | None] = [False] * bins
        for place, number in zip(places, rows[column].tolist(), strict=True):
            line[place] = _short(number)
        found.append(line)
    return found


def by_load(ranking: Ranking) -> list[dict[str, Any]]:
    """Return for each metric and each panel with several loads its caption, its axis, and the points of each server.

    The metric of the run's question is the first. Throughput is no result where all rates were given, and left out, as
    is what no cell knows. A point is its mean, the bounds of its interval, whether the mean is a lower bound, and the
    launches behind it.
    """
    panels = [panel for panel in ranking.sweep.panels if len(panel.places) > 1]
    shown = sorted(ranking.sweep.metrics, key=lambda metric: metric is not ranking.question)
    found = [_panel(ranking, metric, panel) for metric in shown for panel in panels]
    return [one for one in found if one["series"]]


def _panel(ranking: Ranking, metric: Metric, panel: Panel) -> dict[str, Any]:
    unit, factor = next(
        (found for end, found in _UNITS.items() if metric.column.endswith(end)),
        ("rate" if metric.column.endswith("_per_s") else "count", 1.0),
    )
    x = sorted(panel.places.values())
    here = [cell for cell in ranking.cells[metric.column] if cell.workload in panel.places and not cell.missing]
    by_server: defaultdict[str, dict[float, list[Any]]] = defaultdict(dict)
    for cell in here:
        by_server[cell.server][cell.x] = _point(cell, factor)
    setting = ranking.sweep.setting
    return {
        "metric": metric.title,
        "title": capital(metric.axis),
        "caption": capital(panel.label),
        "unit": unit,
        "log": metric.log,
        "setting": setting.title,
        "x": x,
        "ticks": [setting.tick(place) for place in x],
        "where": [ranking.sweep.phrase(panel, place) for place in x],
        "series": {server: [places.get(place) for place in x] for server, places in by_server.items()},
    }


def _point(cell: Cell, factor: float) -> list[Any]:
    estimate = cell.estimate
    mean, *bounds = _shorts(number * factor for number in (estimate.value, estimate.low, estimate.high))
    return [mean, *bounds, cell.lower_bound, _shorts(value * factor for value in cell.values)]  # noqa: PD011 - no frame


def _shorts(numbers: Iterable[float]) -> list[float | None]:
    return [_short(number) for number in numbers]


def _short(number: float) -> float | None:
    """Round to four digits; None for what is not known."""
    if not math.isfinite(number):
        return None
    short = float(f"{number:.4g}")
    return int(short) if short.is_integer() else short
