"""Numbers, times and sizes as people write them, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.grammar import (
    GrammarError,
    largest,
    parse_duration_s,
    parse_number,
    parse_size_bytes,
    parse_sizes,
    parse_whole,
    write_duration_s,
    write_number,
)

SIZES = [
    # a number is a number of bytes
    ("64", 64),
    # units of 1024 and of 1000, in any case
    ("1KiB", 1_024),
    ("1kib", 1_024),
    ("2k", 2_048),
    ("10kB", 10_000),
    ("16MiB", 16 * 2**20),
    # a fraction that makes whole bytes
    ("1.5KiB", 1_536),
    (" 7 b ", 7),
]
DURATIONS = [
    ("5s", 5.0),
    ("500ms", 0.5),
    ("250us", 0.00025),
    ("2min", 120.0),
    ("2m", 120.0),
    ("1h", 3_600.0),
    (".5", 0.5),
]
NO_SIZES = ["", "x", "-1", "0", "1.5", "1e3", "1TiB", "nan", "0x10", "64 64", "²", "9" * 400]
NO_DURATIONS = ["", "s", "-1s", "5 parsecs", "inf", "nan", "1e3s", "1:30"]
NO_NUMBERS = ["nan", "inf", "-inf", "1e999", "", "fast", "1.."]
NO_WHOLE_NUMBERS = ["", "-1", "1.5", "1e3", "²", "many", "9" * 5_000]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_sizes_are_read(text, size):
    assert parse_size_bytes(text) == parse_sizes(text) == largest(parse_sizes(text)) == size


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(GrammarError, match="size"):
        parse_size_bytes(text)


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_durations_are_read(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused_by_name(text):
    with pytest.raises(GrammarError, match="duration"):
        parse_duration_s(text)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(GrammarError, match="is not a number"):
        parse_number(text)


@pytest.mark.parametrize("text", NO_WHOLE_NUMBERS)
def test_what_is_no_whole_number_is_refused(text):
    with pytest.raises(GrammarError, match="is not a whole number"):
        parse_whole(text)


def test_numbers_may_be_written_as_python_writes_them():
    assert [parse_number(text) for text in ("1e3", "2.5", "-4")] == [1_000, 2.5, -4]


def test_a_range_and_a_mixture_are_read_with_their_largest_size():
    assert parse_sizes("64..4KiB") == range(64, 4_097)
    assert largest(parse_sizes("64..4KiB")) == 4_096
    assert parse_sizes("64:9,16KiB:1") == ([64, 16_384], [0.9, 0.1])
    assert largest(parse_sizes("16KiB:1,64:9")) == 16_384


@pytest.mark.parametrize(
    "text", ["0", "0..5", "9..3", "5..", "..5", "64:0", "64:-1", "0:1", "64:1,128", "64:nan", "64:1,,2:1"]
)
def test_distributions_that_cannot_be_are_refused(text):
    with pytest.raises(GrammarError):
        parse_sizes(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_written_is_read_as_the_same(number):
    assert parse_number(write_number(number)) == number


@given(st.integers(0, 10**15))
def test_a_whole_number_is_written_as_one(number):
    assert parse_whole(write_number(float(number))) == number


@given(st.floats(0, 1e9) | st.floats(0, 1e-6))
def test_a_duration_that_is_written_is_read_as_the_same(seconds):
    assert parse_duration_s(write_duration_s(seconds)) == seconds


def test_durations_are_written_in_seconds_without_an_exponent():
    assert [write_duration_s(seconds) for seconds in (5.0, 0.5, 1e-7)] == ["5s", "0.5s", "0.0000001s"]
