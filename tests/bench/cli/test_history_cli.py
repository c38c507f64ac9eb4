"""`echobench history` over a folder of runs: its words, what is left out, and the alarm."""

from __future__ import annotations

import json
import re

import pytest
from helpers.run_folders import FACTS, Builder
from helpers.tracing import paused

from bench.analysis.comparing.two_runs import Impression
from bench.cli.history import history
from bench.cli.sparkline import sparkline
from bench.errors import BenchError

PAIR = ("coroutines", "threads")


@pytest.fixture
def run(capsys, tmp_path):
    def invoke(*arguments):
        try:
            words = [str(tmp_path), *map(str, arguments)]
            code = history.main(words, prog_name="history", standalone_mode=False)
        except BenchError as error:
            print(error)
            code = error.exit_code
        return (int(code or 0), *capsys.readouterr())

    return invoke


@pytest.fixture
def nightly(tmp_path):
    """Return a function that writes a run per night: each machine so many times as slow, and `threads` also."""

    def write(threads, machine=None, *, servers=PAIR, **info):
        for night, slow in enumerate(threads):
            whole = 1.0 if machine is None else machine[night]

            def change(record, slow=slow, whole=whole):
                factor = whole * (slow if record["trial"]["server"]["name"] == "threads" else 1.0)
                record["metrics"]["replies_per_s"] /= factor
                record["metrics"]["server_cpu_us_per_reply"] *= factor

            facts = {
                **FACTS,
                "started_at": f"2026-11-{night + 1:02}T03:00:00Z",
                "git": {"revision": f"{night:02}" * 20},
            }
            builder = Builder(tmp_path / f"night-{night:02}", seed=night)
            options = {"connections": (16,), "rounds": 2, "spread": 0.005, "change": change, "info": facts | info}
            builder.run(servers, **options)

    return write


def test_runs_that_began_in_the_same_second_are_followed(nightly, run):
    nightly([1.0] * 6 + [1.3] * 6, started_at="2026-11-01T03:00:00Z")
    code, said, _ = run()
    assert code == 1, said


def test_a_server_that_became_slower_than_its_baseline_is_an_alarm(nightly, run, tmp_path):
    """The machine became faster on the same night, by as much: the ratio alone shows what the code did."""
    nightly([1.0] * 6 + [1.3] * 6, [1.0] * 6 + [1 / 1.3] * 6)
    code, said, _ = run("--html", tmp_path / "page.html")
    assert code == 1
    title, *_ = re.findall("<title>(.*)</title>", (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert title.startswith("threads c16 became worse: server CPU per reply as a ratio to coroutines +")
    assert title.endswith(" %] since 2026-11-07, commit 060606060")
    line = next(line for line in said.splitlines() if "threads c16, server CPU per reply" in line)
    assert line.startswith("LOOKS-SLOWER: threads c16, server CPU per reply as a ratio to coroutines: ")
    assert "2026-11-07  060606060  " in said
    assert "% from here on" in said
    assert "Of 4 earlier runs those with a remark" in said
    assert said.startswith("The newest level of a ratio is worse")


def test_a_run_without_date_and_commit_is_named_once(nightly, run):
    nightly([1.0] * 2, started_at="", git={})
    lines = [line.split() for line in run()[1].splitlines()]
    named = [words for words in lines if words and words[0].startswith("night-0")]
    assert named
    assert all(words[1][0].isdigit() for words in named)


def test_a_run_that_lost_its_date_is_never_the_newest(nightly, run, tmp_path):
    nightly([1.0] * 9)
    (tmp_path / "night-03").rename(tmp_path / "zz")
    damaged = next(tmp_path.glob("zz/**/run.json"))
    damaged.write_text("{")
    code, said, _ = run()
    assert code == 0
    assert said.startswith("No newest level is worse")


def test_a_machine_that_became_slower_is_no_alarm(nightly, run):
    """Ratios are level. The baseline has no ratio, and what it shows is not known to be the code's."""
    nightly([1.0] * 12, [1.0] * 6 + [1.3] * 6)
    code, said, _ = run("--json")
    looks = {(cell["server"], cell["metric"]): cell["look"] for cell in json.loads(said)["cells"]}
    assert code == 3
    assert looks["threads", "server_cpu_us_per_reply"] == Impression.LOOKS_ALIKE
    assert looks["coroutines", "server_cpu_us_per_reply"] == Impression.LOOKS_SLOWER


@paused()
def test_level_runs_are_fine(nightly, run):
    nightly([1.0] * 9)
    code, said, err = run("--baseline", "coroutines")
    assert (code, err) == (0, "")
    assert "No newest level is worse. Exit status 0." in said


def test_one_run_has_nothing_to_be_held_against(nightly, run):
    nightly([1.0])
    code, said, _ = run()
    assert (code, "a history needs two or more" in said) == (5, True)


def test_runs_that_cannot_be_read_are_left_out_with_a_word(nightly, run, tmp_path):
    nightly([1.0] * 3)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text("{")
    info = json.loads((tmp_path / "night-02" / "run.json").read_text())
    (tmp_path / "night-02" / "run.json").write_text(json.dumps(info | {"state": "running"}))
    code, said, err = run()
    assert code == 3
    assert "2 runs can be joined" in said
    assert "torn/run.json is not JSON" in err
    assert "night-02 is being written, or was killed" in err


def test_a_folder_without_runs_and_an_unknown_baseline_are_wrong_use(nightly, run):
    code, said, _ = run()
    assert (code, "holds no run that can be read" in said) == (2, True)
    nightly([1.0] * 2)
    code, said, _ = run("--baseline", "coroutine")
    assert (code, "did you mean 'coroutines'?" in said) == (2, True)


def test_a_page_that_cannot_be_written_is_refused_first(run, tmp_path):
    """There is no run in the folder either, which would be said if the runs were looked at first."""
    code, said, _ = run("--html", tmp_path / "no" / "page.html")
    assert (code, "cannot write" in said, "there is no folder" in said) == (2, True, True)


def test_why_runs_are_not_joined_is_said_once_for_all_cells(nightly, run, tmp_path):
    nightly([1.0] * 3)
    info = json.loads((tmp_path / "night-02" / "run.json").read_text())
    (tmp_path / "night-02" / "run.json").write_text(json.dumps(info | {"libraries": {"trio": "9"}}))
    _, said, _ = run()
    assert said.count("libraries.trio is") == 1
    assert said.count("not joined with earlier runs") == 5  # at that night in each of four cells, and why


def test_a_narrow_terminal_breaks_no_word_and_no_number(nightly, run, monkeypatch):
    nightly([1.0] * 6 + [1.3] * 6)
    _, wide, _ = run()
    monkeypatch.setattr("bench.cli.history.columns", lambda: 40)
    _, folded, _ = run()
    lines = folded.splitlines()
    assert [line for line in lines if len(line) > 40] == []
    assert folded.split() == wide.split()
    assert [line for line in lines if re.match(r"\s*(%|µs|ms|s)\b", line)] == [], "a unit without its number"


def test_the_height_of_a_sparkline_is_that_of_the_logarithm():
    assert sparkline([1, 10, 100]) == "▁▅█"
    assert sparkline([2, 2, 2.02]) == "▁▁▂"
