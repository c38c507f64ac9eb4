"""A cluster held over many loads: reached or made once, looked over once, then one load after another.

What one load is belongs to `group.py`, and how a worker is reached to `engine.py`. Who needs a process of its own for
this uses `python -m clients.agents`.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clients import hlog
from clients.agents.alike import SHARED, check_reach, check_shares
from clients.agents.asked import cluster_asked
from clients.agents.group import TRIPS_BEFORE, AgentGroup, AgentReport, doubts, related
from clients.agents.line import AgentLostError, Line
from clients.clock import now_ns
from clients.reference import LoadError
from clients.result import side_by_side
from clients.summary import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from clients.agents.clocks import Relation
    from clients.agents.line import Seat
    from clients.load import Announce
    from clients.result import Result
    from clients.target import Target
    from clients.workload import Workload

__all__ = ["AgentLostError", "Carried", "Session", "session"]


class Hired(Protocol):
    """What a session needs of a worker."""

    name: str
    host: str
    described: dict[str, str]

    def opening(self) -> Callable[[], Seat]:
        """Have a keeper started there; return what waits for it."""

    def end(self) -> None:
        """End that keeper."""

    def doctor(self) -> str:
        """Return what its machine's doctor says, as JSON."""


@dataclass(frozen=True, slots=True)
class Carried:
    """One load that all agents carried to its end: the merged result, a report for each agent, doubts by name.

    `lead_ns` is how long before its start the load was told to the agents, at least.
    """

    result: Result
    reports: Sequence[AgentReport]
    doubts: Mapping[str, str]
    lead_ns: int

    def to_json(self) -> dict[str, Any]:
        """Return what there is to say beside the result."""
        return {
            "agents": [report.to_json() for report in self.reports],
            "agent_doubts": dict(self.doubts),
            "start_lead_ns": self.lead_ns,
        }

    def write_log(self, path: Path, tag: str) -> None:
        """Write an HDR interval log of one interval for each kind of duration: the whole window."""
        before_s = (now_ns() - self.result.window_start_ns) / 1e9
        start_s = time.time() - before_s
        with path.open("w") as stream:
            stream.write(hlog.header(start_s))
            recorded = side_by_side(self.result.workload, self.result.histograms)
            hlog.IntervalLog(stream, tag).write(start_s, self.result.window_s, recorded)

    def text(self) -> str:
        """Return a table of the agents, and the doubts."""
        lines = [f"  {'agent':<20}{'replies/s':>12}{'p50':>10}{'p99':>10}{'late p99':>10}{'clock +-':>10}"]
        for one in self.reports:
            times = (one.response_p50_ns, one.response_p99_ns, one.lateness_p99_ns, one.agent_clock_error_ns)
            cells = "".join(f"{duration(value):>10}" for value in times)
            lines.append(f"  {one.agent:<20}{one.replies_per_s or 0:>12,.0f}{cells}")
        return "\n".join([*lines, *(f"\n  {name}: {sentence}" for name, sentence in self.doubts.items())])


