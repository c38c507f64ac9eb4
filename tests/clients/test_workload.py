"""A workload is checked when it is made, and survives storage."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.shapes import Constant, Ramp, Steps
from clients.workload import MESSAGE_MAX_BYTES, FieldError, Workload, WorkloadError, parse_workload

CANNOT_BE = [
    # nobody to send, nothing to send, nothing in flight
    ("connections", {"connections": 0}),
    ("message_bytes", {"message_bytes": 0}),
    ("pipeline", {"pipeline": 0}),
    # more than a message can be
    ("message_bytes", {"message_bytes": MESSAGE_MAX_BYTES + 1}),
    # a connection that carries nothing would be replaced for ever
    ("requests_per_connection", {"requests_per_connection": 0}),
    ("requests_per_connection", {"requests_per_connection": -1}),
    ("requests_per_connection", {"requests_per_connection": 10**20}),
    ("duration_s", {"duration_s": 1e12}),
    # no window, no patience
    ("duration_s", {"duration_s": 0.0}),
    ("duration_s", {"duration_s": math.nan}),
    ("timeout_s", {"timeout_s": 0.0}),
    ("timeout_s", {"timeout_s": math.inf}),
    ("warmup_s", {"warmup_s": -0.1}),
    ("think_s", {"think_s": math.nan}),
    # rates that cannot be
    ("rate_per_s", {"rate_per_s": 0.0, "arrivals": "constant"}),
    ("rate_per_s", {"rate_per_s": -1.0, "arrivals": "constant"}),
    ("rate_per_s", {"rate_per_s": math.nan, "arrivals": "constant"}),
    ("rate_per_s", {"rate_per_s": math.inf, "arrivals": "constant"}),
    # arrivals belong to a rate, and a rate has arrivals
    ("arrivals", {"arrivals": "poisson"}),
    ("arrivals", {"rate_per_s": 5.0}),
    ("arrivals", {"rate_per_s": 5.0, "arrivals": "bursts"}),
    # random generators take no other
    ("seed", {"seed": -1}),
    # types that only a JSON text could give
    ("connections", {"connections": "64"}),
    ("connections", {"connections": 1.5}),
    ("connections", {"connections": True}),
    ("duration_s", {"duration_s": "5s"}),
    ("message_sizes", {"message_sizes": 64}),
    ("rate_profile", {"rate_profile": [[1.0, 1.0, 2.0]], "rate_per_s": 1.5, "arrivals": "constant"}),
    # thinking is a pause of a closed loop
    ("think_s", {"think_s": 1.0, "rate_per_s": 5.0, "arrivals": "constant"}),
    # a rate is 0 or more in every part of its profile, of which it is the mean
    ("rate_profile", {"rate_profile": Ramp(-5, 10), "rate_per_s": 2.5, "arrivals": "constant"}),
    ("rate_profile", {"rate_profile": Steps((100, -1)), "rate_per_s": 49.5, "arrivals": "poisson"}),
    ("rate_profile", {"rate_profile": Ramp(1, 3), "rate_per_s": 3.0, "arrivals": "constant"}),
    ("rate_profile", {"rate_profile": Ramp(1, 3)}),
    # a level that does not change is no profile
    ("rate_profile", {"rate_profile": Constant(5.0), "rate_per_s": 5.0, "arrivals": "constant"}),
    ("connections_profile", {"connections_profile": Constant(5), "connections": 5}),
    # connections only become more, from none at the least to the number that there is in the end
    ("connections_profile", {"connections_profile": Ramp(64, 1), "connections": 64}),
    ("connections_profile", {"connections_profile": Steps((1, 64, 8)), "connections": 64}),
    ("connections_profile", {"connections_profile": Ramp(-1, 8), "connections": 8}),
    ("connections_profile", {"connections_profile": Ramp(1, 8), "connections": 9}),
    # sizes that can be drawn, several of them, the largest being that of the buffers
    ("message_sizes", {"message_sizes": "9..3", "message_bytes": 9}),
    ("message_sizes", {"message_sizes": "1024"}),
    ("message_sizes", {"message_sizes": "1..64", "message_bytes": 65}),
]


@pytest.mark.parametrize(("field", "fields"), CANNOT_BE)
def test_a_wrong_workload_names_its_field_and_what_was_given(field, fields):
    with pytest.raises(FieldError, match=rf"^{field} is .*, and must be ") as caught:
        Workload(**fields)
    given = fields.get(field, "closed")
    assert (caught.value.field, caught.value.given) == (field, given)
    assert repr(given.text() if hasattr(given, "text") else given) in str(caught.value)


def test_an_error_can_be_told_with_the_name_that_a_person_knows():
    with pytest.raises(FieldError) as caught:
        Workload(rate_profile=Ramp(-5, 10), rate_per_s=2.5, arrivals="constant")
    assert str(caught.value.named("--rate")) == "--rate is '-5..10', and must be 0 or more in every part"


def test_changes_are_checked_again():
    with pytest.raises(WorkloadError, match="connections"):
        Workload().replace(connections=0)


levels = st.floats(0, 1e6)
steps = st.lists(levels, min_size=2).map(tuple).filter(lambda rates: rates[-1] > 0)
profiles = st.none() | st.builds(Ramp, levels, levels) | st.builds(Steps, steps)
crowds = st.lists(st.integers(1, 10**6), min_size=2, max_size=5).map(sorted)


@given(rate=st.none() | st.floats(0.01, 1e6), profile=profiles, crowd=st.none() | crowds, seed=st.integers(0, 2**63))
def test_a_workload_comes_back_from_json_as_it_went(rate, profile, crowd, seed):
    if rate is None or (profile is not None and not profile.mean > 0):
        profile = None
    workload = Workload(
        connections=7 if crowd is None else crowd[-1],
        connections_profile=None if crowd is None else Steps(tuple(map(float, crowd))),
        rate_per_s=rate if profile is None else profile.mean,
        rate_profile=profile,
        arrivals="closed" if rate is None else "poisson",
        seed=seed,
    )
    assert parse_workload(json.dumps(workload.to_json())) == workload


def test_the_json_of_a_workload_is_the_one_that_runs_hold():
    asked = Workload(connections=8, connections_profile=Ramp(1, 8), rate_per_s=5.0, arrivals="poisson")
    assert asked.to_json() == {
        "connections": 8,
        "connections_profile": [[1.0, 1.0, 8.0]],
        "message_bytes": 1024,
        "message_sizes": "",
        "rate_per_s": 5.0,
        "rate_profile": [],
        "arrivals": "poisson",
        "pipeline": 1,
        "requests_per_connection": None,
        "think_s": 0.0,
        "warmup_s": 0.5,
        "duration_s": 5.0,
        "timeout_s": 5.0,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "the workload is not JSON"),
        ("[]", r"the workload is \[\], and must be a JSON object"),
        ('{"conections": 1}', "a workload has no field 'conections'; it has connections, "),
        ('{"connections": "1"}', "connections is '1', and must be a whole number"),
        ('{"rate_profile": 3}', "rate_profile is 3, and must be a shape: 3 is not a list of pieces"),
        ('{"duration_s": Infinity}', "duration_s is inf, and must be"),
    ],
)
def test_a_json_text_that_is_no_workload_is_refused(text, says):
    with pytest.raises(WorkloadError, match=says):
        parse_workload(text)


def test_what_a_json_text_leaves_out_has_its_default():
    assert parse_workload('{"connections": 3}') == Workload(connections=3)


PLAINNESS = [
    # uniform, plain, plain closed loop
    ({}, (True, True, True)),
    ({"rate_per_s": 5.0, "arrivals": "constant"}, (True, True, False)),
    ({"rate_per_s": 5.0, "arrivals": "poisson"}, (True, False, False)),
    ({"rate_per_s": 2.0, "rate_profile": Ramp(1, 3), "arrivals": "constant"}, (True, False, False)),
    ({"connections": 3, "connections_profile": Ramp(1, 3)}, (True, False, False)),
    ({"requests_per_connection": 10}, (True, False, False)),
    ({"pipeline": 2}, (False, False, False)),
    ({"think_s": 0.1}, (False, False, False)),
    ({"message_bytes": 64, "message_sizes": "1..64"}, (False, False, False)),
]


@pytest.mark.parametrize(("fields", "expected"), PLAINNESS)
def test_a_plain_load_is_uniform_constant_and_lasting(fields, expected):
    workload = Workload(**fields)
    assert (workload.is_uniform, workload.is_plain, workload.is_plain_closed_loop) == expected
