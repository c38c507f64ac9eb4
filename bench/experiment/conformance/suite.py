"""Cases run against a server, in order, each on a process that nothing before it has harmed.

A process is shared by cases until one fails or one asks for a fresh one. Values come out; the command line renders.
"""

from __future__ import annotations

import errno
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psutil

from bench.errors import ExitCode, ServerError, UsageError
from bench.experiment.conformance.case import CASES, Access, BrokenError, Case, CaseResult, Group, Outcome, UntriedError
from bench.experiment.conformance.crowds import verify_limit
from bench.experiment.conformance.subject import Subject
from bench.experiment.conformance.wire import Deadline
from bench.experiment.planning.preflight import check_connections, check_target
from bench.experiment.trial import lifeline
from bench.experiment.trial.child import STOP_TIMEOUT_S
from bench.experiment.trial.process import RunningServer, launch
from bench.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.experiment.model import Server

START = "start"
"""The case before all others: the server starts, and listens in time."""

PATIENCE_S = 5.0
DYING_S = 0.2  # its sockets are closed a moment before its process is gone
GOOD = (Outcome.PASSED, Outcome.LIMITED)


def exit_code(results: Iterable[Sequence[CaseResult]]) -> ExitCode:
    """Return what the results of some servers come to: what was not tried is not passed.

    INVALID if a case failed. Else INCONCLUSIVE if a case could not be tried on this machine, or if a server that runs
    was held to no case at all. A server that cannot run here has a gap, and decides nothing.
    """
    by_server = [{result.case: result.outcome for result in found} for found in results]
    if any(Outcome.FAILED in outcomes.values() for outcomes in by_server):
        return ExitCode.INVALID
    is_sure = all(_was_tried(outcomes) for outcomes in by_server if outcomes[START] is not Outcome.SKIPPED)
    return ExitCode.FINE if is_sure else ExitCode.INCONCLUSIVE


def _was_tried(outcomes: Mapping[str, Outcome]) -> bool:
    held = any(outcome in GOOD for case, outcome in outcomes.items() if case != START)
    return held and Outcome.UNTRIED not in outcomes.values()


def basic(server: Server) -> list[CaseResult]:
    """Return the results of the basic cases: what a server must do before a stopwatch is held to it."""
    return list(check(server, cases_of(Group.BASIC)))


def cases_of(*groups: Group) -> list[Case]:
    """Return the cases of these groups in the order in which they run: the cheap before the dear."""
    return [case for group in Group if group in groups for case in CASES.values() if case.group is group]


def check(
    server: Server, cases: Sequence[Case], *, patience_s: float = PATIENCE_S, stop_timeout_s: float = STOP_TIMEOUT_S
) -> Generator[CaseResult, None, None]:
    """Run the cases in order and yield each result as it comes; the first is that of START.

    `patience_s` is how long a single answer may take. A server that cannot run here, or does not start, skips or fails
    START; then the cases are skipped. Close the iterator to end the server early.
    """
    for case in cases:
        _too_many(case.connections)  # before the server is started: it inherits the limit
    with scratch() as folder, ExitStack() as stack:
        lifeline.leave_nothing(folder)
        host = _Host(server, folder / "server.log", stack, patience_s, stop_timeout_s)
        started = host.start()
        yield started
        bad = set() if started.outcome is Outcome.PASSED else {START}
        for case in cases:
            result = _skipped(server, case, bad) or host.run(case)
            if result.outcome not in GOOD:
                bad.add(case.name)
            yield result


def _skipped(server: Server, case: Case, bad: Collection[str]) -> CaseResult | None:
    """Return the result of a case that cannot be run, or None if it can be."""
    blocker = next((name for name in (START, *case.needs) if name in bad), None)
    reason = _why_not_for(server, case) if blocker is None else f"needs {blocker}, which did not pass"
    if reason is not None:
        return CaseResult(case=case.name, outcome=Outcome.SKIPPED, detail=reason, because_of=blocker)
    reason = _too_many(case.connections)
    return None if reason is None else CaseResult(case=case.name, outcome=Outcome.UNTRIED, detail=reason)


def _why_not_for(server: Server, case: Case) -> str | None:
    if case.access is Access.NONE or server.target is None:
        return None
    if case.access is Access.OWN:
        return "not for a server that we did not start: it would be ended or restricted"
    return "needs the pid of the server" if server.pid is None else None


