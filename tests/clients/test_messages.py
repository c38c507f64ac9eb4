"""What is sent: no message can be taken for another, on its connection or on any other."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from helpers.answering import answering
from helpers.forked import load
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clients.keys import workload_of
from clients.messages import STAMP_BYTES, draw_sizes, messages
from clients.workload import Workload


def taken(workload, connection, count):
    """Return copies: a message is valid only until `pipeline` more were taken."""
    return [bytes(message) for message in islice(messages(workload, connection), count)]


@given(
    size=st.integers(STAMP_BYTES, 5_000),
    pipeline=st.integers(1, 8),
    connections=st.sets(st.integers(0, 100_000), min_size=1, max_size=5),
)
def test_no_two_messages_are_equal_on_a_connection_or_among_connections(size, pipeline, connections):
    workload = Workload(message_bytes=size, pipeline=pipeline)
    everything = [message for number in connections for message in taken(workload, number, 50)]
    assert len(set(everything)) == len(everything)
    assert {len(message) for message in everything} == {size}


@pytest.mark.parametrize("size", range(1, STAMP_BYTES))
def test_short_messages_differ_from_those_in_flight_with_them(size):
    sent = taken(Workload(message_bytes=size, pipeline=16), 3, 300)
    for at in range(len(sent) - 17):
        assert len(set(sent[at : at + 17])) == 17


@given(seed=st.integers(0, 9), text=st.sampled_from(["8..5000", "100:1,8:3", "16..17"]))
def test_messages_of_drawn_sizes_are_unique_too(seed, text):
    workload = workload_of({"message_bytes": text}).replace(seed=seed)
    everything = [message for number in (0, 1, 2) for message in taken(workload, number, 50)]
    assert len(set(everything)) == len(everything)


@given(low=st.integers(1, 5_000), width=st.integers(0, 5_000))
def test_a_range_draws_sizes_within_it(low, width):
    drawn = list(islice(draw_sizes(f"{low}..{low + width}", 5), 200))
    assert low <= min(drawn) <= max(drawn) <= low + width


def test_a_range_is_uniform_and_includes_both_ends():
    counts = np.bincount(list(islice(draw_sizes("3..7", 1), 50_000)), minlength=8)[3:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_mixture_has_its_weights():
    drawn = list(islice(draw_sizes("64:9,16KiB:1", 1), 50_000))
    assert set(drawn) == {64, 16_384}
    assert stats.binomtest(drawn.count(16_384), len(drawn), 0.1).pvalue > 0.01


def test_a_seed_draws_the_same_sizes_again():
    assert list(islice(draw_sizes("1..999", 4), 50)) == list(islice(draw_sizes("1..999", 4), 50))
    assert list(islice(draw_sizes("1..999", 4), 50)) != list(islice(draw_sizes("1..999", 5), 50))


def test_messages_hold_every_byte_value():
    message = taken(Workload(message_bytes=16_384), 0, 1)[0]
    assert set(message) == set(range(256))


@pytest.mark.parametrize("pipeline", [1, 3])
def test_a_message_stays_as_it_is_while_in_flight(pipeline):
    source = messages(Workload(message_bytes=64, pipeline=pipeline), 0)
    for _ in range(10):
        batch = [next(source) for _ in range(pipeline)]
        assert len({bytes(message) for message in batch}) == pipeline


def test_consecutive_messages_differ_at_their_first_byte():
    first, second = taken(Workload(message_bytes=1_024), 0, 2)
    assert first[0] != second[0]


@pytest.mark.parametrize("load_model", [(), ("-c", 1), ("--rate", 2_000), ("--pipeline", 3)])
def test_no_message_of_a_run_is_sent_twice(load_model):
    """Read where they arrive, over all connections and both ways of making them."""
    received = []

    def collects(connection):
        pending = b""
        while data := connection.recv(65_536):
            pending += data
            whole = len(pending) // 64 * 64
            received.extend(pending[at : at + 64] for at in range(0, whole, 64))
            pending = pending[whole:]
            connection.sendall(data)

    with answering(collects) as address:
        run = load(address, "-c", 5, "-s", 64, "-d", "0.15s", *load_model)
    assert len(received) >= run["replies"] > 0
    assert len(set(received)) == len(received)
