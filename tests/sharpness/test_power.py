"""The session `power`, with comparisons that are made up: its order, what it keeps, its table. And its servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
from helpers.checkout import CHECKOUT
from helpers.servers import Server
from sharpness import checks, power
from sharpness.checks import Answer
from sharpness.power_table import CPU, table

from bench.errors import MeasurementError, UsageError
from bench.verdict.interim import planned
from bench.verdict.judge import ALPHA

CALIBRATION = {"kind": "calibration", "rounds": 500, "cost": 0.5, "cost_low": 0.48, "cost_high": 0.52}


def comparison(change, word="OK", foreign=0.25):
    metric = {"rule": {"metric": CPU}, "change": {"value": change, "low": change - 0.01, "high": change + 0.01}}
    return {"word": word, "cells": [{"metrics": [metric]}], "facts": {"machine_foreign_cpu_share": foreign}}


def check(effect, word, change=None, *, asked_s=60.0, seconds=58.0):
    made = None if change is None else comparison(change, word)
    return {
        "kind": "check",
        "effect": effect,
        "asked_s": asked_s,
        "word": word,
        "seconds": seconds,
        "comparison": made,
        "reason": "",
    }


def rows(records):
    lines = table(records).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_counts_the_words_of_each_effect():
    records = [CALIBRATION, *(check(5.0, "REGRESSED", 0.05, seconds=float(s)) for s in (20, 22, 30))]
    records += [check(5.0, "INCONCLUSIVE", 0.03, seconds=40.0), check(0.0, "OK", 0.0), check(0.0, "IMPROVED", -0.02)]
    equal, dearer = rows(records)
    assert equal == ["0 %", "60 s", "-1.0 %", "0 / 2 [0, 84 %]", "1 / 2 [1, 99 %]", "0", "1", "0", "58 s", "25 %"]
    assert dearer[:5] == ["5 %", "60 s", "+5.0 %", "3 / 4 [19, 99 %]", "0 / 4 [0, 60 %]"]
    assert dearer[5:] == ["1", "0", "0", "26 s", "25 %"]


def test_the_table_keeps_times_apart_and_shows_what_is_not_known():
    records = [check(1.0, "INVALID", asked_s=30.0), check(1.0, "OK", 0.01, asked_s=240.0)]
    assert [row[1] for row in rows(records)] == ["30 s", "240 s"]
    assert rows(records)[0][2] == "NA"
    assert rows(records)[0][7:] == ["1", "58 s", "NA"]


def test_a_table_without_checks_says_so():
    assert table([CALIBRATION]) == "No check was finished.\n"


class FakeCompare:
    """Answers as a comparison would whose loop costs 0.1 % a round; interrupted at the call of this number."""

    def __init__(self, interrupted_at=None):
        self.calls, self.interrupted_at = [], interrupted_at

    def __call__(self, rounds, seed, options):
        if len(self.calls) == self.interrupted_at:
            raise KeyboardInterrupt
        self.calls.append((rounds, seed, options))
        return Answer("OK", 1.0, comparison(0.001 * rounds))


def measured(path, compare, *, seconds=None, checks=2, is_disturbed=False):
    kept = power.Kept(path, is_disturbed=is_disturbed)
    wanted = power.Wanted(seconds=seconds or {0.0: 60.0, 5.0: 30.0}, checks=checks, seed=1, is_disturbed=is_disturbed)
    with suppress(KeyboardInterrupt):
        power.measure(wanted, kept, compare, lambda _: None)
    return kept


def test_effects_are_checked_in_turn_with_the_calibrated_loop():
    compare = FakeCompare()
    kept = measured(None, compare)
    assert kept.calibration["cost"] == pytest.approx(0.001 * checks.ROUNDS_TRIED)
    assert sorted(call[0] for call in compare.calls[1:3]) == [0, 50]
    assert sorted(call[0] for call in compare.calls[3:5]) == [0, 50]
    assert len({seed for _, seed, _ in compare.calls[1:]}) == 4
    times = {(rounds, options[1]) for rounds, _, options in compare.calls[1:]}
    assert times == {(0, "1.000000"), (50, "0.500000")}


def test_an_interrupted_session_is_kept_and_continued(tmp_path):
    path = tmp_path / "kept.jsonl"
    first = FakeCompare(interrupted_at=3)
    assert len(measured(path, first).records) == 3
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["calibration", "check", "check"]
    second = FakeCompare()
    assert len(rows(measured(path, second).records)) == 2
    assert len(second.calls) == 2  # not calibrated again
    assert not {seed for _, seed, _ in first.calls[1:]} & {seed for _, seed, _ in second.calls}


def test_checks_of_another_time_do_not_count_as_made(tmp_path):
    path = tmp_path / "kept.jsonl"
    measured(path, FakeCompare(), seconds={0.0: 60.0})
    again = FakeCompare()
    kept = measured(path, again, seconds={0.0: 30.0})
    assert [options for _, _, options in again.calls] == [["--minutes", "0.500000"]] * 2
    assert [row[:2] for row in rows(kept.records)] == [["0 %", "30 s"], ["0 %", "60 s"]]


def test_a_calibration_is_measured_to_its_last_pair():
    assert planned(checks.CALIBRATION_PAIRS, ALPHA) == (checks.CALIBRATION_PAIRS,)


def test_a_file_of_another_machine_or_neighbour_is_not_continued(tmp_path):
    path = tmp_path / "kept.jsonl"
    measured(path, FakeCompare())
    with pytest.raises(UsageError, match="another machine"):
        power.Kept(path, is_disturbed=True)
    path.write_text("{")
    with pytest.raises(UsageError, match="cannot be continued"):
        power.Kept(path, is_disturbed=False)


@pytest.mark.parametrize("cost", [-0.1, 0.005])
def test_a_loop_of_unknown_cost_is_refused(cost):
    with pytest.raises(MeasurementError, match="cannot be told"):
        checks.calibrated(lambda *_: Answer("OK", 1.0, comparison(cost)), 1)


def test_an_answer_is_the_word_or_why_there_is_none():
    assert checks.answer(1, '{"word": "REGRESSED"}', "", 2.0).word == "REGRESSED"
    assert checks.answer(4, "", "no server\n", 2.0) == Answer("INVALID", 2.0, None, "no server")
    with pytest.raises(MeasurementError, match="status 2"):
        checks.answer(2, "", "no such option", 2.0)


@pytest.mark.parametrize(
    "options", [["--effects", "-1"], ["--effects", "x"], ["--seconds", "5=0"], ["--seconds", "5"], ["--checks", "0"]]
)
def test_wrong_options_are_refused(options):
    done = session(*options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def session(*options):
    return subprocess.run(
        [sys.executable, "-m", "sharpness.power", *options],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_dearer_servers_echo_and_pass_the_basic_cases(tmp_path):
    dearer = checks.server(40, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "check", str(dearer), "--quick"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_loop_of_a_server_is_the_number_in_its_name(tmp_path):
    """Many rounds take visible time, however loaded the machine is: a reply cannot be faster than they are."""
    spent_s = {rounds: cpu_of_replies(checks.server(rounds, tmp_path)) for rounds in (0, 1_000_000)}
    assert spent_s[1_000_000] > spent_s[0] + 0.05


def cpu_of_replies(path):
    """Return the CPU time in seconds that 20 replies cost the server in this file."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "servers", str(path)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(process)
    try:
        with server.connect() as client:
            before = psutil.Process(server.pid).cpu_times()
            assert all(client.exchange(b"hello") == b"hello" for _ in range(20))
            after = psutil.Process(server.pid).cpu_times()
    finally:
        server.stop()
    return after.user - before.user


def test_the_neighbour_burns_and_ends_with_its_block():
    with checks.neighbour() as pid:
        neighbour = psutil.Process(pid)
        deadline_s = time.monotonic() + 20
        while neighbour.cpu_times().user < 0.3 and time.monotonic() < deadline_s:
            time.sleep(0.05)  # it burns by itself, and tells nobody
        assert neighbour.cpu_times().user >= 0.3
    assert not psutil.pid_exists(pid)


def test_a_neighbour_that_ended_is_said():
    with pytest.raises(MeasurementError, match="neighbour ended"):
        beside_a_neighbour_that_ends()


def beside_a_neighbour_that_ends():
    with checks.neighbour() as pid:
        psutil.Process(pid).kill()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.live
def test_power_finds_a_tenth_live(tmp_path):
    kept = tmp_path / "kept.jsonl"
    done = session("--checks", "1", "--effects", "10", "--keep", str(kept))
    assert done.returncode == 0, done.stderr
    assert "| 10 % | 30 s |" in done.stdout
    assert [json.loads(line)["kind"] for line in kept.read_text().splitlines()] == ["calibration", "check"]
