"""A run folder as a value: its description, and tidy frames with exactly the columns of `schema.py`.

The records of the trials are read and written as parquet, which is read back. Disks tear files, and people lose some.
So what cannot be read is named, and what is whole is used. No statistics, no plots, and no words for people but those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.runs import damage, tables
from bench.errors import MeasurementError, UsageError, unwritable
from bench.experiment import schema
from bench.experiment.model import Status
from bench.experiment.records import INFO_FILE, each_record, record_files, run_info
from bench.experiment.store import LATENCY_FILE
from bench.files import replacing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import pandas as pd

    from bench.analysis.runs.tables import Tables


class TornInfoError(UsageError):
    """A run.json that says nothing of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as read from its folder: `info` is run.json, each frame has the columns of `schema.py`, typed so.

    `damage` has a sentence for each thing in the folder that is torn or missing, and what becomes of its trial.
    """

    path: Path
    info: Mapping[str, Any]
    trials: pd.DataFrame
    timeline: pd.DataFrame
    monitor: pd.DataFrame
    slices: pd.DataFrame
    agents: pd.DataFrame
    damage: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Name of the run: that of its folder."""
        return self.path.name

    @property
    def commit(self) -> str | None:
        """The commit of the folder that the run was made in; None outside git, or where run.json does not know it."""
        revision: str | None = (self.info.get("git") or {}).get("revision")
        return revision

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


def write_tables(run: Run) -> None:
    """Write the frames of a run to its parquet files. Raises UsageError, or MeasurementError if there is no room."""
    try:
        for name in schema.TABLES:
            with replacing(run.path / f"{name}.parquet") as part, part.open("wb") as file:
                getattr(run, name).to_parquet(file, index=False)
    except OSError as error:
        raise unwritable(run.path, error, "choose another folder for a report with --out") from error


def load(run_dir: Path, *, from_records: bool = False) -> Run:
    """Read a run: from its parquet files, or from its records where these know more, or where it is asked for.

    A trial whose record is torn or missing is taken from the parquet files if they have it. A parquet file that cannot
    be read is made again of the records. Both are said in `damage`. Raises UsageError if this is no run folder or one
    of a newer schema, MeasurementError if it holds no trial that can be read.
    """
    info, said = _info(run_dir)
    stored, unread = _stored(run_dir, info["schema_version"])
    files = record_files(run_dir)
    torn: dict[str, str] = {}
    if files and (from_records or _is_behind(run_dir, stored, files.values())):
        found = tables.of_records(run_dir.resolve().name, (one for _, one in each_record(run_dir, torn)))
        whole, instead = set(map(int, found["trials"]["trial"])), "it is made again of the records"
        found = tables.joined(found, stored) if "trials" in stored else found
    else:
        found, whole, instead = {**tables.empty(), **stored}, set(files), "what it holds is left out"
    trials = found["trials"]
    said += [f"{name}: {why}; {instead}" for name, why in unread.items()]
    if files or torn:
        said += damage.of_records(_wanted(info, stored, whole), whole, torn, set(trials["trial"]))
    if trials.empty:
        raise MeasurementError("; ".join([f"{run_dir} holds no trial: nothing was measured yet", *said]))
    found["trials"] = tables.with_modes(trials)
    measured = trials.loc[trials["status"] == Status.MEASURED, "trial"]
    said += damage.of_latency(run_dir / LATENCY_FILE, set(measured))
    return Run(path=run_dir.resolve(), info=info, damage=tuple(said), **found)


def _info(run_dir: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what run.json says. If it is torn, return that as a sentence, where records say the rest."""
    try:
        return read_info(run_dir), []
    except TornInfoError as error:
        if not record_files(run_dir):
            raise
        lost = "the plan, the machine and the versions of this run are not known"
        return {"schema_version": schema.SCHEMA_VERSION}, [f"{error}; {lost}"]


def _stored(run_dir: Path, version: int) -> tuple[Tables, dict[str, str]]:
    """Return the tables that can be read from their files, and why each other file cannot be.

    Of a run whose tables were not made yet, neither has an entry.
    """
    found: Tables = {}
    unread: dict[str, str] = {}
    if not any((run_dir / f"{name}.parquet").exists() for name in schema.TABLES):
        return found, unread
    for name, columns in schema.TABLES.items():
        path = run_dir / f"{name}.parquet"
        try:
            found[name] = tables.read(path, columns, version)
        except FileNotFoundError:
            unread[path.name] = "it is missing"
        except (OSError, ValueError) as error:
            unread[path.name] = f"it cannot be read ({str(error).splitlines()[0]})"
    return found, unread


def _is_behind(run_dir: Path, stored: Tables, files: Collection[Path]) -> bool:
    """Whether the records know more than the tables: one that cannot be read, or a trial that was kept since."""
    if set(stored) != set(schema.TABLES):
        return True
    try:
        newest_ns = max(path.stat().st_mtime_ns for path in files)
    except OSError:  # a record that is a link to nowhere
        return True
    known = {int(number) for number in stored["trials"]["trial"]}
    is_newer = newest_ns > (run_dir / "trials.parquet").stat().st_mtime_ns
    return is_newer or not {int(path.stem) for path in files} <= known


def _wanted(info: Mapping[str, Any], stored: Tables, whole: Collection[int]) -> set[int]:
    """Return the numbers of all trials that were ever kept, as far as anything left knows: they count from 1."""
    known = {*whole, *(map(int, stored["trials"]["trial"]) if "trials" in stored else ())}
    counted = info.get("trials")
    return known | set(range(1, 1 + max([*known, counted if isinstance(counted, int) else 0])))


def has_records(run_dir: Path) -> bool:
    """Whether the folder still has the records its parquet files came from; a published run may lack them."""
    return bool(record_files(run_dir))


def read_info(run_dir: Path) -> dict[str, Any]:
    """Read run.json. Raise UsageError if it is not there, is no JSON object, or was written by a newer version."""
    path = run_dir / INFO_FILE
    try:
        info = run_info(run_dir)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{run_dir} is not a run: there is no {INFO_FILE} in it; give the folder of one run") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise TornInfoError(f"{path} {error}: restore it, or repeat the run") from None
    version: int = info["schema_version"]
    if version > schema.SCHEMA_VERSION:
        raise UsageError(
            f"{run_dir} was written with schema {version}, and this echobench reads up to {schema.SCHEMA_VERSION}: "
            "upgrade echobench"
        )
    return info


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain values by column; None where one is NA."""
    names = list(frame.columns)
    columns = [plain(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(column: pd.Series) -> list[Any]:
    """Return the values of a column, None where one is NA: quicker than to ask a row for each of its values."""
    found, missing = column.tolist(), column.isna().to_numpy()
    return [None if gone else value for value, gone in zip(found, missing, strict=True)] if missing.any() else found
