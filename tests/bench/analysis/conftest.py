"""The article's run: synthetic, and loaded once for all tests of the analysis; and runs that are exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import run_folders
from helpers.run_folders import ARTICLE, RUN_INFO, Builder, failed, mishaps

from bench.analysis.estimates.ranking import rank
from bench.analysis.runs import run_folder

if TYPE_CHECKING:
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run


@pytest.fixture(scope="session")
def article_builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Return the builder of a run of the article's servers in which some things went wrong; do not change it."""
    built = Builder(tmp_path_factory.mktemp("results") / "article")
    built.run(ARTICLE, change=mishaps, skip=lambda server, connections: server == "sequential" and connections > 1)
    run_folders.assemble(built.folder)
    return built


@pytest.fixture(scope="session")
def article_run(article_builder: Builder) -> Run:
    """Return the article's run, loaded."""
    return run_folder.load(article_builder.folder)


@pytest.fixture(scope="session")
def article_ranking(article_run: Run) -> Ranking:
    """Return the article's run, digested."""
    return rank(article_run)


@pytest.fixture
def make_run(builder):
    """Return a function that builds a run of two servers at two connection counts, and loads it."""

    def make(**options):
        return run_folder.load(builder.run(**({"connections": (1, 16), "rounds": 8, "info": RUN_INFO} | options)))

    return make


@pytest.fixture
def run_with_failures(make_run):
    """Return a run in which two trials of one cell failed and another cell failed wholly."""

    def change(record):
        trial = record["trial"]
        cell = (trial["server"]["name"], trial["workload_name"])
        if cell == ("threads", "c16") or (cell == ("coroutines", "c1") and trial["round"] < 3):
            failed(record)

    return make_run(change=change)
