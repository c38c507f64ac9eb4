"""Made-up histories of cells: a value per night, with levels between given nights. Nothing is measured or computed."""

import itertools
import math

from bench.analysis.comparing.many_runs import CellHistory, Change, Level, Point, Step
from bench.analysis.comparing.two_runs import Impression
from bench.analysis.report.history import History
from bench.errors import ExitCode
from bench.stats import Estimate


def night(number):
    return f"202611{number + 1:02}T030000-nightly"


def cell(values, *, changes=(), breaks=(), server="threads", against="coroutines", width=0.02, commits=True, **info):
    """Return a cell with a level between the given changes and breaks; the last change is its step, if it moved."""
    points = tuple(
        Point(
            run=night(number),
            started_at=f"2026-11-{number + 1:02}T03:00:00Z" if commits else night(number),
            commit=f"{number:02}" * 20 if commits else "",
            median=Estimate(value, value * (1 - width), value * (1 + width), 0.95),
        )
        for number, value in enumerate(values)
    )
    edges = [0, *sorted([*changes, *breaks]), len(values)]
    levels = tuple(
        Level(first=night(low), last=night(high - 1), median=Estimate(values[low], math.nan, math.nan, 0.95))
        for low, high in itertools.pairwise(edges)
        if high > low
    )
    look = info.pop("impression", Impression.LOOKS_SLOWER if changes else Impression.LOOKS_ALIKE)
    moved = values[-1] / values[changes[-1] - 1] if changes else 1.0
    step = Step(since=night(changes[-1]), ratio=Estimate(moved, moved * 0.99, moved * 1.01, 0.95)) if changes else None
    return CellHistory(
        server=server,
        workload="c16",
        metric="server_cpu_us_per_reply",
        against=against,
        points=points,
        levels=levels,
        changes=tuple(Change(run=night(at), ratio=values[at] / values[at - 1], p=0.0005) for at in changes),
        step=step,
        breaks=tuple((night(at), "libraries.trio is '1' in one and '2' in the other") for at in breaks),
        alike=False,
        impression=look,
        reason="as made up",
    )


def history(*cells, code=ExitCode.FINE, left_out=()):
    newest = max(point.run for one in cells for point in one.points)
    return History(
        cells=cells, code=code, baseline="coroutines", newest=newest, left_out=left_out, command="echobench history x"
    )
