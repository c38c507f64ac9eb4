"""The report: what its first words say of runs of every kind, and that it is the same when built again."""

import html
import json
import re
import shutil

import pytest
from click.testing import CliRunner
from helpers.run_folders import Builder, failed, saturated
from helpers.tracing import paused
from markupsafe import escape

from bench import units
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.sentences import sentence
from bench.analysis.figures import gallery
from bench.analysis.report import page as report
from bench.analysis.report.choosing import breaking, choices
from bench.analysis.report.tables import commands, failures, leads
from bench.analysis.report.template import whole
from bench.analysis.report.words import answer, scope
from bench.analysis.runs import run_folder
from bench.cli import main
from bench.cli.report import report as command
from bench.errors import ExitCode, MeasurementError, UsageError
from bench.metrics import CPU, TABLE, THROUGHPUT

OPEN = {"rate_per_s": 100.0, "arrivals": "constant"}


def few_replies(record):
    record["metrics"]["response_p99_ns"] = None


def test_a_run_of_too_few_replies_is_not_called_unmeasured(builder):
    """An open loop asks for p99, which needs 368 replies."""
    builder.run(connections=(1,), rounds=2, change=few_replies, workload=OPEN)
    ranking = rank(run_folder.load(builder.folder))
    title, said = answer(ranking)
    assert title == "p99 response: too few replies in every trial"
    assert said == ["Measure for longer (--duration) or at a higher rate. The table has what is known."]


def test_the_answer_is_of_a_load_that_has_one(builder):
    def change(record):
        if record["trial"]["workload"]["connections"] == 1000:
            few_replies(record)

    builder.run(connections=(16, 1000), rounds=3, change=change, workload=OPEN)
    title, _ = answer(rank(run_folder.load(builder.folder)))
    assert "at 16 connections" in title


def test_failures_that_are_alike_are_one_section(make_run):
    run = make_run(rounds=1, change=lambda one: failed(one) if one["trial"]["server"]["name"] == "threads" else None)
    (failure,) = failures(run)
    assert failure.workloads in {"c1 and c16", "c16 and c1"}
    assert len(failure.trials.split(", ")) == 2


def test_a_run_without_numbers_says_why_it_has_no_plot(make_run):
    run = make_run(rounds=1, change=failed)
    ranking = rank(run)
    page = report.render(run, ranking, gallery.draw(run, ranking))
    assert "There is no plot, because no trial could be measured. The failed trials below say why." in page
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("command", "again"),
    [
        (["echobench", "run", "quick"], "echobench run quick --seed 7"),
        (["echobench", "run", "quick", "--seed", "7"], "echobench run quick --seed 7"),
        (["echobench", "run", "--seed=7"], "echobench run --seed=7"),
    ],
)
def test_measuring_again_repeats_the_seed_that_was_drawn(builder, command, again):
    run = run_folder.load(builder.run(connections=(1,), rounds=1, info={"command": command}))
    assert dict(commands(run))["Measure again, in the same order"] == again


TAUGHT = ("generators", "uvloop-protocol", "threads")


@pytest.fixture
def taught(builder):
    """Return a run of servers of ours, the fastest of which teaches; `threads` may serve 50 connections at a time."""
    described = [{"name": name, "command": ["python", "-m", "servers", name]} for name in TAUGHT]
    described[2]["connections_max"] = 50
    return run_folder.load(builder.run(TAUGHT, connections=(1, 16), rounds=6, info={"servers": described}))


def test_the_first_words_say_whom_to_choose_at_what_price(taught):
    found = rank(taught)
    page = report.render(taught, found, [])
    text = " ".join(html.unescape(re.sub("<[^>]*>", "", page)).split())
    assert f"<h1>{whole(sentence(found.headline(THROUGHPUT), found.sweep))}</h1>" in page
    header = page[: page.index("</header>")]
    chosen = choices(found)
    assert [(one.where, one.best, one.tied) for one in chosen] == [
        ("1 connection", "uvloop-protocol", ""),
        ("16 connections", "uvloop-protocol", ""),
    ]
    (standing,) = (one for one in found.choices[THROUGHPUT.column] if one.best.x == 16)
    cpu = units.ratio(standing.prices["threads"][CPU.column].estimate.value)
    assert chosen[1].cpu == (f"threads {cpu}\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}",)
    assert chosen[1].lead[0].startswith(units.estimate(standing.lead.estimate, units.ratio))
    assert all(words in header for one in chosen for words in (one.where, one.value, *one.lead, *one.cpu))
    assert "generators" not in header
    assert "threads serves 50 connections at a time, at most." in header
    assert scope(taught, found) in text


