"""Agents carrying one load: lined up on a moment of our clock, collected, told in our clock and merged.

As `workers.py` does for processes of this machine, but a lost agent ends the load: a smaller one is never measured.
Between the word to go and the results, the keepers are asked for their time, and the loads nothing.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clients.agents.alike import check_clock
from clients.agents.alive import SILENCE_NS
from clients.agents.line import CLOCK, IS_SILENT, WENT, Line, await_all, confirm
from clients.clock import now_ns
from clients.reference import LoadError
from clients.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clients.agents.clocks import Relation
    from clients.load import Announce
    from clients.workload import Workload

TRIPS_BEFORE, TRIPS_AFTER = 64, 16
TRIPS_NS = 1_000_000_000
CONNECT_S = 30.0
RESULT_S = 10.0
LEAD_NS = 300_000_000
LEAD_TRIPS = 10
"""The start is told so many of the longest round trip ahead, and `LEAD_NS` at least.

A packet that is lost is sent again after 200 ms.
"""
CLOCK_ERROR_MAX_SLICE = 0.1
"""Of a slice of the timeline: what the clocks may be apart."""
DIFFERS_MAX = 0.25
"""Of the median rate per connection: what an agent may be off."""
_STAND_OUT_MIN = 3


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What one agent did, kept beside the merged result. Times in ns; rates per second."""

    agent: str
    agent_offset_ns: int
    agent_clock_error_ns: int
    connections: int
    sent: int
    replies: int
    replies_per_s: float | None
    response_p50_ns: int | None
    response_p99_ns: int | None
    lateness_p99_ns: int | None
    client_cpu_s: float

    def to_json(self) -> dict[str, Any]:
        """Return it as a row."""
        return asdict(self)


class LateStartError(LoadError):
    """Agents, by `names`, that heard of the start after it, so that their loads began late."""

    def __init__(self, names: Sequence[str], lead_ns: int) -> None:
        self.names = names
        super().__init__(
            f"agent {', '.join(names)} heard of the start after it, so nothing of this load was kept: try again, or "
            f"give the word to go earlier (it needs {lead_ns / 1e6:.0f} ms here)"
        )


class AgentGroup:
    """The lines to agents, one per share of the load, in order. `run` may be called once for each load."""

    def __init__(self, lines: Sequence[Line], arguments: Sequence[str]) -> None:
        """Take the arguments of `python -m clients` that all agents have in common."""
        self._lines, self._arguments = lines, arguments
        self._is_interrupted = False
        self.reports: list[AgentReport] = []
        self.lead_ns = LEAD_NS

    def interrupt(self) -> None:
        """Ask every agent to end its window now; may be called before they are started, and by a signal handler."""
        self._is_interrupted = True
        for line in self._lines:
            line.try_to_say("INTERRUPT")

    def run(self, workload: Workload, announce: Announce) -> Result:
        """Line the agents up, start them together and return their merged result.

        Raise AgentLostError when one is gone, WorkloadError when one refuses its share, LoadError when one fails, or
        heard of the start too late.
        """
        before = related(self._lines, TRIPS_BEFORE)
        self.lead_ns = max(LEAD_NS, LEAD_TRIPS * max(clock.slowest_ns for clock in before))
        self._load()
        connect_ns = now_ns() + round((workload.timeout_s + CONNECT_S) * 1e9)
        connected = await_all(self._lines, connect_ns, "did not connect in time")
        standing = [words.split()[1] for words in connected.values() if words.startswith("CONNECTED ")]
        start_ns = None
        if not self._is_interrupted:
            start_ns = announce(sum(map(int, standing)), workload.connections)
        results = self._results(workload, connected, self._went(workload, before, start_ns))
        after = related(self._lines, TRIPS_AFTER)
        clocks = [first.until(later) for first, later in zip(before, after, strict=True)]
        self.reports = [self._report(*each) for each in zip(self._lines, results, clocks, strict=True)]
        if late := [line.name for line, result in zip(self._lines, results, strict=True) if result.told_late_ns]:
            raise LateStartError(late, self.lead_ns)
        return merged(results, clocks, workload)

    def _load(self) -> None:
        for number, line in enumerate(self._lines):
            share = ["--coordinated", "--share", f"{number}/{len(self._lines)}"]
            line.say(f"LOAD {json.dumps([*self._arguments, *share])}")
        if self._is_interrupted:
            self.interrupt()

    def look(self) -> None:
        """Raise AgentLostError for an agent that is not there any more: for while the start is waited for."""
        asked = {line: f"{CLOCK}{line.ask()} " for line in self._lines}
        confirm(asked, now_ns() + SILENCE_NS, IS_SILENT)

    def _went(self, workload: Workload, clocks: Sequence[Relation], start_ns: int | None) -> int:
        """Tell the start, and hear that all were told; return when the window will end, by our clock."""
        if start_ns is None:
            for line in self._lines:
                line.say("STOP")
            return now_ns()
        for line, clock in zip(self._lines, clocks, strict=True):
            line.say(f"GO {clock.to_theirs(start_ns)}")
        confirm(dict.fromkeys(self._lines, WENT), now_ns() + SILENCE_NS, IS_SILENT)
        return start_ns + round((workload.warmup_s + workload.duration_s) * 1e9)

    def _results(self, workload: Workload, connected: Mapping[Line, str], end_ns: int) -> list[Result]:
        deadline_ns = end_ns + round((workload.timeout_s + RESULT_S) * 1e9)
        # One that was interrupted before its connections stood has answered with its result at once.
        given = {line: words for line, words in connected.items() if not words.startswith("CONNECTED ")}
        answers = await_all(self._lines, deadline_ns, "gave no result in time", given)
        return [Result.from_wire(json.loads(answers[line])) for line in self._lines]

    @staticmethod
    def _report(line: Line, result: Result, clock: Relation) -> AgentReport:
        response = result.histograms["response"]
        return AgentReport(
            agent=line.name,
            agent_offset_ns=clock.offset_ns,
            agent_clock_error_ns=clock.error_ns,
            connections=result.connections_established,
            sent=result.sent,
            replies=result.replies,
            replies_per_s=result.replies / result.window_s if result.window_s else None,
            response_p50_ns=response.percentile_ns(0.5),
            response_p99_ns=response.percentile_ns(0.99),
            lateness_p99_ns=result.histograms["lateness"].percentile_ns(0.99),
            client_cpu_s=result.cpu_s,
        )


