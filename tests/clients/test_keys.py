"""The settings of a workload: each has a key, an option and a text, and a wrong one is named as it was typed."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.keys import KEYS, SEED, key_of, texts_of, workload_of
from clients.shapes import Ramp, Steps
from clients.workload import FieldError, Workload

WHOLE = [
    Workload(),
    Workload(connections=64, message_bytes=17, pipeline=3, requests_per_connection=10, think_s=0.005, seed=12),
    Workload(rate_per_s=20000.0, arrivals="poisson", warmup_s=0.25, duration_s=1.5, timeout_s=0.1),
    Workload(rate_per_s=0.5, arrivals="constant"),
    Workload(rate_per_s=1500.0, rate_profile=Ramp(1000, 2000), arrivals="constant"),
    Workload(rate_per_s=1500.0, rate_profile=Steps((1000, 2000)), arrivals="constant"),
    Workload(connections=64, connections_profile=Steps((1, 8, 64))),
    Workload(message_bytes=16384, message_sizes="64:9,16KiB:1"),
]


@pytest.mark.parametrize("workload", WHOLE)
def test_a_workload_that_is_written_is_read_as_the_same(workload):
    assert workload_of(texts_of(workload)) == workload


times_s = st.floats(1e-7, 1e6)
rates = st.floats(1e-3, 1e6)


@given(
    connections=st.integers(1, 10**6),
    message=st.integers(1, 2**30),
    rate=st.none() | rates,
    arrivals=st.sampled_from(["constant", "poisson"]),
    counts=st.tuples(st.integers(1, 999), st.none() | st.integers(1, 999)),
    durations_s=st.tuples(times_s, times_s, times_s),
)
def test_every_workload_of_constant_levels_comes_back(  # noqa: PLR0917 - hypothesis names them
    connections, message, rate, arrivals, counts, durations_s
):
    pipeline, limit = counts
    warmup_s, duration_s, timeout_s = durations_s
    workload = Workload(
        connections=connections,
        message_bytes=message,
        rate_per_s=rate,
        arrivals="closed" if rate is None else arrivals,
        pipeline=pipeline,
        requests_per_connection=limit,
        think_s=warmup_s if rate is None else 0.0,
        warmup_s=warmup_s,
        duration_s=duration_s,
        timeout_s=timeout_s,
    )
    assert workload_of(texts_of(workload)) == workload


def test_every_field_of_a_workload_has_one_setting():
    named = [field for key in (*KEYS.values(), SEED) for field in (key.name, *key.fields)]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(Workload))
    assert key_of("rate_profile") is KEYS["rate_per_s"]


def test_options_are_distinct():
    flags = [flag for key in (*KEYS.values(), SEED) for flag in key.flags]
    assert len(set(flags)) == len(flags)


WRONG = [
    ({"connections": "0"}, "--connections is 0, and must be a whole number, 1 or more"),
    ({"connections": "many"}, "--connections is 'many', and must be a whole number, 1 or more; a ramp 1..64 or"),
    ({"connections": "64..1"}, "--connections is '64..1', and must be a number that only grows, as in 1..64 or"),
    ({"connections": "1,64,8"}, "--connections is '1,64,8', and must be a number that only grows"),
    ({"connections": "1..2.5"}, "--connections is '1..2.5', and must be"),
    ({"rate_per_s": "-5..10"}, "--rate is '-5..10', and must be 0 or more in every part"),
    ({"rate_per_s": "0..0"}, "--rate is 0.0, and must be a number above 0"),
    ({"rate_per_s": "-5"}, "--rate is -5.0, and must be a number above 0"),
    ({"rate_per_s": "fast"}, "--rate is 'fast', and must be a number above 0; a ramp 1000..20000 or"),
    ({"message_bytes": "9..3"}, "--message-bytes is '9..3', and must be a size"),
    ({"message_bytes": "4096MiB"}, "--message-bytes is 4294967296, and must be a whole number from 1 to 1073741824"),
    ({"message_bytes": "1..4096MiB"}, "--message-bytes is 4294967296, and must be"),
    ({"arrivals": "poisson"}, '--arrivals is \'poisson\', and must be "constant" or "poisson" with a rate'),
    ({"arrivals": "bursts", "rate_per_s": "5"}, "--arrivals is 'bursts', and must be"),
    ({"think_s": "1s", "rate_per_s": "5"}, "--think is 1.0, and must be 0 with a rate"),
    ({"pipeline": "many"}, "--pipeline is 'many', and must be a whole number from 1 to 10000"),
    ({"requests_per_connection": "0"}, "--requests-per-connection is 0, and must be"),
    ({"duration_s": "soon"}, "--duration is 'soon', and must be a number of seconds"),
    ({"seed": "-1"}, "--seed is '-1', and must be a whole number, 0 or more"),
]


@pytest.mark.parametrize(("texts", "says"), WRONG)
def test_what_cannot_be_is_named_by_its_option(texts, says):
    with pytest.raises(FieldError) as caught:
        workload_of(texts)
    assert str(caught.value).startswith(says)


def test_arrivals_default_to_those_of_the_command():
    assert workload_of({"rate_per_s": "5"}, arrivals="poisson").arrivals == "poisson"
    assert workload_of({"rate_per_s": "5", "arrivals": "constant"}, arrivals="poisson").arrivals == "constant"
    assert workload_of({}, arrivals="poisson").arrivals == "closed"
