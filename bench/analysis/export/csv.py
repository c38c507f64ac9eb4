"""One row per trial, every column.

A trial that was not measured keeps its row and loses its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.analysis.export._table import rows

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run


def render(run: Run) -> dict[str, str]:
    """Return one file; NA is an empty field."""
    return {"trials.csv": rows(run).to_csv(index=False)}
