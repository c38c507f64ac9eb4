"""The tables of a run, with exactly the columns of `schema.py`: made of records, written as parquet and read back.

What is missing stays NA. Only the doubt about modes is computed here, because it needs all trials of a cell at once.
Whether a table or the records are believed is decided in `run_folder.py`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.runs.modes import has_modes
from bench.errors import MeasurementError
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status
from bench.files import as_text
from bench.metrics import P50, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.experiment.schema import Column

_PART_OF = {
    "timeline": ("timeline", ("run", "trial")),
    "monitor": ("samples", ("run", "trial")),
    "slices": ("slices", ("run", "trial", "block", "server", "workload")),
    "agents": ("agents", ("run", "trial")),
}
"""The tables whose rows are parts of a trial: where a record has them, and the columns that they have of the trial."""

Tables = dict[str, pd.DataFrame]
"""The frames of a run by the names of `schema.TABLES`."""

_MODES_OF = (THROUGHPUT, P50)
"""The metrics that may show two groups of trials: throughput in a closed loop, response time where a rate is given."""


def of_records(run: str, records: Iterable[Mapping[str, Any]]) -> Tables:
    """Return the tables of records that are whole, in the order of the trials; `run` is the id of the run.

    Of an iterator, one record is held at a time. Raises MeasurementError for a metric that the schema does not
    describe.
    """
    trials = _Growing(schema.TRIALS)
    parts = {name: _Growing(schema.TABLES[name]) for name in _PART_OF}
    for record in records:
        trial = {name: as_text(value) for name, value in _trial_row(run, record).items()}
        trials.add([trial])
        for name, (part, keys) in _PART_OF.items():
            parts[name].add(record.get(part, ()), {key: trial[key] for key in keys})
    return {"trials": trials.frame(), **{name: table.frame() for name, table in parts.items()}}


class _Growing:
    """A table that grows by the rows of a record, and keeps none of them: a list of values for each column."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        self._values: dict[str, list[Any]] = {column.name: [] for column in columns}

    def add(self, rows: Sequence[Mapping[str, Any]], shared: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Add rows; what a row lacks is NA. `shared` has the values by column that all of them have.

        Raises MeasurementError for a column that nobody documented.
        """
        unknown = {*shared}.union(*rows) - self._values.keys()
        if unknown:
            raise MeasurementError(
                f"no such column: {', '.join(sorted(unknown))}; every column is described in the schema"
            )
        for row in rows:
            whole = {**row, **shared}
            for name, values in self._values.items():
                values.append(whole.get(name))

    def frame(self) -> pd.DataFrame:
        """Return the table as a frame of exactly its columns. Nothing can be added to it after that."""
        return pd.DataFrame(
            {one.name: pd.Series(self._values.pop(one.name), dtype=one.dtype) for one in self._columns}, copy=False
        )


def empty() -> Tables:
    """Return the tables without a row."""
    return of_records("", ())


def joined(tables: Tables, more: Tables) -> Tables:
    """Return tables with the rows of others that the first have no trial for, in the order of the trials."""
    here = set(tables["trials"]["trial"])
    found = dict(tables)
    for name, table in more.items():
        missing = table[~table["trial"].isin(here)]
        if not missing.empty:
            both = pd.concat([tables[name], missing]) if len(tables[name]) else missing
            found[name] = both.sort_values("trial", kind="stable", ignore_index=True)
    return found


def _trial_row(run: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a record: what the trial was, how it ended, and its metrics under their column names."""
    trial = record["trial"]
    workload = trial["workload"]
    asked = (
        *("connections", "message_bytes", "pipeline", "requests_per_connection", "think_s"),
        *("arrivals", "rate_per_s", "warmup_s"),
    )
    return {
        "run": run,
        "trial": trial["number"],
        "round": trial["round"],
        "block": trial.get("block"),
        "server": trial["server"]["name"],
        "interpreter": trial["server"].get("interpreter"),
        "workload": trial["workload_name"],
        **{name: workload[name] for name in asked},
        "started_at": record["started_at"] or None,
        "status": record["status"],
        "status_detail": record["detail"],
        **record["metrics"],
        "doubts": ",".join(record["doubts"]),
    }


def _typed(frame: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    return frame.astype({column.name: column.dtype for column in columns})


def read(path: Path, columns: tuple[Column, ...], version: int) -> pd.DataFrame:
    """Read a table from its file; a column that its version did not have yet is NA.

    Raises OSError or ValueError if there is no such file, or if it cannot be read, or lacks a column.
    """
    if not path.is_file() and all(column.since > version for column in columns):
        return _Growing(columns).frame()  # a table that its version did not have yet
    with path.open("rb") as file:  # pyarrow takes no path that is no UTF-8
        frame = pd.read_parquet(file)
    missing = [column.name for column in columns if column.since <= version and column.name not in frame]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return _typed(frame.reindex(columns=[column.name for column in columns]), columns)


def with_modes(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with the doubt about modes added to each measured trial of a cell that has them."""
    measured = trials[trials["status"] == Status.MEASURED]
    known = [measured[metric.column].to_numpy(dtype=float, na_value=math.nan) for metric in _MODES_OF]
    split: list[int] = []
    for cell in measured.groupby(["server", "workload"]).indices.values():
        if any(has_modes(values[cell][values[cell] > 0]) for values in known):
            split.extend(measured.index[cell])
    codes = [[code for code in text.split(",") if code not in {"", Doubt.MODES}] for text in trials["doubts"]]
    doubts = trials["doubts"].copy()
    doubts[:] = [",".join(own) for own in codes]
    doubts[split] = [",".join(filter(None, (*text.split(","), Doubt.MODES))) for text in doubts[split]]
    return trials.assign(doubts=doubts)
