"""The words of a figure: the answer as title, how to read it as subtitle, what is not there as notes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.answer import sentence
from bench.analysis.plots_canvas import Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.analysis.answer import Digest
    from bench.analysis.table import Cell, Metric


def metric_words(digest: Digest, metric: Metric) -> Words:
    """Return title, subtitle and notes of a figure that shows one metric of every cell."""
    found = digest.cells[metric.column]
    standing = digest.headline(metric)
    return Words(
        title=sentence(standing, digest.sweep) if standing else f"{metric.title}: no trial could be measured",
        subtitle=" ".join([f"{capital(metric.axis)}.", *shared_load(digest), _reading(found)]),
        notes=tuple(_notes(found, digest)),
    )


def shared_load(digest: Digest) -> list[str]:
    """Say what all workloads of a run share, if its figures have but one panel and so no caption."""
    panels = digest.sweep.panels
    return [f"{capital(panels[0].label)}."] if len(panels) == 1 else []


def capital(text: str) -> str:
    """Write the first letter large and leave the others alone."""
    return text[:1].upper() + text[1:]


def listed(parts: Iterable[str]) -> str:
    """Write `a`, `a and b` or `a, b and c`, each once."""
    unique = list(dict.fromkeys(parts))
    return " and ".join(filter(None, (", ".join(unique[:-1]), unique[-1])))


def trials_behind(found: Sequence[Cell]) -> str:
    """Say on how many trials a cell's number stands: `5 trials`, `3 to 5 trials`, `a single trial`."""
    counts = sorted({cell.measured for cell in found if not cell.missing}) or [0]
    if counts == [1]:
        return "a single trial"
    return f"{counts[0]} trials" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} trials"


def _reading(found: Sequence[Cell]) -> str:
    if not any(cell.estimate.bounded for cell in found):
        return f"Point: {trials_behind(found)}, so there is no interval."
    level = units.percent(found[0].estimate.level, signed=False)
    return f"Point: mean of {trials_behind(found)}, bar: {level} interval, dot: one trial."


def _notes(found: Sequence[Cell], digest: Digest) -> Iterable[str]:
    """Say which cells have no number, and which are only a lower bound, at which loads."""
    missing: defaultdict[str, list[str]] = defaultdict(list)
    bounded: defaultdict[str, list[str]] = defaultdict(list)
    for cell in found:
        if cell.missing:
            why = listed(cell.statuses) if cell.statuses else "not known"
            missing[f"{cell.server} ({why})"].append(digest.sweep.axis.tick(cell.x))
        elif cell.lower_bound:
            bounded[cell.server].append(digest.sweep.axis.tick(cell.x))
    for mark, cells in (
        ("\N{MULTIPLICATION SIGN}  No number", missing),
        ("\N{UPWARDS ARROW}  At least this much, since the load generator was the limit", bounded),
    ):
        if cells:
            where = "; ".join(f"{who} at {listed(places)}" for who, places in cells.items())
            yield f"{mark}: {where} {digest.sweep.axis.title}."
