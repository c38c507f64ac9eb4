"""The load generator on other machines: a process that holds their cluster, and has them carry one load after another.

It speaks the protocol of `clients.agents`. When an agent was lost, the next load starts that process anew, with a
cluster that must have as many agents as the first. What a trial makes of a load belongs to `solo.py`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bench import units
from bench.errors import UsageError
from bench.experiment.host import machine
from bench.experiment.model import AgentsReached
from bench.experiment.planning.catalog import ROOT
from bench.experiment.schema import AGENTS
from bench.experiment.trial import lifeline
from bench.experiment.trial.child import Child, ChildError
from bench.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.experiment.model import AgentCluster
    from clients.workload import Workload

REACH_TIMEOUT_S = 120.0
"""To load Dask, to make or reach a cluster, and to look its workers over; each step has a limit of its own."""

CONNECT_TIMEOUT_S = 60.0
LOOK_S = 1.0
"""So often the process that holds the cluster is looked at while it is waited for: one that is stopped says nothing."""
END_TIMEOUT_S = 10.0
NO_LOAD = frozenset({"LOST", "FAILED", "REFUSED"})
"""The words with which a cluster ends or a load does not come, each with a sentence."""
COMMAND = (sys.executable, "-P", "-m", "clients.agents")
_TOLD_HERE = {"run", "trial", "host", "share"}
"""The columns of an agent's row that are no part of its own report."""


class AgentLostError(ChildError):
    """An agent that was lost in mid-trial, by name: what the others carried is no load that was asked for."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The connections of all agents stand. The start must be told `lead_ns` ahead, so that all hear of it."""

    established: int
    lead_ns: int


@contextmanager
def reached(asked: AgentCluster | None) -> Iterator[Agents | None]:
    """Yield the agents of a cluster, which was reached, or made here; None if none was asked for.

    They end, with what they put down, at the end. Raises UsageError for a cluster that cannot be used.
    """
    if asked is None:
        yield None
        return
    with scratch() as folder:
        lifeline.leave_nothing(folder)
        with Agents(asked, log=folder / "agents.log", scratch=folder) as agents:
            agents.reach()
            yield agents


