"""Several runs on one page: each cell as a ratio to the baseline of its own run, with a row for each run.

The file asks no host for anything and has no script. What may be compared, and what lies apart, is decided in
`comparing.side_by_side`. No number is computed here but places in a drawing.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bench import units
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.figures.canvas import nice_ticks
from bench.analysis.report.page import REPORT_FILE
from bench.analysis.report.template import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.comparing.side_by_side import Cell, Side, SideBySide
    from bench.analysis.runs.run_folder import Run

WIDTH, EDGE, ROW, AXIS = 400.0, 30.0, 22.0, 26.0
"""Sizes of a forest, in the units of its view box."""

MARK = '<meta name="generator" content="echobench report of several runs">'
"""Stands in the head of a page of this kind, by which an earlier one is known."""


def render(found: SideBySide, folder: Path) -> str:
    """Render the page of several runs. Links lead from `folder`, where the page will be."""
    return filled(
        "several.html.j2",
        title=_title(found),
        mark=Markup(MARK),  # noqa: S704 - it is our own
        baseline=found.baseline,
        level=units.share(LEVEL),
        runs=[_run(name, run, folder) for name, run in found.runs.items()],
        cells=[_cell(cell, found.baseline) for cell in sorted(found.cells, key=lambda cell: not cell.apart)],
    )


def is_ours(file: Path) -> bool:
    """Say whether a file is an earlier page of several runs, which a new one may replace. Raises OSError."""
    return file.is_file() and MARK in file.read_text(encoding="utf-8", errors="replace")


def _title(found: SideBySide) -> str:
    apart = sum(bool(cell.apart) for cell in found.cells)
    runs, ratios = units.plural(len(found.runs), "run"), units.plural(len(found.cells), "ratio")
    if apart:
        return f"{runs}: differences beyond the intervals in {apart} of {ratios} to {found.baseline}"
    if all(cell.is_untold for cell in found.cells):
        return f"{runs}: it cannot be told whether the ratios to {found.baseline} differ"
    return f"{runs}: no ratio to {found.baseline} is seen to differ beyond the intervals"


def _run(name: str, run: Run, folder: Path) -> dict[str, Any]:
    machine, python = run.info.get("machine", {}), run.info.get("interpreter", {})
    report, libraries = run.path / REPORT_FILE, run.info.get("libraries", {})
    return {
        "name": name,
        "link": Path(os.path.relpath(report, folder.resolve())).as_posix() if report.is_file() else "",
        "started_at": run.info.get("started_at", ""),
        "commit": (run.commit or "")[:9],
        "machine": " · ".join(str(machine[key]) for key in ("cpu_model", "kernel") if machine.get(key)),
        "python": " ".join(str(python[key]) for key in ("implementation", "version") if python.get(key)),
        "libraries": ", ".join(f"{library} {version}" for library, version in sorted(libraries.items()) if version),
    }


def _cell(cell: Cell, baseline: str) -> dict[str, Any]:
    return {
        "name": f"{cell.server}, {cell.workload}: {cell.metric.noun}",
        "baseline": baseline,
        "better": "More is better." if cell.metric.larger_is_better else "Less is better.",
        "said": _said(cell),
        "untold": [f"{side.run} cannot be told: {side.reason}." for side in cell.untold],
        "rows": [_row(side) for side in cell.sides],
        "forest": _forest(cell.sides),
    }


def _said(cell: Cell) -> str:
    if cell.apart:
        pairs = units.listed(f"{high.run} is above {low.run}" for low, high in cell.apart)
        return f"It differs beyond the intervals: {pairs}."
    if cell.is_untold:
        return "It cannot be told whether the runs differ."
    return "No difference is seen beyond the intervals. A smaller one may be there."


def _row(side: Side) -> dict[str, Any]:
    if side.ratio is None:
        return {"run": side.run, "ratio": units.NOT_KNOWN, "made_of": ""}
    made_of = f"{units.plural(len(side.ratio.values), side.ratio.pairing.unit)}, by {side.ratio.pairing.of}"
    return {"run": side.run, "ratio": units.estimate(side.ratio.estimate, units.ratio), "made_of": made_of}


def _forest(sides: Sequence[Side]) -> dict[str, Any]:
    """Return what a forest draws: on a logarithmic axis, for each run its ratio with its interval, and a line at 1."""
    found = [side.ratio.estimate for side in sides if side.ratio is not None]
    drawn = [1.0, *(one.value for one in found), *(end for one in found if one.bounded for end in (one.low, one.high))]
    low, high = math.log(min(drawn)), math.log(max(drawn))
    margin = 0.08 * (high - low) or 0.1
    span = high - low + 2 * margin

    def x(ratio: float) -> float:
        return round(EDGE + (WIDTH - 2 * EDGE) * (math.log(ratio) - low + margin) / span, 1)

    rows = []
    for number, side in enumerate(sides, start=1):
        one = None if side.ratio is None else side.ratio.estimate
        rows.append(
            {
                "run": side.run,
                "text": "no ratio" if one is None else units.estimate(one, units.ratio),
                "y": ROW * number,
                "x": None if one is None else x(one.value),
                "interval": None if one is None or not one.bounded else (x(one.low), x(one.high)),
                "told": not side.reason,
            }
        )
    ticks = nice_ticks(math.exp(low - margin), math.exp(high + margin), log=True)
    return {
        "width": WIDTH,
        "bottom": ROW * (len(sides) + 0.6),
        "height": ROW * (len(sides) + 0.6) + AXIS,
        "one": x(1.0),
        "rows": rows,
        "ticks": [(x(tick), units.number(tick)) for tick in ticks],
    }
