"""`echobench report` of several runs: where the page goes, what it says, and which runs it refuses."""

from __future__ import annotations

import json
import re

import pytest
from helpers.tracing import paused

from bench.analysis.comparing.side_by_side import side_by_side
from bench.analysis.runs import run_folder
from bench.cli.report import report
from bench.errors import NoBaselineError, UsageError

SERVERS = ("coroutines", "threads")


def made(capsys, *arguments):
    report.main([str(argument) for argument in arguments], prog_name="report", standalone_mode=False)
    return capsys.readouterr().out.strip()


@pytest.fixture
def three(stored):
    return [stored(name, seed=seed, servers=SERVERS) for seed, name in enumerate("abc", start=1)]


def alter(run, change):
    for path in (run / "trials").iterdir():
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))


def dearer(record):
    if record["trial"]["server"]["name"] == "threads":
        record["metrics"]["server_cpu_us_per_reply"] *= 1.5


def held(record):
    record["metrics"]["replies_per_s"] /= 3 if record["trial"]["server"]["name"] == "threads" else 1
    record["metrics"]["throughput_is_lower_bound"] = True


def test_one_page_has_a_row_for_each_run(three, capsys, tmp_path):
    (three[0] / "report.html").write_text("its own")
    file = made(capsys, *three)
    assert file == str(tmp_path / "a-b-c.html")
    page = (tmp_path / "a-b-c.html").read_text(encoding="utf-8")
    assert page.count('class="run-ratio"') == 3 * page.count("<svg") > 0
    assert re.findall(r'href="([^"]+)"', page) == ["a/report.html"]
    assert page.count("(no report.html)") == 2
    better = [page.count(f"<figcaption>{one} is better.</figcaption>") for one in ("More", "Less")]
    assert sum(better) == page.count("<svg") > max(better) > 0
    assert "<script" not in page
    assert (three[0] / "report.html").read_text() == "its own"


def test_the_default_name_replaces_an_earlier_page_and_nothing_else(three, capsys, tmp_path):
    file = tmp_path / "a-b-c.html"
    file.write_text("notes of somebody", encoding="utf-8")
    with pytest.raises(UsageError, match=r"a-b-c\.html is there, and is no page of several runs"):
        made(capsys, *three)
    assert file.read_text(encoding="utf-8") == "notes of somebody"
    with paused():
        made(capsys, *three, "--out", file)
    first = file.read_bytes()
    assert made(capsys, *three) == str(file)
    assert file.read_bytes() == first


def test_only_the_run_that_lies_apart_is_named(three):
    alter(three[2], dearer)
    found = side_by_side([run_folder.load(run) for run in three], "coroutines")
    by_column = {cell.metric.column: cell for cell in found.cells}
    apart = by_column["server_cpu_us_per_reply"].apart
    assert {(low.run, high.run) for low, high in apart} == {("a", "c"), ("b", "c")}


def test_a_day_that_slows_all_servers_changes_no_ratio(stored):
    runs = [run_folder.load(stored(name, slower=slower, servers=SERVERS)) for name, slower in (("a", 0), ("b", 0.8))]
    for cell in side_by_side(runs).cells:
        one, other = (side.ratio.estimate.value for side in cell.sides)
        assert one == pytest.approx(other)


def test_a_bound_of_the_generator_is_not_told_apart(three):
    alter(three[2], held)
    found = side_by_side([run_folder.load(run) for run in three], "coroutines")
    throughput = next(cell for cell in found.cells if cell.metric.column == "replies_per_s")
    assert not any("c" in {low.run, high.run} for low, high in throughput.apart)
    assert "the load generator was the limit" in throughput.untold[0].reason


def test_runs_that_differ_are_refused_with_each_field(stored, capsys, tmp_path):
    a = stored("a", servers=SERVERS)
    b = stored("b", servers=SERVERS, machine__kernel="6.2", libraries__uvloop="0.22.0")
    with pytest.raises(NoBaselineError, match=r"machine.kernel .*libraries.uvloop"):
        made(capsys, a, b)
    assert not list(tmp_path.glob("*.html"))


def test_a_load_of_another_plan_has_no_ratio(stored):
    a, b, c = (
        stored(name, servers=SERVERS, workloads=[{"name": "c16", "connections": 16, "duration_s": seconds}])
        for name, seconds in (("a", 1.0), ("b", 1.0), ("c", 2.0))
    )
    for cell in side_by_side([run_folder.load(run) for run in (a, b, c)]).cells:
        assert [(side.run, side.reason) for side in cell.untold] == [("c", "the workload differs in duration_s")]
    with pytest.raises(NoBaselineError, match="nothing is shared"):
        side_by_side([run_folder.load(run) for run in (a, c)])


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["a", "a"], [], "each once"),
        (["a", "running"], [], "is being written"),
        (["a", "b"], ["--baseline", "thread"], "did you mean 'threads'"),
        (["a", "b"], ["--out", "report.html"], "name another file"),
        (["a", "b"], ["--out", "a/run.json"], "name another file"),
        (["a", "b"], ["--out", "a"], "name another file"),
        (["a", "nowhere"], [], "is not a run"),
    ],
)
def test_wrong_use_writes_no_page(stored, capsys, tmp_path, monkeypatch, *, names, options, said):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        stored(name, rounds=2, servers=SERVERS)
    if "running" in names:
        stored("running", rounds=2, servers=SERVERS, state="running")
    before = (tmp_path / "a" / "run.json").read_bytes()
    with pytest.raises(UsageError, match=said):
        made(capsys, *names, *options)
    assert not list(tmp_path.rglob("*.html"))
    assert (tmp_path / "a" / "run.json").read_bytes() == before


def test_runs_with_other_baselines_ask_for_one(stored):
    runs = [
        run_folder.load(stored(name, servers=SERVERS, rounds=2, plan={"baseline": server}))
        for name, server in (("a", "threads"), ("b", "coroutines"))
    ]
    with pytest.raises(UsageError, match=r"threads in a and coroutines in b: .*--baseline"):
        side_by_side(runs)
    assert side_by_side(runs, "threads").baseline == "threads"
