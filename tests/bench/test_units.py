"""Numbers for people, by table."""

from __future__ import annotations

import math
import re

import pytest
from helpers.checkout import CHECKOUT

from bench import units
from bench.stats import Estimate


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
        (units.share(0.657), "65.7 %"),
        (units.ratio(0.9666), "0.97"),
        (units.ratio(10.314), "10.31"),
        (units.ratio(0.0968), "0.097"),
        (units.ratio(0.0004), "0.0004"),
        (units.ratio(0.0), "0.000"),
        (units.ratio(math.nan), "unknown"),
        (units.number(1234.5), "1,230"),
        (units.number(0.12345), "0.123"),
        (units.plural(1, "trial"), "1 trial"),
        (units.plural(1200, "trial"), "1,200 trials"),
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


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Estimate(1.239, 1.1, 1.4, 0.95), "1.24 [1.10, 1.40]"),
        (Estimate(1.239, math.nan, math.nan, 0.95), "1.24"),
        (Estimate(1.239, 1.1, math.inf, 0.95), "1.24"),
        (Estimate(math.nan, 0.0, 1.0, 0.95), "-"),
        (None, "-"),
    ],
)
def test_an_estimate_is_written_in_one_way(found, expected):
    assert units.estimate(found, units.ratio) == expected


def test_bounds_stand_alone_where_the_point_stands_elsewhere():
    assert units.bounds(Estimate(0.05, 0.04, 0.06, 0.95), units.percent) == "[+4.0 %, +6.0 %]"
    assert units.bounds(Estimate(0.05, math.nan, math.nan, 0.95), units.percent) == ""


def test_only_units_writes_an_interval():
    """The notation stands in one place: no other file puts a `low` and a `high` between brackets or words."""
    by_hand = re.compile(r"\.low\)?\}.{0,12}\{.*\.high")
    files = {path.name for path in (CHECKOUT / "bench").rglob("*.py") if by_hand.search(path.read_text())}
    assert files == {"units.py"}


def test_lines_that_fit_and_files_are_not_folded():
    assert units.folded("slower by 9 % today", 19) == "slower by 9 % today"
    assert units.folded("slower by 9 % today", None) == "slower by 9 % today"
    assert units.folded("slower by 9 % today", 11) == "slower by\n9 % today"
    assert units.folded("slower [1.2 %, 3 %]", 17) == "slower\n[1.2 %, 3 %]"