class Agents:
    """Agents of a cluster, which carry loads; what they have to say goes to `log`. Use as a context manager.

    The cluster is reached, or made, at the first use. One that is made here is bound to the cores of a load generator.
    `scratch` is a folder for what it puts down meanwhile.
    """

    def __init__(
        self,
        asked: AgentCluster,
        *,
        log: Path,
        scratch: Path,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._asked, self._log, self._scratch, self._command = asked, log, scratch, command
        self._child: Child | None = None
        self.names: tuple[str, ...] = ()
        self.is_networked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def found(self) -> AgentsReached:
        """What they were like when they were reached last."""
        return AgentsReached(len(self.names), self.is_networked)

    @property
    def made_here(self) -> int:
        """How many of them are on this machine, because the cluster is made here; 0 of a cluster that there is."""
        return self._asked.made_here

    def log_to(self, log: Path) -> None:
        """Have what they said so far, and will say, in another file."""
        self._log = log
        if self._child is not None:
            self._child.log_to(log)

    @property
    def pid(self) -> int:
        """The process that holds the cluster; of one that was made here, all agents are below it."""
        assert self._child is not None
        return self._child.pid

    def connect(self, address: str, workload: Workload, *, hlog: Path, tag: str) -> Connected:
        """Ask for a load, its distributions in the file `hlog`. Return once its connections stand.

        Raise AgentLostError or ChildError.
        """
        asked = {"address": address, "workload": workload.to_json(), "hlog": str(hlog), "tag": tag}
        child = self._started()
        child.write_line(json.dumps(asked))
        _, established, _, lead_ns = self._heard("CONNECTED", CONNECT_TIMEOUT_S + workload.timeout_s).split()
        return Connected(int(established), int(lead_ns))

    def go(self, start_ns: int) -> None:
        """Give the word to start at a time of CLOCK_MONOTONIC."""
        assert self._child is not None
        self._child.write_line(f"GO {start_ns}")

    def result(self, deadline_s: float) -> dict[str, Any]:
        """Return what the agents measured together and each. Raise AgentLostError or ChildError."""
        line = self._heard("RESULT", deadline_s - time.monotonic())
        given: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
        return given

    def stop(self, grace_s: float = END_TIMEOUT_S) -> None:
        """End the process, if there is one, and with it whatever the agents do."""
        if self._child is not None:
            self._child.stop(0 if self._child.is_stopped else grace_s)
            self._child = None

    def _started(self) -> Child:
        """Return the process that holds the cluster, made anew if it ended. Raise AgentLostError for a smaller one."""
        if self._child is not None and self._child.returncode is not None:
            self.stop()
        if self._child is None:
            before = self.names
            try:
                self.reach()
            except UsageError as error:
                raise AgentLostError(f"the cluster cannot be used any more: {error}") from error
            if before and len(self.names) != len(before):
                self.stop()
                there_are, names = units.plural(len(self.names), "agent"), units.listed(before)
                cure = "start what is missing" if len(self.names) < len(before) else "end what has joined"
                self.names = before
                raise AgentLostError(
                    f"the cluster has {there_are} now, and the run began with {len(before)} ({names}): "
                    f"{cure}, then go on with --resume"
                )
        assert self._child is not None
        return self._child

    def reach(self) -> None:
        """Start the process, and hear which agents there are. Raise UsageError for a cluster that cannot be used."""
        insecure = ["--insecure-cluster"] if self._asked.is_insecure else []
        self._child = Child(
            [*self._command, self._asked.cluster, *insecure],
            log=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self._scratch)},
            cpus=machine.cores(max(1, self.made_here)).client,
            stdin=True,
            stop_signal=signal.SIGINT,  # of a load under way; the end of its stdin is what ends the rest
        )
        try:
            line = self._next_line(time.monotonic() + REACH_TIMEOUT_S)
        except KeyboardInterrupt:
            self.stop(0)  # until it has reached its cluster, it hears nothing
            raise
        word, _, rest = (line or "").partition(" ")
        if word != "AGENTS":
            said = json.loads(rest)["said"] if word in NO_LOAD else f"no agents came; {self._child.log_tail()}"
            self.stop()
            raise UsageError(said)
        found = json.loads(rest)
        self.names, self.is_networked = tuple(found["agents"]), bool(found["is_networked"])

    def _heard(self, wanted: str, timeout_s: float) -> str:
        """Return the next line, which begins with the wanted word; or end the process, and raise what went wrong."""
        assert self._child is not None
        line = self._next_line(time.monotonic() + timeout_s) or ""
        word, _, rest = line.partition(" ")
        if word == wanted:
            return line
        said = json.loads(rest)["said"] if word in NO_LOAD else self._why_silent(wanted)
        self.stop()
        if word == "LOST":
            raise AgentLostError(said)
        who = "the agents made no load:" if word in NO_LOAD else "the coordinator of the agents"
        raise ChildError(f"{who} {said}")

    def _why_silent(self, wanted: str) -> str:
        """Return what became of the process, as the end of a sentence."""
        assert self._child is not None
        if self._child.is_stopped:
            return "was stopped (SIGSTOP), and agents end without it"
        ended = f"{self._child.how_it_ended} and " if self._child.ended_within(LOOK_S) else ""
        return f"{ended}gave no {wanted}; {self._child.log_tail()}"

    def _next_line(self, deadline_s: float) -> str | None:
        """Return the next line, None for the end of them all; for one that is stopped, within a second."""
        assert self._child is not None
        while (now_s := time.monotonic()) < deadline_s and not self._child.is_stopped:
            look_s = min(deadline_s, now_s + LOOK_S)
            line = self._child.read_line(look_s)
            if line is not None or time.monotonic() < look_s:
                return line
        return None


def rows_of(given: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return a row for each agent of a load (columns of `schema.AGENTS`); none if no agents made it."""
    reports = given.get("agents", ())
    return tuple(
        {
            **{column.name: report[column.name] for column in AGENTS if column.name not in _TOLD_HERE},
            "host": report["agent"].partition("@")[2],
            "share": f"{number}/{len(reports)}",
        }
        for number, report in enumerate(reports)
    )