class Session:
    """Agents that carry one load after another. `session` makes one, and ends it."""

    def __init__(self, workers: Sequence[Hired], network: str) -> None:
        """Take workers that were looked over, and the network that this process is in."""
        self._workers, self._network = workers, network
        self._lines: list[Line] = []
        self._is_open = False
        self._group: AgentGroup | None = None
        self._is_interrupted = False

    @property
    def agents(self) -> list[str]:
        """The agents' names, in the order of their shares."""
        return [worker.name for worker in self._workers]

    @property
    def is_networked(self) -> bool:
        """Whether an agent is on another machine, or in another network, than this process."""
        return any(worker.described["network"] != self._network for worker in self._workers)

    @property
    def lead_ns(self) -> int:
        """How long before the start of the present load its agents must be told: for use while one is announced."""
        assert self._group is not None
        return self._group.lead_ns

    def carry(
        self, target: Target, workload: Workload, announce: Announce | None = None, *, arguments: Sequence[str] = ()
    ) -> Carried:
        """Have the agents carry one load, and return what they measured.

        `announce` is called when the connections stand, and returns the start in ns of our clock, `lead_ns` ahead at
        least. If it takes longer than a second, it must call `look` once a second, because agents whose coordinator is
        silent give up. Without `announce`, the load starts as soon as all agents can have heard of it. `arguments` are
        further ones for `python -m clients`.

        Raise AgentLostError, with the agent's `name`, when one is gone; LoadError when one fails, or heard of the start
        too late; WorkloadError for a load that cannot be. The session can go on after each of them, except that an
        agent which is lost for good is lost in the next load too. No keeper is left then: the next load has new ones.
        """
        check_shares(len(self._workers), workload)
        check_reach(target, {one.name: one.described["network"] for one in self._workers}, self._network)
        words = [*load_arguments(target, workload), *arguments]
        try:
            self._open()
            self._group = AgentGroup(self._lines, words)
            if self._is_interrupted:
                self._group.interrupt()
            result = self._group.run(workload, announce or self._ahead)
        finally:
            self.hang_up()
        slice_ns = max((interval.length_ns for interval in result.timeline), default=0)
        found = doubts(self._group.reports, slice_ns) if slice_ns else {}
        return Carried(result, self._group.reports, found, self._group.lead_ns)

    def survey(self) -> dict[str, Any]:
        """Return what there is to know of each agent before a load, and the network of this process.

        One agent after the other, because those of one machine would disturb each other. Raise AgentLostError, and
        LoadError for an agent that cannot examine its machine.
        """
        self._open()
        clocks = related(self._lines, TRIPS_BEFORE)
        agents = [_surveyed(*each) for each in zip(self._workers, clocks, strict=True)]
        return {"network": self._network, "agents": agents}

    def interrupt(self) -> None:
        """End the window of the present load now, and of those to come; may be called by a signal handler."""
        self._is_interrupted = True
        if self._group is not None:
            self._group.interrupt()

    def look(self) -> None:
        """Raise AgentLostError if an agent is not there any more: for who is asked for the start and takes his time."""
        assert self._group is not None
        self._group.look()

    def hang_up(self) -> None:
        """End the keepers and what they do: also of an agent that is stopped, or has no line yet."""
        for line in self._lines:
            line.close()
        for worker in self._workers if self._is_open else ():
            worker.end()
        self._lines, self._is_open = [], False

    def _open(self) -> None:
        """Start all keepers at once: machines do not wait for each other."""
        self._is_open = True
        for seat in [worker.opening() for worker in self._workers]:
            self._lines.append(Line(seat()))

    def _ahead(self, _established: int, _requested: int) -> int:
        """Start when all agents have surely heard of it."""
        return now_ns() + self.lead_ns


def _surveyed(worker: Hired, clock: Relation) -> dict[str, Any]:
    said = worker.doctor()
    if not said.startswith("{"):
        raise LoadError(f"agent {worker.name} cannot examine its machine: {said.strip()}")
    return {
        "agent": worker.name,
        "network": worker.described["network"],
        "versions": {name: worker.described[name] for name in SHARED},
        "agent_offset_ns": clock.offset_ns,
        "agent_clock_error_ns": clock.error_ns,
        "slowest_trip_ns": clock.slowest_ns,
        "findings": json.loads(said)["findings"],
    }


@contextmanager
def session(agents: str, *, is_insecure: bool = False) -> Iterator[Session]:
    """Reach the cluster that `agents` names, as `--agents` does, or make it; and end it if it was made here.

    Raise WorkloadError for what cannot be used: no Dask, no scheduler, too few workers, workers unlike this machine.
    """
    cluster = cluster_asked(agents, is_insecure=is_insecure)
    from clients.agents.engine import described, workers_of  # noqa: PLC0415 - Dask is loaded for agents only

    with ExitStack() as stack:
        made = Session(stack.enter_context(workers_of(cluster)), described()["network"])
        stack.callback(made.hang_up)
        yield made


def load_arguments(target: Target, workload: Workload) -> list[str]:
    """Return what all agents of a load are told, in the words of `python -m clients`."""
    words = [target.text, "--workload", json.dumps(workload.to_json())]
    return words + (["--via", target.host] if target.is_tcp else [])
