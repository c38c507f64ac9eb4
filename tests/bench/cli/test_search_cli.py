"""What `echobench search` says at its end, and with which exit status."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bench.cli.search import conclude, in_words, search
from bench.errors import ExitCode, UsageError
from bench.experiment.doubts import Doubt
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
            {"kept_per_s": 8000, "unknown_per_s": 16000},
            None,
            [f"{KEPT} (7 trials).", "Nothing can be said at 16,000/s: it ended with status 1"],
            ExitCode.INCONCLUSIVE,
        ),
        ({"unknown_per_s": 1000}, None, ["Nothing can be said at 1,000/s: it ended"], ExitCode.INVALID),
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
    found = Found(
        bracket=Bracket(first_per_s=1000, **state), trials=7, stopped=stopped, why_unknown="it ended with status 1"
    )
    lines, got = in_words(found, OBJECTIVE)
    assert got is status
    assert len(lines) == len(said)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


def test_what_a_search_found_fits_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setattr("bench.cli.search.columns", lambda: 40)
    found = Found(bracket=Bracket(first_per_s=1000, kept_per_s=8000, missed_per_s=8200), trials=7, doubts={"steal": 2})
    conclude(found, OBJECTIVE, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "p99 < 10 ms is kept at 8,000/s and not"
    assert max(map(len, lines)) <= 40


def test_the_doubts_of_trials_are_said_with_their_advice():
    found = Found(bracket=Bracket(first_per_s=1000, kept_per_s=8000), trials=7, doubts={Doubt.STEAL: 5})
    lines, _ = in_words(found, OBJECTIVE)
    assert lines[-1] == f"steal: 5 of 7 trials. {Doubt.STEAL.advice}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine=no-such-program {port}"], "mine: cannot run 'no-such-program': there is no such program"),
        (["threads", "--message-bytes", "1000000MiB"], "must be a whole number from 1 to"),
        (["threads", "--slo", "p99 < 10"], "a time needs its unit"),
        (["threads", "--first-rate", "100"], "--first-rate 213, or --duration 5s"),
        (["threads", "--duration", "0s"], "--duration is"),
    ],
)
def test_wrong_use_is_said_before_anything_is_measured(arguments, said):
    done = CliRunner().invoke(search, arguments)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
