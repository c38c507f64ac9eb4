"""The raw files that lie beside a page, so that it can link to them; and what a server said last. No markup.

Only what exists is named: a published run may lack records and logs, and a page that was built elsewhere has nothing
beside it. Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.experiment import schema
from bench.experiment.model import Status
from bench.experiment.records import INFO_FILE, TRIALS_FOLDER, file_name
from bench.experiment.store import LATENCY_FILE, LOGS_FOLDER
from bench.text import TAIL_BYTES, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from bench.analysis.runs.run_folder import Run

_SERVER_LOG = "what the server said"

MOST_FAILED = 5
"""Failed trials of a server whose files are linked. The others lie beside these."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A trial with its files: pairs of what a file is, and its path from the page."""

    trial: int
    status: str
    files: tuple[tuple[str, str], ...]


def of_run(page: Path | None) -> list[str]:
    """Return the files of the whole run that lie in the folder of the page."""
    names = (INFO_FILE, *(f"{name}.parquet" for name in schema.TABLES), LATENCY_FILE)
    return [] if page is None else [name for name in names if (page / name).is_file()]


def of_server(run: Run, server: str, page: Path | None) -> list[Linked]:
    """Return the trials of a server that a reader asks for first, with their files: some that failed, and the last."""
    if page is None:
        return []
    here = run.trials[run.trials["server"] == server].sort_values("trial")
    statuses = dict(zip(here["trial"].astype(int), here["status"].astype(str), strict=True))
    failed = [trial for trial, status in statuses.items() if status != Status.MEASURED][:MOST_FAILED]
    found = (_linked(trial, statuses[trial], page) for trial in sorted({*failed, *list(statuses)[-1:]}))
    return [one for one in found if one.files]


def said_last(linked: list[Linked], page: Path | None) -> str:
    """Return the last lines of a server's newest log that says anything; empty if there is none."""
    for one in reversed(linked):
        path = dict(one.files).get(_SERVER_LOG)
        if page is not None and path is not None:
            with (page / path).open("rb") as file:
                file.seek(max(0, (page / path).stat().st_size - TAIL_BYTES))
                if said := quoted(file.read()):
                    return said
    return ""


def _linked(trial: int, status: str, page: Path) -> Linked:
    files = (
        ("record", f"{TRIALS_FOLDER}/{file_name(trial)}"),
        (_SERVER_LOG, f"{LOGS_FOLDER}/{trial:04}-server.log"),
        ("what the load generator said", f"{LOGS_FOLDER}/{trial:04}-client.log"),
    )
    return Linked(trial, status, tuple((what, path) for what, path in files if (page / path).is_file()))
