"""What CONTRIBUTING promises of a new metric, plot, export or doubt: so many files, and it is seen everywhere.

A metric and a doubt are added to the source of a copy, by the very lines that a person would write.
"""

from __future__ import annotations

import sys

import pytest
from helpers.checkout import CHECKOUT
from helpers.source_copy import SourceCopy

from bench.analysis import export
from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import gallery
from bench.analysis.figures.canvas import Page, Words
from bench.analysis.report import page


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """Return a function that adds texts to files of a copy, and returns what a script prints there as JSON."""
    copy = SourceCopy(
        tmp_path_factory.mktemp("copy") / "checkout", packages=("bench", "clients"), files=("results/README.md",)
    )

    def add(changes, script):
        copy.add(changes)
        return copy.answer(script)

    return add


SWITCHES = """\
SWITCHES = Metric(
    "server_switches_per_reply",
    "Float64",
    "voluntary context switches of the server per reply",
    since=5,
    title="Switches per reply",
    noun="context switches per reply",
    axis="voluntary context switches of the server per correct reply",
    claim="switches least",
    exported=Exported(unit="1", family="echobench_server_switches_per_reply", help="Context switches per reply."),
)
"""
METRIC = {
    "bench/metrics.py": [
        ("STEAL = Metric(", SWITCHES),
        ("    STEAL,\n", "    SWITCHES,\n"),
        ('"""The metrics in every table for people', "TABLE += (SWITCHES,)\n"),
        ('"""The metrics that the formats of other tools get', "EXPORTED += (SWITCHES,)\n"),
    ],
    "bench/experiment/trial/results.py": [
        (
            '    metrics["errors"] = sum(errors.get(name, 0) for name in ERROR_CLASSES)\n',
            '    metrics["server_switches_per_reply"] = usage.metrics["server_ctx_voluntary"] / result["replies"]\n',
        ),
    ],
}
MEASURE = """
    import json
    from pathlib import Path

    from rich.console import Console

    from bench.analysis import export
    from bench.analysis.estimates.ranking import rank
    from bench.analysis.report.words import answer
    from bench.analysis.runs import run_folder
    from bench.cli.estimates_table import print_estimates
    from bench.experiment import schema
    from bench.experiment.model import Server, Status, Trial, TrialResult
    from bench.experiment.store import Store
    from bench.experiment.trial.results import trial_metrics
    from bench.experiment.trial.monitor import Usage
    from bench.verdict.rules import RULES
    from clients.workload import Workload

    store = Store.create(Path("runs"), "mine", {})
    for number in range(1, 5):
        cell = {"server": Server(name="threads"), "workload_name": "c1", "workload": Workload()}
        trial = Trial(number=number, round=number, **cell)
        result = {"replies_per_s": 100.0, "replies": 100, "errors": {}, "window_s": 1.0, "workers": 1}
        usage = Usage({"server_ctx_voluntary": 200 + number}, (), has_gaps=False)
        metrics = trial_metrics({**result, "client_cpu_s": 0.5, "client_spin_s": 0.0}, usage)
        began = {"started_at": "2026-01-01T00:00:00+00:00"}
        store.save(TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics, **began))
    store.close()
    run_folder.write_tables(run_folder.load(store.path, from_records=True))
    run = run_folder.load(store.path)
    found = rank(run)
    trial = json.loads(export.render("json", run)["trials.json"])["trials"][0]
    console = Console(width=200)
    with console.capture() as table:
        print_estimates(found, console)
    print(json.dumps({
        "version": schema.SCHEMA_VERSION,
        "parquet": run.trials["server_switches_per_reply"].tolist(),
        "table": table.get(),
        "bencher": json.loads(export.render("bencher", run)["bencher.json"])["threads/c1"],
        "openmetrics": export.render("openmetrics", run)["openmetrics.txt"],
        "of_a_trial": trial["server_switches_per_reply"],
        "answer": answer(found),
        "gates": [rule.metric for rule in RULES],
        "document": schema.documented(Path("README.md").read_text()),
        "exported": export.render("pyperf", run)["pyperf.json"],
    }))
"""


@pytest.fixture(scope="module")
def seen(added):
    """Return what is seen of a run of four trials where the metric was added."""
    return added(METRIC, MEASURE)


