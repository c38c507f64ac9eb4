"""Numbers for people, by table."""

from __future__ import annotations

import math

import pytest

from bench import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.percent(0.068), "+6.8 %"),
        (units.percent(-0.041), "-4.1 %"),
        (units.percent(0.0), "+0.0 %"),
        (units.percent(1.234), "+123 %"),
        (units.percent(0.05, signed=False), "5 %"),
        (units.percent(0.657, signed=False), "65.7 %"),
        (units.percent(math.nan), "unknown"),
        (units.count(1000), "1,000"),
        (units.count(math.nan), "unknown"),
        (units.rate(52341.7), "52,300/s"),
        (units.rate(999.6), "1,000/s"),
        (units.rate(0.0), "0/s"),
        (units.duration(950), "950 ns"),
        (units.duration(12_400), "12.4 µs"),
        (units.duration(999_999), "1 ms"),
        (units.duration(3_100_000), "3.1 ms"),
        (units.duration(1.25e9), "1.25 s"),
        (units.duration(0), "0 ns"),
        (units.duration(math.nan), "unknown"),
        (units.size(64), "64 B"),
        (units.size(1024), "1 KiB"),
        (units.size(19.4 * 2**20), "19.4 MiB"),
        (units.size(3 * 2**30), "3 GiB"),
        (units.compact(50_000), "50k"),
        (units.compact(1_500_000), "1.5M"),
        (units.compact(12), "12"),
    ],
)
def test_a_number_is_written_with_its_unit_and_three_digits(text, expected):
    assert text == expected
