"""`nox -s micro` from its options to its files: order, files of pytest-benchmark, frame, table, plot, exit codes."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from micro import plot, prices, pythons
from micro.__main__ import main
from micro.measure import Timed, in_rounds, joined, times_that_last
from micro.mechanisms import CALL, MECHANISMS

COST_NS = {one.name: 10.0 * number for number, one in enumerate(MECHANISMS, start=1)}
MISSING = "uvloop future"


def kept(folder, launch, drift):
    """Write what a launch of pytest-benchmark keeps: three rounds, through which the machine becomes slower."""
    timed = [
        {
            "extra_info": {"mechanism": name, "times": 1000},
            "stats": {"data": [cost * 1e-6 * drift * number for number in (1, 2, 3)]},
        }
        for name, cost in COST_NS.items()
        if name != MISSING
    ]
    file = folder / f"{launch}.json"
    file.write_text(json.dumps({"benchmarks": timed}))
    return file


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro")
    files = [("CPython 3.11.7", launch, kept(folder, launch, drift=1 + launch % 3)) for launch in range(1, 7)]
    return prices.frame_of(files, ["CPython 3.99.0"])


def test_each_round_has_every_mechanism_once_in_its_own_order():
    timed = [Timed(one, None, 1) for one in MECHANISMS]
    order = [one.mechanism.name for one in in_rounds(timed, 4, seed=1)]
    rounds = [order[start : start + len(timed)] for start in range(0, len(order), len(timed))]
    assert all(Counter(names) == Counter(list(COST_NS)) for names in rounds)
    assert len({tuple(names) for names in rounds}) == 4
    assert [one.mechanism.name for one in in_rounds(timed, 4, seed=1)] == order
    assert [one.mechanism.name for one in in_rounds(timed, 4, seed=2)] != order


def test_turns_of_a_mechanism_are_joined_by_round():
    turns = [
        {"name": f"test_turn[{number}]", "extra_info": {"mechanism": name}, "stats": {"data": [taken_s]}}
        for number, (name, taken_s) in enumerate([("send", 3.0), ("call", 9.0), ("send", 1.0)])
    ]
    found = {benchmark["name"]: benchmark["stats"] for benchmark in joined(turns)}
    assert {name: stats["data"] for name, stats in found.items()} == {"send": [3.0, 1.0], "call": [9.0]}
    assert (found["send"]["min"], found["send"]["mean"], found["send"]["rounds"]) == (1.0, 2.0, 2)


def test_what_is_slow_at_times_does_not_shorten_the_turns(monkeypatch):
    now_s, calls = [0.0], []
    monkeypatch.setattr("micro.measure.time.perf_counter", lambda: now_s[0])

    def work(times):
        now_s[0] += times * 1e-5 + (1.0 if len(calls) % 4 < 3 else 0.0)
        calls.append(times)

    assert times_that_last(work, 0.01) == 1000


def test_the_frame_has_each_turn_and_na_for_what_lacks(frame):
    assert frame.dtypes.astype(str).to_dict() == prices.COLUMNS
    timed = frame.dropna(subset="ns")
    assert len(timed) == 6 * 3 * (len(MECHANISMS) - 1)
    missing = frame[frame["ns"].isna()]
    assert Counter(missing["python"]) == {"CPython 3.11.7": 1, "CPython 3.99.0": len(MECHANISMS)}
    assert missing["launch"].isna().all()
    depths = frame[frame["row"] == "await"]["depth"].unique()
    assert list(depths) == [1, 3, 10, 30, 100]


def test_ratios_are_free_of_what_the_machine_did(frame):
    found = {price.mechanism.name: price for price in prices.prices(frame) if price.python == "CPython 3.11.7"}
    for name, price in found.items():
        if name != MISSING:
            ratio = COST_NS[name] / COST_NS[CALL]
            assert (price.ratio.value, price.ratio.low, price.ratio.high) == pytest.approx((ratio,) * 3)
            assert price.ratio.level == 0.95
    assert found[MISSING].missing
    assert math.isnan(found[MISSING].ns.low)


def test_the_table_has_one_order_and_fits_100_columns(frame):
    text = prices.table(prices.prices(frame))
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 100
    ratios = [float(found[1].replace(",", "")) for line in lines if (found := re.search(r"([\d.,]+) \[", line))]
    assert ratios == sorted(ratios)
    assert len(ratios) == len(MECHANISMS) - 1
    (row,) = [line for line in lines if "a task on uvloop awaits a future" in line]
    assert row.split()[-2:] == ["NA", "NA"]
    assert lines[-1].split()[-3:] == ["3.99.0", "NA", "NA"]


def test_the_plot_has_a_point_for_each_price(frame):
    found = [price for price in prices.prices(frame) if not price.missing]
    with plot.drawing_style():
        (axes,) = plot.figure_of(found).axes
    points = {float(x) for line in axes.get_lines() for x in line.get_xdata()}
    assert points == {price.ns.value for price in found}
    assert len(axes.get_yticklabels()) == len({one.row for one in MECHANISMS}) - 1


def test_two_pythons_have_names_below_the_plot(frame):
    both = pd.concat([frame, frame.assign(python="CPython 3.99.0")]).dropna(subset="ns")
    with plot.drawing_style():
        (axes,) = plot.figure_of([price for price in prices.prices(both) if not price.missing]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CPython 3.11.7", "CPython 3.99.0"]


def program(folder, name, says):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{says}\n")
    file.chmod(0o755)
    return str(file)


def python_that_says(folder, name, *, version=(3, 12), lacks=()):
    answer = json.dumps({"name": "CPython 3.12.99", "version": version, "lacks": lacks})
    return program(folder, name, f"echo '{answer}'")


def test_every_python_is_found_once_and_the_able_one_taken(tmp_path):
    (tmp_path / "bin").mkdir()
    pyenv = tmp_path / "pyenv" / "versions" / "3.12" / "bin"
    pyenv.mkdir(parents=True)
    python_that_says(tmp_path / "bin", "python3.12", lacks=("pytest_benchmark",))
    able = python_that_says(pyenv, "python3")
    program(tmp_path / "bin", "python3.8", 'echo \'{"name": "CPython 3.8.1", "version": [3, 8], "lacks": []}\'')
    program(tmp_path / "bin", "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    commands = pythons.candidates(str(tmp_path / "bin"), tmp_path / "pyenv")
    assert commands[0] == sys.executable
    assert pythons.all_found(commands[1:]) == [pythons.Python(able, "CPython 3.12.99", ())]


def test_a_python_without_pytest_benchmark_is_told_what_to_install(tmp_path, capsys):
    poor = python_that_says(tmp_path, "python3.12", lacks=("pytest_benchmark",))
    assert main(["--python", poor, "--out", str(tmp_path / "out")]) == 4
    said = capsys.readouterr().err
    assert f"{poor} has no pytest-benchmark" in said
    assert f"{poor} -m pip install pytest pytest-benchmark" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--python", "/nowhere/python3"], "/nowhere/python3 is no Python of version 3.11 or later that runs here"),
        (["--out", __file__], "cannot be a folder: File exists"),
        (["--jason"], "unrecognized arguments: --jason"),
    ],
)
def test_wrong_use_ends_with_2_and_says_why(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_a_launch_that_fails_ends_with_1_and_shows_why(tmp_path, capsys):
    answer = '{"name": "CPython 3.12.99", "version": [3, 12], "lacks": []}'
    broken = program(tmp_path, "python3.12", f"case $1 in -c) echo '{answer}';; *) echo 'no luck' >&2; exit 3;; esac")
    assert main(["--quick", "--python", broken, "--out", str(tmp_path / "out")]) == 1
    assert "CPython 3.12.99 ended with 3:\nno luck" in capsys.readouterr().err


def test_a_launch_keeps_what_pytest_benchmark_reads(tmp_path, monkeypatch, capsys):
    """One real launch, as short as can be, from the command to the files."""
    monkeypatch.setattr("micro.__main__.QUICK_LAUNCHES", 1)
    monkeypatch.setattr("micro.__main__.QUICK_ROUNDS", 1)
    monkeypatch.setattr("micro.__main__.QUICK_TURN_S", 0.0002)
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    (file,) = tmp_path.glob("*.json")
    saved = json.loads(file.read_text())
    assert {"machine_info", "version", "datetime"} < saved.keys()
    assert saved["seed"] == 1001
    names = {benchmark["name"] for benchmark in saved["benchmarks"]}
    assert {"send", "thread", "process", "kernel spawn"} < names
    assert all(benchmark["stats"]["rounds"] == 1 for benchmark in saved["benchmarks"])
    frame = pd.read_parquet(tmp_path / "micro.parquet")
    assert set(frame["mechanism"]) == set(COST_NS)
    assert (frame["ns"].dropna() > 0).all()
    assert {path.name for path in tmp_path.iterdir()} - {file.name} == {
        *("micro.parquet", "micro.txt", "micro.svg", "micro-dark.svg", "micro.png")
    }
    assert capsys.readouterr().out == Path(tmp_path / "micro.txt").read_text()