def test_the_first_words_say_where_servers_break(builder):
    def lossy(record):
        if record["trial"]["workload"]["connections"] == 16:
            record["metrics"]["errors"] = 7

    def refuses(record):
        if record["trial"]["workload"]["connections"] == 16:
            failed(record)

    held, lost, gone = (
        run_folder.load(Builder(builder.folder / name).run(("threads",), (1, 16), rounds=2, change=change))
        for name, change in (("held", lambda record: None), ("lost", lossy), ("gone", refuses))
    )
    assert breaking(held, rank(held))[0].startswith("threads answered every request, up to 16 connections.")
    assert breaking(lost, rank(lost)) == ["Some requests failed: threads at 16 connections."]
    assert breaking(gone, rank(gone))[0].startswith("No number: threads (")


def test_one_server_alone_leads_nowhere(builder):
    run = run_folder.load(builder.run(("threads",), rounds=2))
    found = rank(run)
    page = report.render(run, found, [])
    assert leads(found) == []
    assert "Who leads where" not in page
    assert "threads is the only server of this run" in page[: page.index("</header>")]


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_page_of_one_server_says_how_sure_its_number_is(builder, rounds):
    found = rank(run_folder.load(builder.run(("threads",), (16,), rounds=rounds)))
    best = found.headline(THROUGHPUT).best
    interval = (
        f"The 95 % interval of the throughput is {units.bounds(best.estimate, THROUGHPUT.words)}, over 2 launches."
    )
    once = "threads was launched once under this load. How much another launch would differ is not known."
    assert answer(found)[1][0] == (once if rounds == 1 else interval)


@pytest.mark.parametrize("change", [lambda record: None, saturated])
def test_a_lower_bound_is_explained_where_the_choice_stands(builder, change):
    run = run_folder.load(builder.run(("threads", "asyncio-protocol"), (16,), rounds=2, change=change))
    found = rank(run)
    header = report.render(run, found, []).split("</header>")[0]
    is_bound = change is saturated
    assert [one.is_bound for one in choices(found)] == [is_bound]
    assert [sign in header for sign in ("≥ is a lower bound", '<td data-head="Throughput">≥ ')] == [is_bound] * 2


def test_each_server_has_a_section_that_says_what_it_is(taught):
    found = rank(taught)
    page = report.render(taught, found, [])
    for name in TAUGHT:
        section = page[page.index(f'<details id="server-{name}"') :].split("</details>")[0]
        kind = found.kinds[name]
        assert escape(kind.summary.replace("`", "")) in section
        assert escape(kind.docstring) in section
        assert "12 measured" in section
        assert ("(to learn from)" in section) == (name == "generators")


def test_where_all_rates_were_given_the_question_is_p99(builder):
    workload = {"rate_per_s": 5000.0, "arrivals": "poisson"}
    found = rank(run_folder.load(builder.run(connections=(16,), workload=workload)))
    title, said = answer(found)
    assert title.startswith("coroutines has the lowest p99: ")
    assert said[0].startswith("threads had ")
    assert "the p99 response time of coroutines" in said[0]
    assert "of throughput" not in " ".join(said)
    (row,) = leads(found)
    assert row.value == row.p99
    assert sentence(found.headline(THROUGHPUT), found.sweep).startswith("coroutines keeps up best: ")


