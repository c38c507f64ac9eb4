"""What is known of a run before its first trial: here, whose revision it is."""

from __future__ import annotations

import json

import pytest
from helpers.checkout import CHECKOUT
from helpers.run_folders import RUN_INFO

from bench.analysis import export
from bench.analysis.runs import run_folder
from bench.experiment.host.machine import git_facts
from bench.experiment.inspection import looked_over
from bench.experiment.model import Server
from bench.experiment.planning.plan import NamedWorkload, Plan
from clients.workload import Workload

PLAN = Plan(
    name="p",
    servers=(Server(name="gone", gap="it is not here"),),
    workloads=(NamedWorkload(name="w", workload=Workload()),),
    rounds=1,
    seed=5,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_run_has_the_revision_of_the_folder_and_ours_beside_it(project, builder, monkeypatch):
    theirs = project.commit(burn=0)
    monkeypatch.chdir(project.root)
    seen = looked_over(PLAN).surroundings
    assert seen["git"] == {"revision": theirs, "dirty": False}
    assert seen["echobench_git"] == (git_facts(CHECKOUT) if (CHECKOUT / ".git").exists() else None)
    run = run_folder.load(builder.run(info=RUN_INFO | {name: seen[name] for name in ("git", "echobench_git")}))
    asv = export.render("asv", run)
    (results,) = (json.loads(text) for name, text in asv.items() if theirs[:8] in name)
    assert results["commit_hash"] == theirs
    assert json.loads(export.render("pytest-benchmark", run)["pytest-benchmark.json"])["commit_info"]["id"] == theirs
    assert json.loads(export.render("json", run)["trials.json"])["info"]["git"]["revision"] == theirs


def test_a_run_outside_of_any_repository_has_no_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert looked_over(PLAN).surroundings["git"] is None
