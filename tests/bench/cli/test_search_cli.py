"""What `echobench search` says at its end, and with which exit status."""

from __future__ import annotations

import pytest

from bench.cli.search import in_words
from bench.errors import ExitCode
from bench.experiment.model import StopReason
from bench.experiment.search import Bracket, Found, Objective

OBJECTIVE = Objective(limit_ns=10e6)
KEPT = "p99 < 10 ms is kept at 8,000/s"


@pytest.mark.parametrize(
    ("state", "stopped", "said", "status"),
    [
        ({"kept_per_s": 8000, "missed_per_s": 8200}, None, [f"{KEPT} and not at 8,200/s (7 trials)."], ExitCode.FINE),
        ({"missed_per_s": 1}, None, ["No rate down to 1/s kept p99 < 10 ms."], ExitCode.INVALID),
        (
            {"kept_per_s": 8000, "missed_per_s": 8200, "limited_by_generator": True},
            None,
            [f"{KEPT} and not at 8,200/s (7 trials).", "The load generator was the limit"],
            ExitCode.INCONCLUSIVE,
        ),
        (
            {"kept_per_s": 8000},
            StopReason.INTERRUPTED,
            [f"{KEPT} (7 trials).", "Interrupted before the search was over. The highest rate may be another."],
            ExitCode.INCONCLUSIVE,
        ),
        (
            {},
            StopReason.INTERRUPTED,
            ["Interrupted before the search was over. No rate had kept it yet."],
            ExitCode.INCONCLUSIVE,
        ),
    ],
)
def test_a_search_says_what_it_found_and_why_it_ended(state, stopped, said, status):
    found = Found(bracket=Bracket(first_per_s=1000, **state), trials=7, stopped=stopped)
    lines, got = in_words(found, OBJECTIVE)
    assert got is status
    assert len(lines) == len(said)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))
