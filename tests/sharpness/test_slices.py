"""The session `slices`: its tables from made-up slices, without enough descriptors, and a small block of its own."""

from __future__ import annotations

import math
import random
import shutil
import time
from statistics import NormalDist

import pytest
from helpers.checkout import CHECKOUT
from sharpness import slices
from sharpness.slice_block import INSTANTS_S
from sharpness.slices_table import instants_table, lengths_table, spread


def launch(ratios, slice_s=0.02):
    """Return a launch whose first server is so many times as fast as the second and third, pass by pass."""
    return {
        "slices": [
            [
                {
                    "pass": number,
                    "slice_s": slice_s,
                    "replies": 100 * factor,
                    "server_cpu_s": 0.01,
                    "response_p50_ns": 1.0,
                }
                for number, factor in enumerate(factors, 1)
            ]
            for factors in (ratios, [1.0] * len(ratios), [1.0] * len(ratios))
        ]
    }


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_a_bias_is_shown_with_its_interval():
    table = lengths_table([(64, 0.02, [launch([1.1] * 4) for _ in range(6)])])
    throughput, cpu = cells(table)
    assert throughput[:5] == ["64", "20 ms", "20 ms", "24", "throughput"]
    assert throughput[7] == "1.100 [1.100, 1.100]"
    assert cpu[7] == "0.909 [0.909, 0.909]"
    assert throughput[8] == "0.909 [0.909, 0.909]"
    assert cpu[8] == "1.100 [1.100, 1.100]"
    assert throughput[9] == "5,250/s"
    assert cpu[9] == "95.2 µs"


def test_few_launches_have_no_interval():
    table = lengths_table([(64, 0.02, [launch([1.0] * 4)])])
    assert cells(table)[0][7] == "1.000 [NA]"


def test_a_single_pass_of_each_launch_has_no_spread():
    table = lengths_table([(64, 0.4, [launch([1.0])] * 6)])
    assert cells(table)[0][5:7] == ["NA", "NA"]


def test_the_spread_is_that_of_passes_and_not_of_launches():
    quantiles = [NormalDist(0, 0.2).inv_cdf((i + 0.5) / 400) for i in range(400)]
    random.Random(1).shuffle(quantiles)
    launches = [quantiles, [one + 3 for one in quantiles]]
    assert spread(launches) == pytest.approx(0.2, rel=0.02)
    assert math.isnan(spread([[0.1], []]))


def test_the_half_width_grows_with_the_length_of_a_pass():
    factors = [math.exp(NormalDist(0, 0.1).inv_cdf((i + 0.5) / 200)) for i in range(200)]
    short, long = (cells(lengths_table([(1, s, [launch(factors, s)])]))[0][6] for s in (0.02, 0.08))
    assert short == "4.2 %"  # 1.96 * 1.07 * sqrt(0.04) * the 0.1 that the quartiles show
    assert long == "8.3 %"


def test_instants_are_rates_beside_the_rest():
    slice_ = [20, 50, 50, 90, 0.09]  # full speed until 5 ms, nothing until 10 ms, and a tenth of that speed in the rest
    (row,) = cells(instants_table([(1, [[slice_, slice_]] * 6)]))
    assert row == ["1", "10.000 [10.000, 10.000]", "10.000 [10.000, 10.000]", "5.000 [5.000, 5.000]"]


def test_connections_beyond_the_limit_are_said():
    assert slices.lacking(10_000, 30_100) is None
    why = slices.lacking(10_000, 20_000)
    assert why == "30,100 descriptors are needed, 20,000 are allowed"
    assert cells(lengths_table([(10_000, 0.02, why)])) == [["10,000", "20 ms", *["NA"] * 7, why]]
    assert cells(instants_table([(10_000, why)])) == [["10,000", "NA", "NA", why]]


def test_a_session_without_time_left_measures_nothing_more():
    row = slices.Row(0.02)
    assert slices.launches(1, [row], 1, 0.1, until_s=time.monotonic()) == {row: "the time was over"}


HAS_NO_COMPILER = shutil.which("cc") is None


@pytest.mark.parametrize(
    ("generator", "instants"),
    [
        ("python", False),
        ("python", True),
        pytest.param("reference", False, marks=pytest.mark.skipif(HAS_NO_COMPILER, reason="no C compiler on the PATH")),
    ],
)
def test_a_block_of_two_equal_servers_and_another(tmp_path, monkeypatch, generator, instants):
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setenv("PYTHONPATH", "tests")
    row = slices.Row(0.02, instants=instants)
    found = slices.block(4, row, seed=1, load_s=0.5, folder=tmp_path, generator=generator)
    assert found["established"] == [4, 4, 4]
    first, second, third = found["slices"]
    assert [one["pass"] for one in first] == [one["pass"] for one in second] == [one["pass"] for one in third]
    assert len(first) >= 2
    assert all(one["slice_s"] >= 0.02 for one in first)
    if instants:
        assert len(found["instants"]) == 3 * len(first)
        replies = sorted(one["replies"] for one in first + second + third)
        assert sorted(row[len(INSTANTS_S) - 1] + row[-2] for row in found["instants"]) == replies
