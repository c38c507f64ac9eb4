"""Every doubt by table: the number that just raises it, and the number that just does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.experiment.doubts import Doubt
from bench.experiment.trial import examine
from bench.experiment.trial.examine import Circumstances, doubts, is_generator_saturated, without_unseen_cpu
from bench.metrics import ERROR_CLASSES, OUR_FAULTS
from clients.faults import OURS, Failure

FINE = {
    "replies_per_s": 50_000.0,
    "response_p50_ns": 100_000.0,
    "response_p99_ns": 300_000.0,
    "errors": 0,
    "connections_requested": 64,
    "connections_established": 64,
    "client_cpu_share": 0.6,
    "server_cpu_share": 0.99,
    "machine_steal_share": 0.0,
    "machine_foreign_cpu_share": 0.01,
}
STEADY = [{"replies": 5000, "slice_s": 0.1}] * 20


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"errors": 1}, (Doubt.ERRORS,)),
        ({"errors": 3, "errors_unsent": 3}, (Doubt.LATE_SENDS,)),
        ({"errors": 4, "errors_unsent": 3}, (Doubt.LATE_SENDS, Doubt.ERRORS)),
        ({"response_p99_ns": None}, (Doubt.FEW_SAMPLES,)),
        ({"machine_steal_share": 0.05}, ()),
        ({"machine_steal_share": 0.051}, (Doubt.STEAL,)),
        ({"machine_steal_share": None}, ()),
        ({"machine_throttled_share": 0.0}, ()),
        ({"machine_throttled_share": 0.001}, (Doubt.THROTTLED,)),
        ({"machine_throttled_share": None}, ()),
        ({"machine_foreign_cpu_share": 0.10}, ()),
        ({"machine_foreign_cpu_share": 0.11}, (Doubt.FOREIGN_CPU,)),
        ({"lateness_p99_ns": 100_000.0}, ()),
        ({"lateness_p99_ns": 100_001.0}, (Doubt.LATE_SENDS,)),
        ({"lateness_p99_ns": 400_000.0, "response_p50_ns": 5_000_000.0}, ()),
        ({"lateness_p99_ns": 600_000.0, "response_p50_ns": 5_000_000.0}, (Doubt.LATE_SENDS,)),
        ({"lateness_p99_ns": None}, ()),
        ({"connections_established": 63}, (Doubt.CONNECTIONS_MISSING,)),
        ({"client_cpu_share": 0.97, "server_cpu_share": 0.5}, (Doubt.GENERATOR_SATURATED,)),
        ({"errors": 3, "machine_steal_share": 0.2}, (Doubt.STEAL, Doubt.ERRORS)),
        ({"errors_no_local_port": 1}, (Doubt.NO_LOCAL_PORT,)),
        ({"errors_no_descriptor": 1}, (Doubt.NO_DESCRIPTOR,)),
        ({"connect_max_ns": 1.0e9}, (Doubt.SLOW_CONNECTS,)),
        ({"connect_max_ns": 0.99e9}, ()),
        ({"replies": 100, "idle_closed": 90}, (Doubt.CLOSES_AFTER_REPLY,)),
        ({"replies": 100, "idle_closed": 89}, ()),
        ({"replies": 0, "idle_closed": 64}, ()),
        (
            {"replies": 100, "errors": 95, "errors_closed_early": 50, "errors_reset": 45},
            (Doubt.ERRORS, Doubt.CLOSES_AFTER_REPLY),
        ),
    ],
)
def test_doubts_from_the_numbers(changes, expected):
    assert doubts({**FINE, **changes}, STEADY, Circumstances()) == expected


IDLE = {"client_cpu_share": 0.03, "server_cpu_share": 0.02}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**IDLE, "service_p50_ns": 44.0e6}, (Doubt.DELAYED_ACK,)),
        ({**IDLE, "server_cpu_share": None, "service_p50_ns": 40.1e6}, (Doubt.DELAYED_ACK,)),
        ({**IDLE, "service_p50_ns": 38.9e6}, ()),
        ({**IDLE, "service_p50_ns": 51.0e6}, ()),
        ({**IDLE, "service_p50_ns": 44.0e6, "server_cpu_share": 0.9}, ()),  # they queue
        ({**IDLE, "service_p50_ns": 44.0e6, "client_cpu_share": 0.9}, ()),
    ],
)
def test_forty_milliseconds_are_a_delayed_ack_where_both_sides_idle(changes, expected):
    assert doubts({**FINE, **changes}, STEADY, Circumstances()) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"cores_shared": True}, Doubt.CORES_SHARED),
        ({"was_killed": True}, Doubt.SERVER_KILLED),
        ({"has_monitor_gaps": True}, Doubt.MONITOR_GAPS),
        ({"is_cpu_lost": True}, Doubt.CPU_LOST),
        ({"was_stopped": True}, Doubt.STOPPED),
        ({"is_server_unseen": True}, Doubt.SERVER_UNSEEN),
        ({"is_nonconforming": True}, Doubt.NONCONFORMING),
    ],
)
def test_doubts_from_the_circumstances(known, expected):
    assert doubts(FINE, STEADY, Circumstances(**known)) == (expected,)


NO_CPU = {"server_cpu_s": 0.0, "server_cpu_share": 0.0, "server_cpu_us_per_reply": 0.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**NO_CPU, "replies": 5}, (Doubt.SERVER_UNSEEN,)),
        # an idle core of a server that was not seen says nothing about who was the limit
        ({**NO_CPU, "replies": 5, "client_cpu_share": 0.99}, (Doubt.SERVER_UNSEEN,)),
        ({**NO_CPU, "replies": 0}, ()),
        ({"server_cpu_s": 1e-6, "replies": 5}, ()),
        ({"replies": 5}, ()),
    ],
)
def test_replies_without_cpu_time_came_from_an_unwatched_process(changes, expected):
    assert doubts({**FINE, **changes}, STEADY, Circumstances()) == expected


def test_cpu_that_was_not_seen_is_not_known_rather_than_zero():
    metrics = {**NO_CPU, "server_cpus": "0", "server_rss_max_bytes": 7}
    assert without_unseen_cpu({**metrics, "replies": 5}) == {
        "server_cpus": "0",
        "server_rss_max_bytes": 7,
        "replies": 5,
    }
    assert without_unseen_cpu({**metrics, "replies": 0}) == {**metrics, "replies": 0}


def test_every_doubt_has_advice():
    assert all(doubt.advice.endswith(".") for doubt in Doubt)


@pytest.mark.parametrize(
    ("client", "server", "rate", "ceiling", "expected"),
    [
        (0.97, 0.99, 95_000, 100_000, True),  # near its ceiling
        (0.97, 0.50, 80_000, 100_000, True),  # below its ceiling, and the server has time left all the same
        (0.97, 0.97, 80_000, 100_000, False),  # both are busy, and it is known to do more
        (0.97, None, 80_000, 100_000, False),  # the server cannot be seen
        (0.90, 0.50, 99_000, 100_000, False),  # not busy
        (0.97, 0.50, 95_000, None, True),  # not calibrated: the server has time left
        (0.97, 0.97, 95_000, None, False),  # not calibrated: both are busy
        (0.97, None, 95_000, None, False),  # not calibrated, and the server cannot be seen
        (None, 0.50, 95_000, None, False),
    ],
)
def test_a_saturated_generator_is_busy_at_its_ceiling_or_beside_time_left(client, server, rate, ceiling, expected):
    metrics = {"client_cpu_share": client, "server_cpu_share": server, "replies_per_s": rate}
    assert is_generator_saturated(metrics, ceiling) is expected


def test_every_doubt_of_a_trial_has_a_predicate():
    """The names of the predicates are read from the source: a doubt without one would raise KeyError in every trial."""
    source = Path(examine.__file__).read_text()
    assert set(re.findall(r"^ +Doubt\.(\w+):", source, re.MULTILINE)) == {
        doubt.name for doubt in Doubt if not doubt.of_cell
    }


def test_a_window_whose_rate_moved_is_doubted():
    ramp = [{"replies": 5000 + 200 * step, "slice_s": 0.1} for step in range(20)]
    assert doubts(FINE, ramp, Circumstances()) == (Doubt.NOT_STEADY,)


def test_every_failure_of_the_generator_is_of_the_server_or_ours():
    assert (set(ERROR_CLASSES), set(OUR_FAULTS)) == ({*Failure} - OURS, {*OURS})


def test_what_agents_doubt_of_themselves_is_a_doubt_of_the_trial():
    known = Circumstances(agent_doubts={"clocks-apart": "a sentence", "agents-differ": "another"})
    assert doubts(FINE, STEADY, known) == (Doubt.CLOCKS_APART, Doubt.AGENTS_DIFFER)
