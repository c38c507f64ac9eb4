"""The section of each server on the page: its conformance, what it said last, its raw files; and where links lead."""

import re
from html import unescape
from urllib.parse import unquote

import pytest
from helpers import run_folders
from helpers.run_folders import Builder, failed

from bench.analysis.estimates.ranking import rank
from bench.analysis.report import page as report
from bench.analysis.report.servers import servers
from bench.analysis.runs import run_folder
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status

SERVERS = ("coroutines", "threads", "my own server", "nobody")
COMMANDS = {"my own server": ["./serve", "--fast"], "nobody": ["true"]}


def change(record):
    name = record["trial"]["server"]["name"]
    if name == "threads":
        record["doubts"].append(str(Doubt.NONCONFORMING))
    if name == "nobody":
        failed(record, Status.NONCONFORMING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a run of four servers with logs of two trials, one of which is empty; its page is built."""
    builder = Builder(tmp_path_factory.mktemp("runs") / "a-run")
    described = [{"name": name, "command": COMMANDS.get(name, ["python", "-m", "servers", name])} for name in SERVERS]
    builder.run(SERVERS, connections=(1,), rounds=2, change=change, info={"servers": described, "anyway": True})
    run = run_folder.load(builder.folder)
    logs = builder.folder / "logs"
    logs.mkdir()
    (first, last), (unheard, _) = (
        sorted(run.trials.loc[run.trials["server"] == name, "trial"]) for name in ("coroutines", "nobody")
    )
    (logs / f"{first:04}-server.log").write_text("of the first trial\n")
    (logs / f"{last:04}-server.log").write_text("\n".join(f"line {number} <b>" for number in range(40)))
    (logs / f"{unheard:04}-client.log").write_text("")
    run_folders.assemble(builder.folder)
    return builder.folder


def test_a_section_says_what_is_known_of_conformance(folder):
    run = run_folder.load(folder)
    found = {server.name: dict(server.facts)["conformance"] for server in servers(run, rank(run))}
    assert found["coroutines"] == (
        "the run tried the basic cases first, and it passed them: echobench check coroutines tries the others"
    )
    assert "was measured all the same (--anyway): echobench check threads says which" in found["threads"]
    assert "so it was not measured: echobench check nobody=true says which" in found["nobody"]
    assert "echobench check 'my own server=./serve --fast' tries the others" in found["my own server"]


def test_what_a_run_did_not_check_is_said_with_the_command(folder):
    run = run_folder.load(folder)
    del run.info["anyway"]
    run.info["servers"][2]["target"] = "10.0.0.1:7"
    found = {server.name: dict(server.facts)["conformance"] for server in servers(run, rank(run))}
    assert found["coroutines"] == "not checked: echobench check coroutines does"
    assert found["my own server"] == "not checked: echobench check --target 10.0.0.1:7 does"


def test_a_section_has_the_end_of_the_log_and_existing_files(folder):
    run = run_folder.load(folder)
    found = {server.name: server for server in servers(run, rank(run), folder)}
    said = found["coroutines"].said.splitlines()
    assert said[-1] == "  | line 39 <b>"
    assert 5 < len(said) < 40
    assert found["threads"].said == found["nobody"].said == ""
    (last,) = found["coroutines"].linked
    assert [what for what, _ in last.files] == ["record", "what the server said"]
    assert [one.status for one in found["nobody"].linked] == ["nonconforming"] * 2
    assert "what the load generator said" in dict(found["nobody"].linked[0].files)


@pytest.mark.parametrize("is_beside", [True, False])
def test_every_link_of_a_page_leads_somewhere(folder, tmp_path, is_beside):
    run = run_folder.load(folder)
    where = folder if is_beside else tmp_path
    page = report.render(run, rank(run), [], folder=where)
    targets = {unescape(one) for one in re.findall(r'\bid="([^"]*)"', page)}
    links = {unescape(one) for one in re.findall(r'\bhref="([^"]*)"', page)}
    inner = {link for link in links if link.startswith("#")}
    assert {link[1:] for link in inner} <= targets
    files = {where / unquote(link) for link in links - inner}
    assert all(file.is_file() for file in files)
    assert {file.name for file in files} >= ({"run.json", "trials.parquet"} if is_beside else set())
    assert bool(files) == is_beside