def related(lines: Sequence[Line], trips: int) -> list[Relation]:
    """Return how each agent's clock relates to ours now, from so many round trips, or fewer that took a second each.

    They are made in turns, so that no agent hears nothing for long. Raise AgentLostError, and WorkloadError for a clock
    that cannot be related.
    """
    until_ns = now_ns() + TRIPS_NS * len(lines)
    made = [[line.trip() for line in lines]]
    while len(made) < trips and now_ns() < until_ns:
        made.append([line.trip() for line in lines])
    return [check_clock(line.name, of_one) for line, of_one in zip(lines, zip(*made, strict=True), strict=True)]


def merged(results: Sequence[Result], clocks: Sequence[Relation], workload: Workload) -> Result:
    """Add results up, one or more, their windows told in our clock."""
    for result, clock in zip(results, clocks, strict=True):
        if result.window_end_ns:
            result.window_start_ns = clock.to_ours(result.window_start_ns)
            result.window_end_ns = clock.to_ours(result.window_end_ns)
    total, *others = results
    total.workload = workload
    for other in others:
        total.merge(other)
    return total


def doubts(reports: Sequence[AgentReport], slice_ns: int) -> dict[str, str]:
    """Return by name what makes the numbers of agents less than they seem, each in a sentence."""
    found = {}
    worst = max(reports, key=lambda report: report.agent_clock_error_ns)
    if worst.agent_clock_error_ns > CLOCK_ERROR_MAX_SLICE * slice_ns:
        found["clocks-apart"] = (
            f"the clock of agent {worst.agent} is known to {worst.agent_clock_error_ns / 1e6:.1f} ms only, and a slice "
            f"of the timeline is {slice_ns / 1e6:.0f} ms: read no moment of it more finely"
        )
    rates = {one.agent: one.replies_per_s / one.connections for one in reports if one.replies_per_s and one.connections}
    if len(rates) >= _STAND_OUT_MIN:
        middle = statistics.median(rates.values())
        name = max(rates, key=lambda agent: abs(rates[agent] - middle))
        if abs(rates[name] - middle) > DIFFERS_MAX * middle:
            found["agents-differ"] = (
                f"agent {name} made {rates[name] / middle:.2f} times as many requests per connection as the median "
                "agent: its machine or its network is unlike the others'"
            )
    return found
