"""The figure of the agents that shared the loads of a run: whether they loaded alike, and how far clocks are known.

Rates and times of an agent are divided by those of the median agent of the same trial, so that servers and workloads
may differ. Nothing here judges: the doubts of a trial are found when it is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench import units
from bench.analysis.figures.canvas import (
    LABEL_POINTS,
    MARGIN,
    WIDTH,
    Page,
    Words,
    fitting,
    nice_ticks,
    set_ticks,
    text_width,
)
from bench.analysis.figures.marks import dots

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.figure import Figure

    from bench.analysis.figures.palette import Theme
    from bench.analysis.runs.run_folder import Run

_ROW, _HEAD, _FOOT, _GAP = 0.3, 0.3, 0.3, 0.3
_LEAST_SPAN = 1.1
"""A scale of ratios reaches from 1 to so many times at least, either way: smaller differences look small."""

PHASE = (
    "Constant arrivals over several agents keep their phase only to the error of the clocks. Poisson arrivals add up."
)


class _Column(NamedTuple):
    name: str
    caption: str
    words: Callable[[float], str]


_COLUMNS = (
    _Column("rate", "replies per connection", units.ratio),
    _Column("p50", "median response time", units.ratio),
    _Column("p99", "p99 response time", units.ratio),
    _Column("error_ns", "clock known to \N{PLUS-MINUS SIGN}", units.duration),
)


def agents_figure(run: Run, theme: Theme) -> Figure | None:
    """Draw each agent's rate, percentiles and clock error, a dot for each trial. None if no trial had agents."""
    found = compared(run)
    if found.empty:
        return None
    names = list(dict.fromkeys(found["agent"]))
    page = Page(_words(run, found), theme, body=_HEAD + _ROW * len(names) + _FOOT)
    left = text_width(page.figure, names, size=LABEL_POINTS) + 0.12 + MARGIN
    width = (WIDTH - left - MARGIN) / len(_COLUMNS) - _GAP
    for place, column in enumerate(_COLUMNS):
        axes = page.axes(left + place * (width + _GAP), _HEAD, width, _ROW * len(names))
        page.caption(axes, column.caption)
        low, high = _scale(found[column.name], is_ratio=column.words is units.ratio)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(len(names) - 0.5, -0.5)
        set_ticks(axes, "x", fitting(axes, nice_ticks(low, high, log=True), column.words), column.words)
        set_ticks(axes, "y", range(len(names)) if not place else [], lambda row: names[int(row)])
        axes.grid(axis="x", color=theme.grid, linewidth=0.8)
        for row, name in enumerate(names):
            values = found.loc[found["agent"] == name, column.name].dropna()
            label = f"{name}: {column.name}"
            axes.plot(values, [row] * len(values), label=label, **dots(theme.ink) | {"markersize": 3.2})
            axes.plot([values.median()], [row], "|", color=theme.ink, markersize=11, label=f"{label} median")
    return page.figure


def compared(run: Run) -> pd.DataFrame:
    """Return a row for each measured trial and agent: rate per connection, p50 and p99 over the median agent's.

    The columns are `trial`, `agent`, `rate`, `p50`, `p99` (ratios) and `error_ns`.
    """
    rows = run.agents[run.agents["trial"].isin(run.measured["trial"])]
    known = rows[["trial", "agent"]].assign(
        rate=rows["replies_per_s"] / rows["connections"].where(rows["connections"] > 0),
        p50=rows["response_p50_ns"],
        p99=rows["response_p99_ns"],
    )
    ratios = ["rate", "p50", "p99"]
    middle = known.groupby("trial")[ratios].transform("median")
    known[ratios] /= middle.where(middle > 0)
    return known.assign(error_ns=rows["agent_clock_error_ns"]).astype(dict.fromkeys([*ratios, "error_ns"], float))


def _scale(values: pd.Series, *, is_ratio: bool) -> tuple[float, float]:
    known = values[values > 0]
    low, high = (float(known.min()), float(known.max())) if len(known) else (1.0, 1.0)
    if is_ratio:
        return min(low, 1 / _LEAST_SPAN) / 1.02, max(high, _LEAST_SPAN) * 1.02
    return low / 2, high * 2


def _words(run: Run, found: pd.DataFrame) -> Words:
    subtitle = (
        "Rates and response times of an agent, over those of the median agent of the same trial; at the right, how well"
        " its clock is known. Dot: one trial; stroke: their median."
    )
    trials = run.measured[run.measured["trial"].isin(found["trial"])]
    return Words(_title(found), subtitle, (PHASE,) if (trials["arrivals"] == "constant").any() else ())


def _title(found: pd.DataFrame) -> str:
    rates = found.groupby("agent", sort=False)["rate"].median()
    agents, off = units.plural(len(rates), "agent"), (rates - 1).abs().dropna()
    if len(rates) == 1 or off.empty:
        return f"{agents} made the load"
    name = str(off.idxmax())
    return f"{agents}: {name} is furthest off, at {units.ratio(float(rates[name]))} times the median agent's rate"
