"""The action for pull requests, and the workflows: their shell is run, with real options and a GitHub on loopback.

What only GitHub can do is not tried: it downloads, uploads and decides which steps run.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from helpers.checkout import CHECKOUT

from bench.cli import cli

ACTION = CHECKOUT / "action.yml"
COMMENT = CHECKOUT / ".github" / "actions" / "comment" / "action.yml"
ACTIONS = {"OWNER/echobench": ACTION, "OWNER/echobench/.github/actions/comment": COMMENT, "./": ACTION}
FILES = [ACTION, COMMENT, *sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))]
SUMMARY = "### REGRESSED: new against old\n\n**REGRESSED: slower by 9 % (1 to 18)**\n\n**more** of it\n"


def read(path):
    return yaml.safe_load(path.read_text())


def steps_of(document):
    """Return the steps of an action, or of all jobs of a workflow."""
    if "runs" in document:
        return document["runs"]["steps"]
    return [step for job in document["jobs"].values() for step in job["steps"]]


def step(name):
    (found,) = [step for step in steps_of(read(ACTION)) if step["name"] == name]
    return found


def documented():
    """Return the workflows that docs/ci.md shows."""
    text = (CHECKOUT / "docs" / "ci.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    return [block for block in blocks if "jobs" in block]  # the others are steps of a job


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_step_is_shell_that_bash_reads_and_nothing_is_pasted_in(path):
    """What a pull request is called, or an input says, could be shell too."""
    scripts = [step["run"] for step in steps_of(read(path)) if "run" in step]
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        assert "${{" not in script


@pytest.mark.parametrize("path", [ACTION, COMMENT], ids=["regress", "comment"])
def test_an_action_declares_the_inputs_it_uses(path):
    document = read(path)
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(document["runs"])))
    assert used == set(document["inputs"])
    assert all(one["description"] and "default" in one for one in document["inputs"].values())


def test_workflows_give_our_actions_inputs_that_they_have():
    used = [step for document in (*map(read, FILES), *documented()) for step in steps_of(document) if "uses" in step]
    ours = [step for step in used if step["uses"].partition("@")[0] in ACTIONS]
    assert {ACTIONS[step["uses"].partition("@")[0]] for step in ours} == {ACTION, COMMENT}
    for one in ours:
        known = read(ACTIONS[one["uses"].partition("@")[0]])["inputs"]
        assert set(one.get("with", {})) <= set(known)
    for one in used:
        assert one["uses"] == "./" or re.search(r"@(v\d+|release/v1|main)$", one["uses"])


def test_a_pull_request_is_compared_with_the_main_it_was_merged_into():
    """The event's base may be older than that, and then commits of main in between would be judged too."""
    default = read(ACTION)["inputs"]["base"]["default"]
    used = [step for document in (*map(read, FILES), *documented()) for step in steps_of(document) if "uses" in step]
    asked = [one.get("with", {}) for one in used if ACTIONS.get(one["uses"].partition("@")[0]) == ACTION]
    assert {given.get("base", default) for given in asked} == {"HEAD^1"}


def test_the_second_workflow_of_the_documents_waits_for_the_first():
    first, second = documented()
    triggers = second[True]  # YAML 1.1 takes the key `on` for a truth value
    assert triggers["workflow_run"]["workflows"] == [first["name"]]