def test_a_metric_is_a_row_and_the_line_that_measures_it(seen):
    assert len(METRIC) == 2
    assert seen["version"] == 5
    assert seen["parquet"] == [2.01, 2.02, 2.03, 2.04]
    assert seen["of_a_trial"] == 2.01
    assert seen["table"].splitlines()[0].rstrip().endswith("Switches per reply")
    assert seen["bencher"]["server-switches-per-reply"]["value"] == pytest.approx(2.025, rel=1e-4)
    assert "# TYPE echobench_server_switches_per_reply gauge" in seen["openmetrics"]
    row = "| `server_switches_per_reply` | Float64 | per reply | voluntary context switches of the server per reply |"
    assert row in seen["document"].splitlines()


def test_a_metric_that_joins_the_table_joins_nothing_else_by_itself(seen):
    assert "switches" not in str(seen["answer"])
    assert "server_switches_per_reply" not in seen["gates"]
    assert "switches" not in seen["exported"]


DOUBT = {
    "bench/experiment/doubts.py": [
        ("    NONCONFORMING = (", '    IDLE = ("idle", "The server had next to nothing to do: offer it more load.")\n'),
    ],
    "bench/experiment/trial/examine.py": [
        ("        Doubt.NONCONFORMING:", '        Doubt.IDLE: (metrics.get("server_cpu_share") or 1.0) < 0.01,\n'),
    ],
}
DOUBTED = """
    import json
    from bench.experiment.trial.examine import Circumstances, doubts
    fine = {"response_p99_ns": 1.0, "server_cpu_share": 0.5}
    given = [fine, fine | {"server_cpu_share": 0.001}]
    print(json.dumps([[(doubt, doubt.advice) for doubt in doubts(one, (), Circumstances())] for one in given]))
"""


def test_a_doubt_is_a_row_with_its_advice_and_a_predicate(added):
    assert len(DOUBT) == 2
    assert 'IDLE = ("idle", "The server had next to nothing to do' in (CHECKOUT / "CONTRIBUTING.md").read_text()
    assert added(DOUBT, DOUBTED) == [
        [],
        [["idle", "The server had next to nothing to do: offer it more load."]],
    ]


def test_a_plot_is_a_function_and_a_row(builder, monkeypatch, tmp_path):
    def mine(given):
        return Page(Words("One page", f"{len(given.ranking.servers)} servers."), given.theme, body=1.0).figure

    row = gallery.Plot("mine", "Read it as you like.", mine)
    monkeypatch.setattr(gallery, "PLOTS", (gallery.PLOTS[0], row))
    builder.run(connections=(1, 16), rounds=2)
    report = page.build(builder.folder, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "plots").iterdir()} >= {"mine.svg", "mine-dark.svg", "mine.png"}
    text = report.read_text()
    assert 'id="plot-mine"' in text
    assert "Read it as you like." in text
    assert "One page" in text


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("def render(run):\n    return {'mine.txt': str(len(run.trials))}\n", "4"),
        ("def render_values(values):\n    return {'mine.txt': values[0].metric.column}\n", "replies_per_s"),
    ],
)
def test_an_export_is_a_file(make_run, monkeypatch, tmp_path, function, expected):
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "my_own.py").write_text(f'"""What I like to read.\n\nMore.\n"""\n\n\n{function}')
    monkeypatch.setattr(export, "__path__", [*export.__path__, str(tmp_path / "formats")])
    monkeypatch.delitem(sys.modules, "bench.analysis.export.my_own", raising=False)
    assert export.formats()["my-own"] == "What I like to read"
    assert export.render("my-own", make_run(rounds=1)) == {"mine.txt": expected}
    assert ("my-own" in export.formats_of_values()) == ("values" in function)


def test_every_metric_that_is_shown_has_the_words_that_it_needs(article_run):
    """A row that lacks a word would show as an empty heading, a sentence without a subject, or a fall."""
    from bench import metrics

    assert all(metric.title and metric.noun and metric.axis for metric in metrics.TABLE)
    assert all(metric.claim for metric in metrics.HEADLINE)
    assert set(metrics.HEADLINE) <= set(metrics.TABLE)
    assert all(metric.noun and metric.budget for metric in metrics.GATES)
    assert set(metrics.GATES_BY_DEFAULT) <= set(metrics.GATES)
    assert all(metric.exported for metric in metrics.EXPORTED)
    assert len({metric.column for metric in metrics.ALL}) == len(metrics.ALL)
    assert {*metrics.TABLE, *metrics.GATES, *metrics.EXPORTED} <= set(metrics.ALL)
    assert rank(article_run).cells.keys() == {metric.column for metric in metrics.TABLE}
