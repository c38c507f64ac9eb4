"""The tables of a run, with exactly the columns of `schema.py`: made of records, written as parquet and read back.

What is missing stays NA. Only the doubt about modes is computed here, because it needs all trials of a cell at once.
Whether a table or the records are believed is decided in `run_folder.py`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

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

_ROWS_HELD = 1_000
"""Rows of a table, and those of a record more, that wait until they become columns together."""

_ARROW = {"string": pa.string(), "Int64": pa.int64(), "Float64": pa.float64(), "boolean": pa.bool_()}
_PANDAS = {arrow: pd.api.types.pandas_dtype(name) for name, arrow in _ARROW.items()}

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
    parts = {name: _Growing(schema.TABLES[name], shared) for name, (_, shared) in _PART_OF.items()}
    for record in records:
        trial = {name: as_text(value) for name, value in _trial_row(run, record).items()}
        trials.add([trial])
        for name, (part, _) in _PART_OF.items():
            if rows := record.get(part):
                parts[name].add(rows, trial)
    return {"trials": trials.frame(), **{name: table.frame() for name, table in parts.items()}}


class _Growing:
    """A table that grows by the rows of a record. What it keeps of them are numbers, and not an object for each."""

    def __init__(self, columns: tuple[Column, ...], shared: tuple[str, ...] = ()) -> None:
        """Take the columns of the table; `shared` names those whose value all rows of a record have."""
        self._order = [column.name for column in columns]
        self._shared = [column for column in columns if column.name in shared]
        self._own = [column for column in columns if column.name not in shared]
        self._rows: list[Mapping[str, Any]] = []
        self._owners: list[Mapping[str, Any]] = []
        self._rows_of_each: list[int] = []
        self._batches: list[pa.RecordBatch] = []

    def add(self, rows: Sequence[Mapping[str, Any]], owner: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Add rows; what a row lacks is NA. `owner` has the values of the shared columns, and may have others.

        Raises MeasurementError for a column that nobody documented.
        """
        self._rows.extend(rows)
        self._owners.append({column.name: owner[column.name] for column in self._shared})
        self._rows_of_each.append(len(rows))
        if len(self._rows) >= _ROWS_HELD:
            self._pack()

    def _pack(self) -> None:
        if unknown := set().union(*self._rows) - set(self._order):
            raise MeasurementError(
                f"no such column: {', '.join(sorted(unknown))}; every column is described in the schema"
            )
        owner_of_row = np.repeat(np.arange(len(self._owners)), self._rows_of_each)
        of_owners = {name: array.take(owner_of_row) for name, array in _arrays(self._owners, self._shared).items()}
        arrays = of_owners | _arrays(self._rows, self._own)
        self._batches.append(pa.RecordBatch.from_pydict({name: arrays[name] for name in self._order}))
        self._rows, self._owners, self._rows_of_each = [], [], []

    def frame(self) -> pd.DataFrame:
        """Return the table as a frame of exactly its columns. Nothing can be added to it after that."""
        self._pack()
        whole = pa.Table.from_batches(self._batches).combine_chunks()
        self._batches = []
        frame: pd.DataFrame = whole.to_pandas(types_mapper=_PANDAS.get, self_destruct=True)
        return frame


def _arrays(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> dict[str, pa.Array]:
    """Return rows as columns. What Arrow is strict about, such as 5.0 for a count, pandas takes."""
    names = [column.name for column in columns]
    try:
        whole = pa.array(rows, type=pa.struct([(one.name, _ARROW[one.dtype]) for one in columns]), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        by_name = ((one, [row.get(one.name) for row in rows]) for one in columns)
        return {one.name: pa.array(pd.Series(values, dtype=one.dtype).array) for one, values in by_name}
    return dict(zip(names, whole.flatten(), strict=True))


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
    types = {column.name: column.dtype for column in columns}
    return frame.reindex(columns=list(types)).astype(types)


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
