"""The trials as a whole table, for the formats that show every column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bench.experiment import schema

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run

KEPT = "status_detail"
"""Columns up to this one say what a trial was and how it ended; those after it are what it measured."""


def rows(run: Run) -> pd.DataFrame:
    """Return all trials; of one that was not measured, what was measured is NA, and its doubts stay."""
    trials = run.trials.copy()
    names = [column.name for column in schema.TRIALS]
    measurements = [name for name in names[names.index(KEPT) + 1 :] if name != "doubts"]
    trials.loc[~trials["trial"].isin(run.measured["trial"]), measurements] = pd.NA
    return trials
