"""A run on disk: a folder that is whole after every trial, whatever happens next.

    RUN-ID/run.json          schema version, state, command, plan with seed, machine, interpreters, libraries, git
           trials/NNNN.json  one record per trial, written when it ends
           latency.hlog      HDR interval log of all trials, tagged NNNN.response, NNNN.service, …
           logs/             what each server and each load generator said

Tables and plots are made from these by the analysis; nothing here computes. A file appears whole or not at all: it is
written beside its place, flushed to the disk, and moved there.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from bench.errors import MeasurementError, UsageError
from bench.experiment.schema import SCHEMA_VERSION
from bench.files import write_atomically
from clients import hlog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.experiment.model import TrialResult

INFO_FILE = "run.json"
TRIALS_FOLDER = "trials"
LOGS_FOLDER = "logs"
LATENCY_FILE = "latency.hlog"


class State(StrEnum):
    """How far a run got; `running` after its end means that it was killed."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(slots=True)
class Store:
    """An open run folder. `info` is what run.json holds; until `finish` nobody else can open the folder."""

    path: Path
    info: dict[str, Any]
    lock: int | None

    @classmethod
    def create(cls, out: Path, name: str, info: Mapping[str, Any]) -> Self:
        """Make a new run folder in `out`, named by time and plan. Raise UsageError if that cannot be."""
        now = datetime.now(UTC)
        stem = f"{now:%Y%m%dT%H%M%S}-{name}"
        try:
            out.mkdir(parents=True, exist_ok=True)
            path = _new_folder(out, stem)
            (path / TRIALS_FOLDER).mkdir()
            (path / LOGS_FOLDER).mkdir()
        except OSError as error:
            raise UsageError(f"cannot write to {out}: {error.strerror}; choose another folder with --out") from error
        head = {"schema_version": SCHEMA_VERSION, "run": path.name, "state": State.RUNNING}
        store = cls(path, {**head, "started_at": now.isoformat(timespec="seconds"), **info}, _locked(path))
        store.write_info()
        (path / LATENCY_FILE).write_text(hlog.header(now.timestamp()))
        return store

    @classmethod
    def open(cls, path: Path, *, even_complete: bool = False) -> Self:
        """Open a run that was interrupted, to measure the rest. Raise UsageError if it is none, or is complete."""
        try:
            info = json.loads((path / INFO_FILE).read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be resumed: it has no {INFO_FILE} that can be read") from error
        version = info.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UsageError(f"{path} cannot be resumed: its schema is {version}, and ours {SCHEMA_VERSION}")
        if info["state"] == State.COMPLETE and not even_complete:
            raise UsageError(f"{path} is complete: add to it with `echobench run --resume {path} --more`")
        return cls(path, info, _locked(path))

    def restart(self) -> None:
        """Go on with an interrupted run. What a trial left that was torn is dropped: it is measured again."""
        done = self.done()
        path = self.path / LATENCY_FILE
        lines = path.read_text().splitlines(keepends=True)
        write_atomically(path, "".join(line for line in lines if _is_kept(line, done)))
        self.info["state"] = State.RUNNING
        self.write_info()

    @property
    def logs(self) -> Path:
        """The folder for the logs of servers and generators."""
        return self.path / LOGS_FOLDER

    def save(self, result: TrialResult) -> None:
        """Keep a trial: its interval lines first, then its record, which makes it count.

        Raises MeasurementError if the disk does not take it.
        """
        text = json.dumps(record(result), separators=(",", ":"))
        try:
            with (self.path / LATENCY_FILE).open("a") as log:
                log.write(result.hlog)
                log.flush()
                os.fsync(log.fileno())
            write_atomically(self._record_path(result.trial.number), text)
        except OSError as error:
            why = error.strerror or error
            raise MeasurementError(f"cannot write to {self.path}: {why}; make room, then --resume it") from error

    def _record_path(self, number: int) -> Path:
        return self.path / TRIALS_FOLDER / f"{number:04}.json"

    def done(self) -> frozenset[int]:
        """Return the numbers of the trials that are kept."""
        return frozenset(int(path.stem) for path in (self.path / TRIALS_FOLDER).glob("*.json"))

    def last_round(self) -> int:
        """Return the round of the last trial that is kept, 0 if there is none."""
        done = self.done()
        if not done:
            return 0
        kept: dict[str, Any] = json.loads(self._record_path(max(done)).read_text())
        return int(kept["trial"]["round"])

    def records(self) -> list[dict[str, Any]]:
        """Return the records of the trials that are kept, in their order."""
        return [json.loads(self._record_path(number).read_text()) for number in sorted(self.done())]

    def finish(self, *, complete: bool, **facts: Any) -> None:
        """Say in run.json how the run ended."""
        state = State.COMPLETE if complete else State.PARTIAL
        self.info |= {"state": state, "ended_at": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
        self.write_info()
        self.close()

    def close(self) -> None:
        """Let others open the folder; so does the end of this process."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def write_info(self) -> None:
        """Write run.json."""
        write_atomically(self.path / INFO_FILE, json.dumps(self.info, indent=1) + "\n")


def _locked(path: Path) -> int:
    """Return a descriptor that holds the folder for us. Raise UsageError if another process measures into it."""
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UsageError(f"{path} is being measured by another process: wait until that has ended") from error
    return lock


def _is_kept(line: str, done: frozenset[int]) -> bool:
    tag = re.match(r"Tag=(\d+)\.", line)
    return line.endswith("\n") and (tag is None or int(tag[1]) in done)


def _new_folder(out: Path, stem: str) -> Path:
    """Make a folder that was not there before: two runs may begin in the same second."""
    number = 1
    while True:
        path = out / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def record(result: TrialResult) -> dict[str, Any]:
    """Return all that is kept of a trial, but its interval lines, as plain JSON types."""
    fields = dataclasses.asdict(result)
    fields["trial"]["workload"] = result.trial.workload.to_json()
    del fields["hlog"]
    return fields