@pytest.fixture
def runner(tmp_path):
    """Return a function that runs a step's script as GitHub does, with an echobench that keeps its words."""
    program = tmp_path / "echobench" / "bin" / "echobench"
    program.parent.mkdir(parents=True)
    program.write_text(f"""#!/bin/bash
        printf '%s\\0' "$@" > {tmp_path}/words
        while [ "$1" != --summary ]; do shift; done
        if [ -n "$SUMMARY" ]; then printf %s "$SUMMARY" > "$2"; fi
        exit "$STATUS"
    """)
    program.chmod(0o755)

    def run(name, **variables):
        files = {"GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary"}
        empty = dict.fromkeys(step(name)["env"], "")
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]],
            env={"PATH": "/usr/bin:/bin", **empty, "RUNNER_TEMP": tmp_path, **files, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    return run


@pytest.mark.parametrize(("status", "level"), [(0, "notice"), (1, "error"), (3, "warning"), (4, "error")])
def test_the_comparison_is_annotated_summed_up_and_kept(runner, tmp_path, status, level):
    done = runner("Compare", STATUS=str(status), SUMMARY=SUMMARY, BASE="HEAD^1", PULL_REQUEST="7")
    assert (done.returncode, done.stderr) == (0, ""), "a later step fails, when everything is kept"
    assert done.stdout == f"::{level} title=echobench regress::REGRESSED: slower by 9 %25 (1 to 18)\n"
    assert (tmp_path / "output").read_text() == f"status={status}\n"
    assert (tmp_path / "summary").read_text() == SUMMARY
    assert (tmp_path / "echobench-regress" / "pull-request").read_text() == "7\n"


def test_wrong_use_is_annotated_without_a_summary(runner, tmp_path):
    done = runner("Compare", STATUS="2", SUMMARY="", BASE="HEAD^1")
    assert done.stdout == "::error title=echobench regress::nothing was compared: the log says why\n"
    assert not (tmp_path / "summary").exists()
    assert not (tmp_path / "echobench-regress" / "pull-request").exists()


def test_the_options_that_the_action_gives_are_those_of_regress(runner, tmp_path):
    given = {"COMMAND": "python -m mine; $(exit 9) --port {port}", "MINUTES": "2.5", "BASE": "origin/main"}
    runner("Compare", STATUS="0", SUMMARY="", ARGUMENTS="--setup=\n--gate\nreplies_per_s=5%\n--setup=a b\n", **given)
    regress, *words = (tmp_path / "words").read_text().rstrip("\0").split("\0")
    asked = cli.get_command(None, regress).make_context(regress, words).params
    assert (asked["command"], asked["minutes"], asked["base"]) == (given["COMMAND"], 2.5, "origin/main")
    assert (asked["setup"], asked["gates"]) == ("a b", ("replies_per_s=5%",))
    assert {asked[name].name for name in ("html", "junit", "summary")} == {"regress.html", "regress.xml", "regress.md"}


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_job_ends_with_the_status_of_the_comparison(runner, status):
    assert runner("Pass or fail", STATUS=str(status)).returncode == status


class GitHub(BaseHTTPRequestHandler):
    """As much of GitHub's API as a comment needs: one pull request, and its comments a few at a time."""

    head, comments, asked = "", (), ()

    def answer(self, found):
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        assert self.headers["Authorization"] == "Bearer secret"
        page = re.search(r"page=(\d+)$", self.path)
        self.answer(self.comments[2 * int(page[1]) - 2 :][:2] if page else {"head": {"sha": self.head}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.command, self.path, body["body"]))
        self.answer({})

    def do_PATCH(self):
        self.do_POST()

    def log_message(self, *_):
        pass


@contextmanager
def github(comments):
    """Run a GitHub on loopback; yield its address and what was asked of it."""
    asked = []
    handler = type("Here", (GitHub,), {"head": "abc", "comments": comments, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def comment():
    spec = importlib.util.spec_from_file_location("echobench_comment", COMMENT.parent / "comment.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "regress.md").write_text(SUMMARY)
    (tmp_path / "pull-request").write_text("7\n")
    return tmp_path


def environ(address, head="abc"):
    return {
        "GITHUB_API_URL": address,
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": "secret",
        "HEAD_SHA": head,
        "NAME": "mine",
    }


def said_by(kind, number, body):
    return {"id": number, "user": {"type": kind}, "body": body}


OTHERS = [
    said_by("User", 1, "<!-- mine --> a quotation"),
    said_by("Bot", 2, "<!-- other -->"),
    said_by("Bot", 3, "hello"),
]


@pytest.mark.parametrize(
    ("comments", "method", "path"),
    [
        (OTHERS, "POST", "/repos/a/b/issues/7/comments"),
        ([*OTHERS, said_by("Bot", 44, "<!-- mine -->\nold")], "PATCH", "/repos/a/b/issues/comments/44"),
    ],
    ids=["first", "again"],
)
def test_there_is_one_comment_and_it_is_kept_up_to_date(comment, folder, comments, method, path):
    with github(comments) as (address, asked):
        comment.main(folder, environ(address))
    assert asked == [(method, path, f"<!-- mine -->\n{SUMMARY}")]


def test_a_folder_cannot_name_another_pull_request(comment, folder):
    with github([]) as (address, asked):
        assert "no comment is written" in comment.main(folder, environ(address, head="of another run"))
        (folder / "pull-request").write_text("7/../../other")
        with pytest.raises(ValueError, match="invalid literal"):
            comment.main(folder, environ(address))
    assert asked == []


def test_a_comparison_without_a_verdict_or_pull_request_gives_no_comment(comment, folder):
    (folder / "regress.md").unlink()
    assert "no comment is written" in comment.main(folder, {})
