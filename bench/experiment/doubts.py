"""What can make a trial's numbers less than they seem: an enumerated list, each with advice. Imports nothing of ours.

A doubt never changes a number; it is stored with the trial and shown wherever the number is shown.
"""

from __future__ import annotations

from enum import StrEnum


class Doubt(StrEnum):
    """Codes stored in the `doubts` column of a trial."""

    GENERATOR_SATURATED = "generator-saturated"
    NOT_STEADY = "not-steady"
    MODES = "modes"
    CORES_SHARED = "cores-shared"
    STEAL = "steal"
    FOREIGN_CPU = "foreign-cpu"
    LATE_SENDS = "late-sends"
    ERRORS = "errors"
    FEW_SAMPLES = "few-samples"
    CONNECTIONS_MISSING = "connections-missing"
    NONCONFORMING = "nonconforming"
    SERVER_KILLED = "server-killed"
    MONITOR_GAPS = "monitor-gaps"
    SERVER_UNSEEN = "server-unseen"


ADVICE: dict[Doubt, str] = {
    Doubt.GENERATOR_SATURATED: (
        "The load generator was the limit: read the throughput as a lower bound and compare server CPU per reply."
    ),
    Doubt.NOT_STEADY: "The rate drifted within the window: lengthen warmup_s.",
    Doubt.MODES: "The trials of this cell fall into two groups: look at the single trials, not at their average.",
    Doubt.CORES_SHARED: "Server and generator shared a core: throughput measures both. Use a machine with 2 cores.",
    Doubt.STEAL: "The hypervisor took CPU time away: repeat when the host is quieter.",
    Doubt.FOREIGN_CPU: "Other processes used the cores: stop them, or repeat later.",
    Doubt.LATE_SENDS: "Requests left later than planned: lower the rate, or use more connections or workers.",
    Doubt.ERRORS: "Some requests failed; they are counted apart and never enter a latency.",
    Doubt.FEW_SAMPLES: "Too few replies for the high percentiles: lengthen duration_s.",
    Doubt.CONNECTIONS_MISSING: "Fewer connections stood than were asked for: see the server's limit and log.",
    Doubt.NONCONFORMING: "This server failed `bench check`: its numbers do not stand for a correct echo.",
    Doubt.SERVER_KILLED: "The server ignored its stop signal and was killed.",
    Doubt.MONITOR_GAPS: "Some resource samples could not be taken: their maxima may be low.",
    Doubt.SERVER_UNSEEN: (
        "There were replies, and no CPU of the watched process was seen: if another process serves, give its --pid."
    ),
}
