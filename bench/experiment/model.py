"""The nouns of an experiment: a server, a trial, what a trial gave. Frozen values, no behaviour that touches the world.

Everything from the runner to the report passes these; a field added here is added to `schema.py` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bench.experiment.trial.doubts import Doubt
    from clients.workload import Workload


Generator = Literal["python", "reference"]
"""Which load generator: ours, or the one in C, which knows closed loops over plain TCP only and is faster."""


class Status(StrEnum):
    """How a trial ended. Only MEASURED trials carry numbers worth comparing."""

    MEASURED = "measured"
    NOT_READY = "not-ready"
    SERVER_DIED = "server-died"
    WRONG_ECHO = "wrong-echo"
    NO_REPLIES = "no-replies"
    GENERATOR_FAILED = "generator-failed"
    NONCONFORMING = "nonconforming"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A name for tables and plots, and how to start what it names.

    `command` is a list, never a shell string; `{host}` and `{port}` in it are filled in; without `port` that is a free
    one. With `ready = "line"` the process prints `READY HOST PORT`; with `"port"` it just listens on the port it was
    given; with `"either"` whichever comes first counts. `target` names a server that is already running
    (`HOST:PORT`); then `command` is empty and `pid`, if known, is sampled but never signalled. `gap` says why it
    cannot run here: its trials are rows of status skipped.
    """

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    ready: Literal["line", "port", "either"] = "line"
    ready_timeout_s: float = 10.0
    stop_signal: str = "SIGTERM"
    host: str = "127.0.0.1"
    port: int | None = None
    target: str | None = None
    pid: int | None = None
    interpreter: str | None = None
    connections_max: int | None = None
    gap: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One launch of one server under one workload; the unit of every statistic."""

    number: int
    round: int
    server: Server
    workload_name: str
    workload: Workload

    @property
    def cell(self) -> tuple[str, str]:
        """Server and workload: what repeated trials repeat."""
        return self.server.name, self.workload_name


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What one trial gave: a flat row of metrics keyed by the column names of `schema.TRIALS`, absent when unknown.

    `timeline` has one mapping per slice of the window (columns of `schema.TIMELINE`), `samples` one per psutil
    sample (columns of `schema.MONITOR`); `hlog` holds the interval lines of the trial's HDR log.
    """

    trial: Trial
    status: Status
    detail: str = ""
    started_at: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    timeline: tuple[Mapping[str, Any], ...] = ()
    samples: tuple[Mapping[str, Any], ...] = ()
    hlog: str = ""


Measure = Callable[[Trial], TrialResult]
"""The one door from the experiment to the world: the live bench, or a fake that answers from a model."""
