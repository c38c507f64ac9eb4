"""What can make a trial's numbers less than they seem: an enumerated list, each with advice. Imports nothing of ours.

A doubt never changes a number; it is stored with the trial and shown wherever the number is shown. A row here needs a
predicate in `examine.py`, under its name. The one exception is a doubt that only all trials of a cell can raise: it
says so, and `analysis/runs/run_folder.py` finds it when a run is read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Doubt(StrEnum):
    """Codes stored in the `doubts` column of a trial, in the order in which they are shown.

    `advice` says in a sentence or two what it means and what to do. `of_cell` says that one trial alone cannot show it.
    """

    advice: str
    of_cell: bool

    def __new__(cls, code: str, advice: str, of_cell: bool = False) -> Self:
        """Make a member that is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.advice = advice
        member.of_cell = of_cell
        return member

    GENERATOR_SATURATED = (
        "generator-saturated",
        "The load generator was the limit: read the throughput as a lower bound and compare server CPU per reply.",
    )
    NOT_STEADY = ("not-steady", "The rate drifted within the window: lengthen warmup_s.")
    MODES = (
        "modes",
        "The trials of this cell fall into two groups: look at the single trials, not at their average.",
        True,
    )
    CORES_SHARED = (
        "cores-shared",
        "Server and generator shared a core, or a quota below 2 CPUs: throughput measures both. Give the job 2 CPUs.",
    )
    STEAL = ("steal", "The hypervisor took CPU time away: repeat when the host is quieter.")
    FOREIGN_CPU = ("foreign-cpu", "Other processes used the cores: stop them, or repeat later.")
    THROTTLED = (
        "throttled",
        "The CPU quota of the cgroup was used up, which stops server and generator: allow the job 2 CPUs or more.",
    )
    STOPPED = (
        "stopped",
        "Server, generator or bench stood still for a while (Ctrl-Z, a debugger, a frozen container): repeat it.",
    )
    DISTURBS = (
        "disturbs",
        "The server used CPU while others had their turn, which took it from them: measure it with --design solo.",
    )
    LATE_SENDS = (
        "late-sends",
        "Requests left later than planned, or not at all: lower the rate, or use more connections or workers.",
    )
    ERRORS = ("errors", "Some requests failed; they are counted apart and never enter a latency.")
    CLOSES_AFTER_REPLY = (
        "closes-after-reply",
        "The server closed the connection after each reply: load it with --requests-per-connection 1.",
    )
    NO_LOCAL_PORT = (
        "no-local-port",
        "Ours, not the server's: no local port was left. Make fewer new connections, or widen ip_local_port_range.",
    )
    NO_DESCRIPTOR = (
        "no-descriptor",
        "Ours, not the server's: no descriptor was left. Raise the limit (ulimit -n), or use fewer connections.",
    )
    SLOW_CONNECTS = (
        "slow-connects",
        "Connecting took 1 s or more, as when the server's backlog is full: call listen() with a larger one.",
    )
    DELAYED_ACK = (
        "delayed-ack",
        "The median reply took the 40 ms of a delayed ACK, and both sides were idle: set TCP_NODELAY in the server.",
    )
    FEW_SAMPLES = ("few-samples", "Too few replies for the high percentiles: lengthen duration_s.")
    CONNECTIONS_MISSING = (
        "connections-missing",
        "Fewer connections stood than were asked for: see the server's limit and log.",
    )
    NONCONFORMING = (
        "nonconforming",
        "This server did not pass `echobench check`: its numbers do not stand for a correct echo.",
    )
    SERVER_KILLED = ("server-killed", "The server ignored its stop signal and was killed.")
    MONITOR_GAPS = (
        "monitor-gaps",
        "Some resource samples could not be taken in time: maxima may be low, and CPU is unknown.",
    )
    CLOCKS_APART = (
        "clocks-apart",
        "An agent's clock is known less well than a tenth of a slice of the timeline: read no moment more finely.",
    )
    AGENTS_DIFFER = (
        "agents-differ",
        "An agent made a rate unlike the others': see its row in agents.parquet, its machine and its network.",
    )
    CPU_LOST = (
        "cpu-lost",
        "Processes of it ended, or may have, and took their CPU time along: let it wait for children (no SIG_IGN).",
    )
    SERVER_UNSEEN = (
        "server-unseen",
        "Another process serves than the one that was started or named, as with `docker run`: give --target and --pid.",
    )


OF_THE_HOST = (Doubt.CORES_SHARED, Doubt.STEAL, Doubt.FOREIGN_CPU, Doubt.THROTTLED, Doubt.STOPPED)
"""Those that this machine is to blame for, whatever was measured on it."""


def lines(counts: Mapping[Doubt, int] | Mapping[str, int], trials: int) -> list[str]:
    """Return a line for each doubt that was counted: how many of the trials carry it, and what to do."""
    return [f"{doubt}: {counts[doubt]} of {trials} trials. {doubt.advice}" for doubt in Doubt if counts.get(doubt)]
