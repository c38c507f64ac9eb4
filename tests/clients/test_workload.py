"""A workload is checked when it is made, and survives storage."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.workload import MESSAGE_MAX_BYTES, Workload, WorkloadError

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
]


@pytest.mark.parametrize(("field", "fields"), CANNOT_BE)
def test_a_workload_that_cannot_be_names_its_field_and_what_it_was_given(field, fields):
    with pytest.raises(WorkloadError, match=rf"^{field} is .*, and must be ") as caught:
        Workload(**fields)
    assert repr(fields.get(field, "closed")) in str(caught.value)


def test_changes_are_checked_again():
    with pytest.raises(WorkloadError, match="connections"):
        Workload().replace(connections=0)


@given(
    connections=st.integers(1, 10**6),
    rate=st.none() | st.floats(0.01, 1e6),
    profile=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6)), max_size=3),
    seed=st.integers(0, 2**63),
)
def test_a_workload_comes_back_from_json_as_it_went(connections, rate, profile, seed):
    workload = Workload(
        connections=connections,
        rate_per_s=rate,
        rate_profile=tuple(profile),
        arrivals="closed" if rate is None else "poisson",
        seed=seed,
    )
    assert Workload.from_json(json.loads(json.dumps(workload.to_json()))) == workload
