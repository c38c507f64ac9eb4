"""A run folder as tidy frames: trials, slices, timeline, monitor, with exactly the columns of `schema.py`.

The records of the trials are read and written as parquet, which is read back. Only the doubt about modes is computed
here, because it needs all trials of a cell at once. What is missing stays NA. No statistics, no plots, no words for
people.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.runs.modes import has_modes
from bench.errors import MeasurementError, UsageError
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status
from bench.experiment.store import INFO_FILE, LATENCY_FILE, TRIALS_FOLDER
from bench.files import replacing
from bench.metrics import P50, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bench.experiment.schema import Column


_MODES_OF = (THROUGHPUT, P50)
"""The metrics that may show two groups of trials: throughput in a closed loop, response time where a rate is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as read from its folder: `info` is run.json, each frame has the columns of `schema.py`, typed so."""

    path: Path
    info: Mapping[str, Any]
    trials: pd.DataFrame
    timeline: pd.DataFrame
    monitor: pd.DataFrame
    slices: pd.DataFrame

    @property
    def id(self) -> str:
        """Name of the run: that of its folder."""
        return self.path.name

    @property
    def measured(self) -> pd.DataFrame:
        """The trials that carry numbers worth comparing."""
        return self.trials[self.trials["status"] == Status.MEASURED]

    @property
    def planned(self) -> list[tuple[str, str]]:
        """The cells (server, workload) of the plan, whether they were measured or not."""
        return [(cell["server"], cell["workload"]) for cell in self.info.get("cells", ())]

    @property
    def latency_log(self) -> Path:
        """The HDR interval log, which a run without a single reply does not have."""
        return self.path / LATENCY_FILE


def assemble(run_dir: Path) -> None:
    """Write the parquet files of the run from its records, each atomically.

    Raises UsageError if this is no run folder or one of a newer schema, MeasurementError if no trial has ended or a
    record cannot be read.
    """
    read_info(run_dir)
    for name, frame in _frames(run_dir).items():
        with replacing(run_dir / f"{name}.parquet") as part:
            frame.to_parquet(part, index=False)


def load(run_dir: Path, *, from_records: bool = False) -> Run:
    """Read a run: from its parquet files, or from its records where these were not assembled yet or it is asked for.

    Raises what `assemble` raises, and UsageError if a parquet file lacks a column.
    """
    info = read_info(run_dir)
    if not from_records and (run_dir / "trials.parquet").is_file():
        version = info["schema_version"]
        frames = {
            name: _read_table(run_dir / f"{name}.parquet", columns, version) for name, columns in schema.TABLES.items()
        }
    else:
        frames = _frames(run_dir)
    if frames["trials"].empty:
        raise MeasurementError(f"{run_dir} holds no trial: nothing was measured yet")
    return Run(path=run_dir.resolve(), info=info, **frames)


def has_records(run_dir: Path) -> bool:
    """Whether the folder still has the records its parquet files came from; a published run may lack them."""
    return any((run_dir / TRIALS_FOLDER).glob("*.json"))


def read_info(run_dir: Path) -> dict[str, Any]:
    """Read run.json. Raise UsageError if it is not there, is no JSON object, or was written by a newer version."""
    path = run_dir / INFO_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{run_dir} is not a run: there is no {INFO_FILE} in it; give the folder of one run") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}): restore it, or repeat the run") from None
    if not isinstance(info, dict):
        raise UsageError(f"{path} must hold one JSON object")
    version = info.get("schema_version")
    if not isinstance(version, int):
        raise UsageError(f"{path} has no schema_version: it was not written by a run")
    if version > schema.SCHEMA_VERSION:
        raise UsageError(
            f"{run_dir} was written with schema {version}, and this echobench reads up to {schema.SCHEMA_VERSION}: "
            "upgrade echobench"
        )
    return info


def _frames(run_dir: Path) -> dict[str, pd.DataFrame]:
    """Return the frames of a run from its records, in the order of the trials."""
    rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in schema.TABLES}
    for path in sorted((run_dir / TRIALS_FOLDER).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            row = _trial_row(run_dir.resolve().name, record)
        except (ValueError, KeyError, TypeError) as error:
            raise MeasurementError(f"{path} is not the record of a trial ({error!r}): remove it and resume") from error
        key = {"run": row["run"], "trial": row["trial"]}
        rows["trials"].append(row)
        rows["timeline"].extend({**piece, **key} for piece in record["timeline"])
        rows["monitor"].extend({**sample, **key} for sample in record["samples"])
        whose = key | {name: row[name] for name in ("block", "server", "workload")}
        rows["slices"].extend({**one, **whose} for one in record.get("slices", ()))
    if not rows["trials"]:
        raise MeasurementError(f"{run_dir} holds no trial: nothing was measured yet")
    frames = {name: _frame(rows[name], columns) for name, columns in schema.TABLES.items()}
    frames["trials"] = _with_modes(frames["trials"].sort_values("trial", ignore_index=True))
    return frames


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


def _frame(rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...]) -> pd.DataFrame:
    """Return rows as a frame of exactly these columns; what a row lacks is NA. Raise on a column nobody documented."""
    names = [column.name for column in columns]
    frame = pd.DataFrame.from_records(list(rows), columns=None if rows else names)
    unknown = set(frame.columns) - set(names)
    if unknown:
        raise MeasurementError(f"no such column: {', '.join(sorted(unknown))}; every column is described in the schema")
    return _typed(frame.reindex(columns=names), columns)


def _typed(frame: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    return frame.astype({column.name: column.dtype for column in columns})


def _read_table(path: Path, columns: tuple[Column, ...], version: int) -> pd.DataFrame:
    """Read a table; a column that its version did not have yet is NA."""
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        if all(column.since > version for column in columns):  # a table that its version did not have yet
            return _frame([], columns)
        raise UsageError(f"{path} is missing: rebuild it with `echobench report {path.parent}`") from None
    missing = [column.name for column in columns if column.since <= version and column.name not in frame]
    if missing:
        raise UsageError(f"{path} lacks {', '.join(missing)}: rebuild it with `echobench report {path.parent}`")
    return _typed(frame.reindex(columns=[column.name for column in columns]), columns)


def _with_modes(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with the doubt about modes added to each measured trial of a cell that has them."""
    measured = trials[trials["status"] == Status.MEASURED]
    split: list[int] = []
    for _, cell in measured.groupby(["server", "workload"], sort=False):
        values = (cell[metric.column].dropna() for metric in _MODES_OF)
        if any(has_modes(present[present > 0].to_numpy(dtype=float)) for present in values):
            split.extend(cell.index)
    doubts = trials["doubts"].copy()
    doubts[split] = [",".join(filter(None, (*text.split(","), Doubt.MODES))) for text in doubts[split]]
    return trials.assign(doubts=doubts)