def test_leads_are_named_for_every_load(article_ranking):
    rows = leads(article_ranking)
    assert [row.where for row in rows] == ["1 connection", "16 connections", "128 connections", "1,000 connections"]
    assert rows[2].level_with == "uvloop-protocol"
    assert rows[0].lead.endswith(article_ranking.standings[THROUGHPUT.column][0].runner_up.server)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder of a run whose report was built, and its files; do not change it."""
    builder = Builder(tmp_path_factory.mktemp("built") / "a-run")
    builder.run(connections=(16,), rounds=2)
    with paused():
        assert report.build(builder.folder) == builder.folder / "report.html"
    return builder.folder, files(builder.folder)


def test_building_again_gives_the_same_bytes(built):
    folder, first = built
    with paused():
        report.build(folder)
    assert files(folder) == first
    assert {"report.html", "trials.parquet", "plots/throughput.svg", "plots/latency-dark.svg"} <= first.keys()
    assert not [name for name in first if ".part" in name]


def test_a_published_run_without_its_records_gives_the_same_page_elsewhere(built, tmp_path):
    folder, first = built
    published = tmp_path / folder.parent.name / folder.name  # the page names both
    shutil.copytree(folder, published, ignore=shutil.ignore_patterns("trials"))
    before = files(published)
    raw_files = re.compile(r'^ *<p(?: id="raw")?>Raw files .*\n', re.MULTILINE)  # they lie beside one page only
    with paused():
        page = report.build(published, tmp_path / "out" / "here").read_text(encoding="utf-8")
    first_page = first["report.html"].decode()
    assert raw_files.search(first_page)
    assert raw_files.sub("", page).split() == raw_files.sub("", first_page).split()
    assert files(published) == before
    assert (tmp_path / "out" / "here" / "plots" / "cpu.png").is_file()


def test_a_run_that_is_being_written_is_not_called_interrupted(make_run):
    run = make_run(rounds=1, info={"state": "running"})
    page = report.render(run, rank(run), [])
    assert "partial: it is being written, or was killed, and every cell has a trial" in page


def test_a_run_that_was_interrupted_says_so(builder):
    builder.run(rounds=1, info={"state": "partial"})
    (gone,) = (path for path in (builder.folder / "trials").iterdir() if path.stem == "0008")
    cell = json.loads(gone.read_text())["trial"]
    gone.unlink()
    run = run_folder.load(builder.folder)
    page = report.render(run, rank(run), [])
    assert "partial: it was interrupted, and 1 of 8 cells have no trial" in page
    row = re.search(rf"</span><a [^>]*>{cell['server']['name']}</a></th>\s*<td class=\"n missing\">not run</td>", page)
    assert row is not None


def test_a_run_in_which_all_failed_still_has_its_page(builder):
    run = run_folder.load(builder.run(connections=(1,), rounds=1, change=failed))
    page = report.render(run, rank(run), [])
    assert "<h1>No trial could be measured</h1>" in page
    assert "too many open files" in page
    assert "no trial has numbers that could be doubted" in page
    assert "no check found anything" not in page


def test_single_trials_are_not_given_an_interval(builder):
    run = run_folder.load(builder.run(connections=(1, 16), rounds=1))
    found = rank(run)
    page = report.render(run, found, [])
    assert "in too few rounds to say how sure that is" in page
    assert {one.lead[-1] for one in choices(found)} == {"(too few rounds for an interval)"}
    assert page.count(" a single trial</small>") == 4 * len(TABLE)
    assert "nan" not in page
    assert "unknown" not in page


def test_what_cannot_be_reported_is_said_in_a_sentence(builder, tmp_path):
    with pytest.raises(UsageError, match="is not a run"):
        report.build(tmp_path)
    with pytest.raises(MeasurementError, match="holds no trial"):
        report.build(builder.run(rounds=0))


def test_an_out_folder_that_cannot_be_made_is_wrong_use(builder, tmp_path, monkeypatch):
    monkeypatch.setattr(report.gallery, "draw", lambda *_: [])
    builder.run(connections=(1,), rounds=1)
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*taken: .*choose another folder with --out"):
        report.build(builder.folder, tmp_path / "taken")


def test_the_command_prints_where_the_report_is(builder, tmp_path, monkeypatch):
    monkeypatch.setattr(report.gallery, "draw", lambda *_: [])
    builder.run(connections=(1,), rounds=1)
    done = CliRunner().invoke(command, [str(builder.folder), "--out", str(tmp_path / "elsewhere")])
    assert done.exit_code == 0
    assert done.output.strip() == str(tmp_path / "elsewhere" / "report.html")
    assert not list(builder.folder.glob("*.parquet"))


def test_a_folder_that_is_no_run_is_exit_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["echobench", "report", str(tmp_path)])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main() == ExitCode.WRONG_USE
    assert "is not a run: there is no run.json in it" in capsys.readouterr().err


def test_what_belongs_together_stays_on_one_line():
    assert whole("at least 1.09 \N{MULTIPLICATION SIGN} a <b> [1.06, 1.12] since 2026-11-07") == (
        'at least <span class="whole">1.09 \N{MULTIPLICATION SIGN}</span> a &lt;b&gt; '
        '<span class="whole">[1.06, 1.12]</span> '
        'since <span class="whole">2026-11-07</span>'
    )
