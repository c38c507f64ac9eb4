"""The whole table of trials, for the formats that show every column. Nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bench.experiment import schema

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run

KEPT = "status_detail"
"""Columns up to this one say what a trial was and how it ended. Those after it hold what was measured."""


def rows(run: Run) -> pd.DataFrame:
    """Return all trials. If a trial was not measured, its metrics are NA and its doubts stay."""
    trials = run.trials.copy()
    names = [column.name for column in schema.TRIALS]
    measurements = [name for name in names[names.index(KEPT) + 1 :] if name != "doubts"]
    trials.loc[~trials["trial"].isin(run.measured["trial"]), measurements] = pd.NA
    return trials
