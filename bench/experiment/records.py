"""The records of a run: run.json, and a JSON file for each trial, of which tables and plots are made. Writes nothing.

A file that is torn, or a record of another trial, is told from those that are whole.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from bench.experiment.model import Status
from bench.experiment.schema import TRIALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bench.experiment.model import TrialResult

INFO_FILE = "run.json"
TRIALS_FOLDER = "trials"

_OF_A_RECORD = {
    "trial": dict,
    "status": str,
    "detail": str,
    "started_at": str,
    "metrics": dict,
    "doubts": [str],
    "timeline": [dict],
    "samples": [dict],
}
_OF_A_TRIAL = {"number": int, "round": int, "server": dict, "workload_name": str, "workload": dict}
_STATUSES = frozenset(status.value for status in Status)
_LATER = {"slices": [dict], "agents": [dict]}
"""What a record of an older version lacks."""
_OF_A_RUN = {
    "plan": dict,
    "machine": dict,
    "interpreter": dict,
    "interpreters": dict,
    "load": dict,
    "libraries": dict,
    "state": str,
    "started_at": str,
    "resumed_at": str,
    "wall_s": (int, float),
    "windows_s": (int, float),
    "command": [str],
    "servers": [dict],
    "workloads": [dict],
    "cells": [dict],
}


_NUMBERS = frozenset(column.name for column in TRIALS if column.dtype in {"Int64", "Float64"})


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
            found = json_object(path.read_bytes())
            _check_record(found)
        except OSError as error:
            torn[path.name] = f"it cannot be read: {error.strerror or error}"
            continue
        except ValueError as error:
            torn[path.name] = f"it {error}"
            continue
        number: int = found["trial"]["number"]
        if path.name == file_name(number):
            yield number, found
        else:
            torn[path.name] = f"it is that of trial {number}"


def _check_record(found: Mapping[str, Any]) -> None:
    """Raise ValueError, with why, if a JSON object is not the record of a trial."""
    trial = found.get("trial")
    inner = trial.keys() if isinstance(trial, dict) else set()
    if lacking := {*(_OF_A_RECORD.keys() - found.keys()), *(_OF_A_TRIAL.keys() - inner)}:
        raise ValueError(f"lacks {', '.join(sorted(lacking))}")
    check_shapes(found, _OF_A_RECORD | _LATER)
    check_shapes(found["trial"], _OF_A_TRIAL)
    if found["status"] not in _STATUSES:
        raise ValueError(f"has a status that is not known: {found['status']}")
    for name, value in found["metrics"].items():
        if name in _NUMBERS and not isinstance(value, int | float | None):
            raise ValueError(f"has a {name} that is no number: {value!r}")


def json_object(text: bytes) -> dict[str, Any]:
    """Return a JSON object. Raise ValueError, with why, if it is none."""
    try:
        found = _decoded(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("is not one JSON object")  # noqa: TRY004 - as all that is torn
    return found


def run_info(run: Path) -> dict[str, Any]:
    """Read run.json. Raise OSError if it is not there, ValueError, with why, if it does not describe a run."""
    found = json_object((run / INFO_FILE).read_bytes())
    if not isinstance(found.get("schema_version"), int):
        raise ValueError("has no schema_version: it was not written by a run")  # noqa: TRY004 - as all that is torn
    check_shapes(found, _OF_A_RUN)
    return found


def check_shapes(found: Mapping[str, Any], shapes: Mapping[str, Any]) -> None:
    """Raise ValueError if a value that is there has not the type that `shapes` says by its key, or its items have not.

    A list with a type in it stands for a list of such items.
    """
    for name, shape in shapes.items():
        if name in found and not _fits(found[name], shape):
            raise ValueError(f"has another `{name}` than a run keeps")


def _fits(value: object, shape: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(isinstance(one, shape[0]) for one in value)
    return isinstance(value, shape)


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
