"""Under an offered load, who kept it is said before any other number, and throughput is no result."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from bench.analysis.estimates.carried import Carried, carried
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.sentences import sentence
from bench.analysis.figures import gallery
from bench.analysis.report.choosing import breaking
from bench.analysis.report.tables import leads, load_tables
from bench.analysis.report.words import answer
from bench.analysis.runs import run_folder
from bench.cli import summary
from bench.cli.compare import compare
from bench.metrics import CPU, P99

NOBODY = "No server kept 50,000/s at 16 connections: coroutines answered 53 % and threads 26 % of the requests"


@pytest.fixture
def offered(builder):
    """Return a function that builds and loads a run at 50,000/s, of which each server answered a share."""

    def make(**shares):
        def change(record):
            metrics = record["metrics"]
            metrics["offered_per_s"] = metrics["replies_per_s"] / shares[record["trial"]["server"]["name"]]

        asked = {"rate_per_s": 50_000.0, "arrivals": "constant"}
        return run_folder.load(builder.run(tuple(shares), (16,), workload=asked, change=change))

    return make


def shown(run):
    out = io.StringIO()
    summary.show(run, rank(run), Console(file=out, width=200, highlight=False))
    return out.getvalue()


def test_an_overload_is_the_first_sentence_everywhere(offered):
    run = offered(coroutines=0.53, threads=0.26)
    found = rank(run)
    title, said = answer(found)
    assert title == NOBODY
    assert not any("p99" in one and "had" in one for one in said)
    assert shown(run).splitlines()[0] == f"{NOBODY}."
    assert "53 % answered" in shown(run)
    assert leads(found) == []
    assert not any(cell.best for table in load_tables(run, found) for row in table.rows for cell in row.entries[2:4])
    assert sentence(found.headline(CPU), found.sweep).startswith("coroutines needs the least CPU per reply")


def test_throughput_is_no_figure_of_an_open_loop(offered):
    run = offered(coroutines=0.53, threads=0.26)
    pictures = {one.name: one for one in gallery.draw(run, rank(run))}
    assert pictures.keys() == {plot.name for plot in gallery.PLOTS} - {
        "agents",
        "forest",
        "knee",
        "throughput",
        "throughput-over-time",
    }
    assert {pictures[name].title for name in ("ratio", "p99", "latency")} == {NOBODY}
    assert not any("closed loop" in one.reading for one in pictures.values())
    assert "Requests fell due by the clock" in pictures["p99"].reading


def test_a_server_that_falls_behind_is_named_before_the_others_are_compared(offered):
    run = offered(coroutines=1.0, threads=0.9)
    assert answer(rank(run))[0].startswith("coroutines has the lowest p99")
    assert (
        breaking(run, rank(run))[0]
        == "Not every server kept 50,000/s at 16 connections: threads answered 90 % of the requests."
    )


def test_where_all_keep_the_rate_nothing_is_said_of_it(offered):
    run = offered(coroutines=1.0, threads=0.995)
    assert rank(run).behind == []
    assert shown(run).splitlines()[0].startswith("server")


def test_ratios_of_throughput_are_left_out_of_an_open_loop(offered):
    run = offered(coroutines=1.0, threads=1.0)
    table = CliRunner(env={"COLUMNS": "200"}).invoke(compare, [str(run.path), "--baseline", "threads"]).output
    assert "p99 response" in table
    assert "Throughput" not in table


def test_many_servers_that_fall_behind_are_a_range():
    load = Carried(1000.0, {"a": 0.9, "b": 0.5, "c": 0.3, "d": 0.2, "e": 0.1, "f": 1.0})
    assert load.sentence("here") == (
        "Not every server kept 1,000/s here: a answered 90 % and 4 others 10 % to 50 % of the requests"
    )


def test_a_closed_loop_offers_no_load():
    rows = {"workload": ["c1"], "server": ["a"], "arrivals": ["closed"], "offered_per_s": [9.0], "replies_per_s": [1.0]}
    assert carried(pd.DataFrame(rows)) == {}


def test_a_percentile_that_nobody_has_is_not_a_run_without_trials(builder):
    asked = {"rate_per_s": 100.0, "arrivals": "constant"}
    folder = builder.run(connections=(1,), workload=asked, change=lambda one: one["metrics"].pop("response_p99_ns"))
    title, said = answer(rank(run_folder.load(folder)))
    assert title == f"{P99.title}: too few replies in every trial"
    assert said[0].startswith("Measure for longer")


def test_a_rate_alone_has_no_blank_before_its_colon():
    assert Carried(1000.0, {"a": 0.5}).sentence("") == "No server kept 1,000/s: a answered 50 % of the requests"
