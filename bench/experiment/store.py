"""A run on disk: a folder that is whole after every trial, whatever happens next.

    RUN-ID/run.json          schema version, state, command, plan with seed, machine, interpreters, libraries, git
           trials/NNNN.json  one record per trial, written when it ends
           latency.hlog      HDR interval log of all trials, tagged NNNN.response, NNNN.service, …
           logs/             what each server and each load generator said

Tables and plots are made from these by the analysis; nothing here computes. A file appears whole or not at all: it is
written beside its place, flushed to the disk, and moved there. Disks tear files all the same: what cannot be read is
named, and the rest is used.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from bench.errors import MeasurementError, UsageError, is_full, unwritable
from bench.experiment.model import Status
from bench.experiment.records import INFO_FILE, TRIALS_FOLDER, file_name, read_records, record, run_info
from bench.experiment.schema import SCHEMA_VERSION
from bench.files import write_atomically
from clients import hlog

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bench.experiment.model import TrialResult

LOGS_FOLDER = "logs"
LATENCY_FILE = "latency.hlog"

_ROOM_BYTES = 1 << 20
"""With less room than this, a disk may be why a trial failed."""


class State(StrEnum):
    """How far a run got; `running` after its end means that it was killed."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"


@dataclass(slots=True)
class Store:
    """An open run folder. `info` is what run.json holds; until `finish` nobody else can open the folder.

    `kept` has the status of every trial that counts, by its number. `notes` are sentences about the folder that its
    user must know: what is torn in it, and that nothing keeps others out of it where it cannot be locked.
    """

    path: Path
    info: dict[str, Any]
    lock: int | None
    kept: dict[int, Status] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, out: Path, name: str, info: Mapping[str, Any]) -> Self:
        """Make a new run folder in `out`, named by time and plan.

        Raises UsageError if that cannot be, MeasurementError if there is no room.
        """
        now = datetime.now(UTC)
        stem = f"{now:%Y%m%dT%H%M%S}-{name}"
        try:
            out.mkdir(parents=True, exist_ok=True)
            path = _new_folder(out, stem)
            (path / TRIALS_FOLDER).mkdir()
            (path / LOGS_FOLDER).mkdir()
            lock, why_not = _locked(path)
            head = {"schema_version": SCHEMA_VERSION, "run": path.name, "state": State.RUNNING}
            head["started_at"] = now.isoformat(timespec="seconds")
            store = cls(path, {**head, **info}, lock, notes=[why_not] if why_not else [])
            store._write_info()
            (path / LATENCY_FILE).write_text(hlog.header(now.timestamp()), encoding="utf-8")
        except OSError as error:
            raise unwritable(out, error, "choose another folder with --out") from error
        return store

    @classmethod
    def open(cls, path: Path, *, even_complete: bool = False) -> Self:
        """Open a run that was interrupted, to measure the rest. Raise UsageError if it is none, or is complete."""
        try:
            info = run_info(path)
            version, state = info["schema_version"], info["state"]
        except (OSError, ValueError, LookupError) as error:
            why = f", which {error}" if isinstance(error, ValueError) else ""
            raise UsageError(f"{path} cannot be resumed: it has no {INFO_FILE} that can be read{why}") from error
        if version != SCHEMA_VERSION:
            raise UsageError(f"{path} cannot be resumed: its schema is {version}, and ours {SCHEMA_VERSION}")
        if state == State.COMPLETE and not even_complete:
            raise UsageError(f"{path} is complete: add to it with `echobench run --resume {path} --more`")
        lock, why_not = _locked(path)
        found = read_records(path)
        torn = [f"{path / TRIALS_FOLDER / name} is left out: {why}" for name, why in found.torn.items()]
        kept = {number: Status(one["status"]) for number, one in found.whole.items()}
        return cls(path, info, lock, kept, [*([why_not] if why_not else []), *torn])

    def restart(self) -> None:
        """Go on with an interrupted run. What a trial left that was torn is dropped: it is measured again.

        Raises UsageError or MeasurementError if the folder cannot be written.
        """
        try:
            self._keep_lines()
            if self.info["state"] == State.RUNNING:  # it was killed, or the disk was full
                self.info |= self._time_spent()
            self.info["state"], self.info["resumed_at"] = State.RUNNING, datetime.now(UTC).isoformat(timespec="seconds")
            self._write_info()
        except OSError as error:
            raise unwritable(self.path, error, "make it writable, or start a new run") from error

    def _time_spent(self) -> dict[str, float]:
        """Return `wall_s` and `windows_s` of a run whose last call did not finish it, by the trials that are kept."""
        windows = [
            (at_s, one["metrics"].get("window_s") or 0.0)
            for one in self.records()
            if (at_s := _epoch_s(one["started_at"])) is not None  # a trial that was skipped never began
        ]
        began_s = _epoch_s(self.info.get("resumed_at", self.info.get("started_at", ""))) or math.inf
        ended_s = max((at_s + window_s for at_s, window_s in windows), default=0.0)
        wall_s = self.info.get("wall_s", 0.0) + max(0.0, ended_s - began_s)
        return {"wall_s": wall_s, "windows_s": math.fsum(window_s for _, window_s in windows)}

    @property
    def logs(self) -> Path:
        """The folder for the logs of servers and generators."""
        return self.path / LOGS_FOLDER

    def save(self, result: TrialResult) -> None:
        """Keep a trial: its interval lines first, then its record, which makes it count.

        A trial takes the place of the one of its number. That one was kept while another of its block was not, so the
        block was measured again. Raises MeasurementError if the disk does not take it. A trial that failed on a disk
        without room is not kept either: the disk may be why, so it is measured again.
        """
        number = result.trial.number
        text = json.dumps(record(result), separators=(",", ":"))
        try:
            if result.status not in {Status.MEASURED, Status.SKIPPED, Status.NONCONFORMING}:
                self._check_room()
            if self.kept.pop(number, None) is not None:
                self._record_path(number).unlink()
                self._keep_lines()
            with (self.path / LATENCY_FILE).open("a", encoding="utf-8") as log:
                log.write(result.hlog)
                log.flush()
                os.fsync(log.fileno())
            write_atomically(self._record_path(number), text)
        except OSError as error:
            raise self._lost(error) from error
        self.kept[number] = result.status

    def _check_room(self) -> None:
        """Raise OSError if the disk is full, or nearly so."""
        with tempfile.TemporaryFile(dir=self.path) as file:
            file.write(bytes(_ROOM_BYTES))
            file.flush()
            os.fsync(file.fileno())

    def _keep_lines(self) -> None:
        """Write the interval log anew, with the whole lines of the trials that are kept."""
        path = self.path / LATENCY_FILE
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = hlog.header(datetime.now(UTC).timestamp())
            if self.kept:
                self.notes.append(f"{path} is missing: the latency of the trials before is not in the new one")
        write_atomically(path, "".join(line for line in text.splitlines(keepends=True) if _is_kept(line, self.kept)))

    def _lost(self, error: OSError) -> MeasurementError:
        """Return the error for a run that cannot be kept any more."""
        cure = "make room" if is_full(error) else "make it writable"
        return MeasurementError(f"cannot write to {self.path}: {error.strerror or error}; {cure}, then --resume it")

    def _record_path(self, number: int) -> Path:
        return self.path / TRIALS_FOLDER / file_name(number)

    def done(self) -> frozenset[int]:
        """Return the numbers of the trials that need not be measured any more."""
        return frozenset(self.kept) - self.lost()

    def lost(self) -> frozenset[int]:
        """Return the numbers of the trials that lost an agent. That says nothing of a server: they are repeated."""
        return frozenset(number for number, status in self.kept.items() if status is Status.AGENT_LOST)

    def last_round(self) -> int:
        """Return the round of the last trial that is kept, 0 if there is none."""
        return max((int(one["trial"]["round"]) for one in self.records()[-1:]), default=0)

    def records(self) -> list[dict[str, Any]]:
        """Return the records of the trials that are kept, in their order."""
        return list(read_records(self.path).whole.values())

    def finish(self, *, complete: bool, **facts: Any) -> None:
        """Say in run.json how the run ended, and how many trials it holds. Raise MeasurementError if that fails."""
        state = State.COMPLETE if complete else State.PARTIAL
        ended = {"state": state, "ended_at": datetime.now(UTC).isoformat(timespec="seconds"), "trials": len(self.kept)}
        self.info |= {**ended, **facts}
        try:
            self._write_info()
        except OSError as error:
            raise self._lost(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let others open the folder; so does the end of this process."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def _write_info(self) -> None:
        write_atomically(self.path / INFO_FILE, json.dumps(self.info, indent=1) + "\n")


def _epoch_s(text: str) -> float | None:
    """Return the seconds since the epoch of a time that a run has written; None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _locked(path: Path) -> tuple[int | None, str]:
    """Return a descriptor that holds the folder for us, or none and why. Raise UsageError if another process measures.

    Not every file system can lock a folder: NFS says EBADF, ENOLCK or EIO, others ENOSYS or EOPNOTSUPP.
    """
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UsageError(f"{path} is being measured by another process: wait until that has ended") from error
    except OSError as error:
        os.close(lock)
        why = error.strerror or error
        return None, f"{path} cannot be locked ({why}): see to it that no other process measures into it"
    return lock, ""


def _is_kept(line: str, kept: Collection[int]) -> bool:
    if (tag := re.match(r"Tag=(\d+)\.", line)) is None:
        return line.startswith("#") or line == f"{hlog.LEGEND}\n"
    return line.endswith("\n") and int(tag[1]) in kept


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