def _too_many(connections: int) -> str | None:
    """Raise our soft limit of descriptors, which the server inherits, as far as needed; say so if it cannot be."""
    try:
        check_connections(connections)
    except UsageError as error:
        return str(error)
    return None


class _Host:
    """The server's current process: kept as long as it is fit for the next case, started again when it is not."""

    def __init__(self, server: Server, log: Path, stack: ExitStack, patience_s: float, stop_timeout_s: float) -> None:
        self.server = server
        self._log = log
        self._stack = stack
        self._patience_s = patience_s
        self._stop_timeout_s = stop_timeout_s
        self._running: RunningServer | None = None

    def start(self) -> CaseResult:
        """Start the server for the first time."""
        if self.server.gap is not None:
            return CaseResult(case=START, outcome=Outcome.SKIPPED, detail=self.server.gap)
        began_s = time.monotonic()
        try:
            self._fit(fresh=False)
        except ServerError as error:
            return _ended(START, Outcome.FAILED, str(error), began_s)
        except OSError as error:
            return _ended(START, Outcome.UNTRIED, _untried(error), began_s)
        return _ended(START, Outcome.PASSED, "", began_s)

    def run(self, case: Case) -> CaseResult:
        """Run one case; leave the process to the next one only if it passed and did nothing to it."""
        began_s = time.monotonic()
        try:
            running = self._fit(fresh=case.fresh)
            target = Subject(
                host=running.host,
                port=running.port,
                pid=running.pid,
                connections_max=self.server.connections_max,
                stop_signal=self.server.stop_signal,
                deadline=Deadline(case.limit_s),
                patience_s=self._patience_s,
            )
            if target.connections_max is not None and case.connections > target.connections_max:
                return _ended(case.name, Outcome.LIMITED, verify_limit(target, target.connections_max), began_s)
            detail = case.behaviour(target, **case.parameters) or ""
        except (BrokenError, ServerError) as error:
            detail = self._explained(str(error))
            self._discard()
            return _ended(case.name, Outcome.FAILED, detail, began_s)
        except (UntriedError, OSError, psutil.AccessDenied) as error:
            # No ports or no descriptors left on our side, or no right to look: that says nothing about the server.
            self._discard()
            return _ended(case.name, Outcome.UNTRIED, _untried(error), began_s)
        if case.fresh:
            self._discard()
        return _ended(case.name, Outcome.PASSED, detail, began_s)

    def _fit(self, *, fresh: bool) -> RunningServer:
        if fresh:
            self._discard()
        if self._running is None:
            self._running = self._stack.enter_context(
                launch(self.server, log=self._log, stop_timeout_s=self._stop_timeout_s)
            )
        return self._running

    def _discard(self) -> None:
        self._stack.close()
        self._running = None

    def _explained(self, broken: str) -> str:
        """Add what became of the process, if it has ended: then that is the news."""
        if self.server.target is not None:
            return broken if _answers(self.server) else f"{broken}; {_GONE}"
        child = self._running.child if self._running is not None else None
        if child is None or not child.ended_within(DYING_S):
            return broken
        return f"{broken}; the server has ended with status {child.returncode}, {child.log_tail()}"


_CURES = {
    errno.EADDRNOTAVAIL: "no local port is free: wait a minute, or widen net.ipv4.ip_local_port_range",
    errno.ENETUNREACH: "this network has no way there: bring it up, as in `ip link set lo up`",
    errno.EMFILE: "no descriptor is left: raise the limit with `ulimit -n`",
}


_GONE = (
    "nothing listens there any more, so our own connection, or another client's, has ended it: start a server that"
    " outlives its clients"
)


def _answers(server: Server) -> bool:
    """Whether a server that runs already, and did answer, still accepts a connection."""
    try:
        check_target(server)
    except UsageError:
        return False
    return True


def _untried(error: Exception) -> str:
    cure = _CURES.get(error.errno or 0) if isinstance(error, OSError) else None
    return f"could not be tried here: {cure or error}"


def _ended(name: str, outcome: Outcome, detail: str, began_s: float) -> CaseResult:
    return CaseResult(case=name, outcome=outcome, detail=detail, seconds=time.monotonic() - began_s)
