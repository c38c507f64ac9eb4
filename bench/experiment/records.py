"""The records of a run: a JSON file for each trial, from which tables and plots are made. Writes nothing.

A record that is torn, or that is of another trial, is told from those that are whole.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from bench.experiment.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bench.experiment.model import TrialResult

TRIALS_FOLDER = "trials"

_OF_A_RECORD = {"trial", "status", "detail", "started_at", "metrics", "doubts", "timeline", "samples"}
_OF_A_TRIAL = {"number", "round", "server", "workload_name", "workload"}


def record(result: TrialResult) -> dict[str, Any]:
    """Return all that is kept of a trial, but its interval lines, as JSON types.

    Its rows are not copied: there are hundreds of slices, and the servers of the next block are being started.
    """
    kept = (one.name for one in dataclasses.fields(result) if one.name not in {"trial", "hlog"})
    trial = {**dataclasses.asdict(result.trial), "workload": result.trial.workload.to_json()}
    return {"trial": trial, **{name: getattr(result, name) for name in kept}}


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a run that are whole, by the number of the trial and in its order; and why each other file is not.

    `torn` has the reasons by the name of the file.
    """

    whole: dict[int, dict[str, Any]]
    torn: dict[str, str]


def record_files(run: Path) -> dict[int, Path]:
    """Return the files of a run's records by the number of the trial, in its order, without a look into them."""
    return {int(path.stem): path for path in sorted(_record_paths(run), key=_number) if path.stem.isdecimal()}


def read_records(run: Path) -> Records:
    """Read the records of a run, and hold all of them: 20 kB for each trial of ten slices."""
    torn: dict[str, str] = {}
    return Records(dict(each_record(run, torn)), torn)


def each_record(run: Path, torn: dict[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the record of each trial of a run in its order, and keep none of them.

    What is no record, or that of another trial, is torn: why, is put into `torn` by the name of the file.
    """
    for path in sorted(_record_paths(run), key=_number):
        try:
            found = _decoded(path.read_bytes())
            lacking = ", ".join(sorted({*(_OF_A_RECORD - found.keys()), *(_OF_A_TRIAL - found["trial"].keys())}))
            number = int(found["trial"].get("number", 0))
            Status(found["status"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            torn[path.name] = f"it cannot be read: {error!r}"
            continue
        if lacking:
            torn[path.name] = f"it lacks {lacking}"
        elif path.name != file_name(number):
            torn[path.name] = f"it is that of trial {number}"
        else:
            yield number, found


def _decoded(text: bytes) -> Any:
    """Return what JSON says. What is quick to read it refuses NaN and names that are no text; `json` takes both."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def _record_paths(run: Path) -> Iterable[Path]:
    return (path for path in (run / TRIALS_FOLDER).glob("*.json") if not path.name.startswith("."))


def _number(path: Path) -> tuple[int, str]:
    return len(path.stem), path.stem


def file_name(number: int) -> str:
    """Return the name of the record of a trial."""
    return f"{number:04}.json"
