"""The nouns of an experiment: a server, a trial, a block, what they gave. Frozen values that never touch the world.

An experiment is a generator. It yields a `Block` that is to be measured next, is sent the results of its trials, and
returns its conclusion. It knows no process, no clock and no file, so that a test drives it with a list of answers.
Everything from the experiment to the report passes these values; a field added to a trial is added to `schema.py` too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from bench.experiment.doubts import Doubt
    from clients.workload import Workload


T = TypeVar("T")

LoadGenerator = Literal["python", "reference"]
"""Which load generator: ours, or the one in C. The one in C is faster, and makes plain loads only."""


Design = Literal["blocks", "solo"]
"""Whether the servers of a workload are alive together and loaded in turn, or each is measured alone."""


class Status(StrEnum):
    """How a trial ended. Only MEASURED trials carry numbers worth comparing."""

    MEASURED = "measured"
    NOT_READY = "not-ready"
    SERVER_DIED = "server-died"
    WRONG_ECHO = "wrong-echo"
    NO_REPLIES = "no-replies"
    GENERATOR_FAILED = "generator-failed"
    AGENT_LOST = "agent-lost"
    NONCONFORMING = "nonconforming"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A name for tables and plots, and how to start what it names.

    `command` is a list, never a shell string; `{host}` and `{port}` in it are filled in; without `port` that is a free
    one. With `ready = "line"` the process prints `READY HOST PORT`; with `"port"` it just listens on the port it was
    given; with `"either"` whichever comes first counts. `target` names a server that is already running
    (`HOST:PORT`); then `command` is empty and `pid`, if known, is sampled but never signalled. One that `binds_itself`
    takes `--cpus LIST`, starts on any CPU, and stays on those from before it listens; all others are bound from their
    first instruction. `gap` says why it cannot run here: its trials are rows of status skipped. `host` is where it
    listens, and of a target its host, or `unix:PATH` with the `port` 0.
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
    binds_itself: bool = False
    gap: str | None = None


@dataclass(frozen=True, slots=True)
class AgentCluster:
    """The Dask cluster whose workers make the load, in the words of `--agents`; with `is_insecure` also without TLS."""

    cluster: str
    is_insecure: bool = False

    @property
    def made_here(self) -> int:
        """How many agents it has that are made here, on the generator's cores; 0 of a cluster that there is."""
        scheme, _, number = self.cluster.partition(":")
        return int(number) if scheme == "local" and number.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class AgentsReached:
    """The agents of a cluster that was reached: how many they are, and whether some are on other machines."""

    number: int
    is_networked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One launch of one server under one workload; the unit of every statistic. `generator` makes its load.

    Trials of the same `block` were alive together, and got the load in turn.
    """

    number: int
    round: int
    block: int = 0
    server: Server
    workload_name: str
    workload: Workload
    generator: LoadGenerator = "python"

    @property
    def cell(self) -> tuple[str, str]:
        """Server and workload: what repeated trials repeat."""
        return self.server.name, self.workload_name


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What one trial gave: a flat row of metrics keyed by the column names of `schema.TRIALS`, absent when unknown.

    `timeline` has one mapping per stretch of the window (columns of `schema.TIMELINE`), `samples` one per psutil
    sample (columns of `schema.MONITOR`), and `slices` one per slice of the load that the trial got in its block
    (columns of `schema.SLICES`), none if it was measured alone. `agents` has one per agent that loaded it (columns of
    `schema.AGENTS`), none if the load was made on this machine. `hlog` holds the interval lines of the trial's HDR log.
    """

    trial: Trial
    status: Status
    detail: str = ""
    started_at: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    timeline: tuple[Mapping[str, Any], ...] = ()
    samples: tuple[Mapping[str, Any], ...] = ()
    slices: tuple[Mapping[str, Any], ...] = ()
    agents: tuple[Mapping[str, Any], ...] = ()
    hlog: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One or more trials that are launched together and measured together: of other servers, under one workload.

    Of several, the load goes to one at a time, in slices. A pass gives each of them one slice. A block that `continues`
    the one before makes that one useful: no time limit falls between the two. `following` are the trials of the block
    that will be asked for next, if that is known and nothing ends the experiment before. A bench may start their
    servers once those of this block have ended.
    """

    trials: tuple[Trial, ...]
    continues: bool = False
    following: tuple[Trial, ...] = field(default=(), compare=False)

    @property
    def loads_s(self) -> float:
        """Seconds of load that it asks for, warm-ups included."""
        return sum(trial.workload.warmup_s + trial.workload.duration_s for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Known:
    """Results that an experiment has without measuring, such as those of cells that cannot be measured here.

    They are kept and told as those of a block are.
    """

    results: Results


class News:
    """What an experiment tells whoever watches it, between two blocks. A base class for such values."""

    __slots__ = ()

    @property
    def lines(self) -> list[str]:
        """The news in words, a line each."""
        return []

    @property
    def trials(self) -> int | None:
        """How many trials are to be expected from beginning to end; None if the news says nothing about that."""
        return None


class StopReason(StrEnum):
    """Why an experiment is asked to end before it has measured all that it wanted."""

    INTERRUPTED = "interrupted"
    TIME_IS_UP = "time is up"


class Stop(Exception):  # noqa: N818 - it is a request, not an error
    """Thrown into an experiment where it waits for results: it returns what it has, and yields nothing more."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class BlockInterrupted(KeyboardInterrupt):
    """An interrupt that came under load; `results` are those of what was whole by then, or nothing."""

    def __init__(self, results: Results) -> None:
        super().__init__()
        self.results = results


Results: TypeAlias = tuple[TrialResult, ...]
"""What a block gave: a result for each of its trials, in their order. Empty for news."""

Experiment: TypeAlias = Generator[Block | Known | News, Results, T]
"""A policy: yields what is to be measured next, is sent what came of it, and returns its conclusion."""

Measure: TypeAlias = Callable[[Block], Results]
"""The one door from an experiment to the world: the live bench, or a fake that answers from a model."""

Door: TypeAlias = Callable[..., AbstractContextManager[Measure]]
"""What opens a `Measure` for as long as an experiment runs. The keywords are those of `trial.live.live_bench`."""
