"""The origin of a run: the keys of run.json that the formats use. Nothing else reads them for an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.records import INFO_FILE

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Machine, interpreter and commit of a run; `started_at` is that of its first trial, UTC, ISO 8601."""

    machine: str
    cpu: str | None
    cpus: int | None
    system: str
    kernel: str
    python_implementation: str
    python_version: str
    commit: str | None
    dirty: bool | None
    started_at: str


def provenance(run: Run) -> Provenance:
    """Read the description of a run; a run outside git has no commit. Raise UsageError if run.json has lost a part."""
    git = run.info.get("git") or {}
    try:
        machine, python = run.info["machine"], run.info["interpreter"]
        return Provenance(
            machine=machine["host"],
            cpu=machine["cpu_model"],
            cpus=machine["cpus"],
            system=machine["system"],
            kernel=machine["kernel"],
            python_implementation=python["implementation"],
            python_version=python["version"],
            commit=run.commit,
            dirty=git.get("dirty"),
            started_at=str(run.trials["started_at"].dropna().min()),
        )
    except KeyError as error:
        path = run.path / INFO_FILE
        raise UsageError(
            f"{path} does not tell the {error.args[0]} of the run: restore it, or use json or csv"
        ) from error
