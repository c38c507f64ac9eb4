"""`check` on the command line: the matrix, JSON, JUnit, exit codes, and what it says to wrong use."""

from __future__ import annotations

import errno
import io
import json
import socket
import sys
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from helpers.checkout import KNOWN_BAD
from helpers.junit import junit_fault
from rich.console import Console

from bench.cli.check import check, choose, show, to_junit
from bench.errors import UsageError
from bench.experiment.conformance import CASES, START, CaseResult, Group, Outcome, cases_of

WRONG_BYTE = str(KNOWN_BAD / "wrong_byte.py")


def run(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(check, arguments)


def result(case, outcome="passed", detail="", because_of=None):
    return CaseResult(case=case, outcome=Outcome(outcome), detail=detail, seconds=0.25, because_of=because_of)


def shown(results, width=120):
    out = io.StringIO()
    cases = [CASES[found.case] for found in next(iter(results.values())) if found.case != START]
    show(results, cases, Console(file=out, width=width))
    return out.getvalue()


def test_all_pass_is_exit_0():
    done = run("threads", "coroutines", "--case", "echo", "--case", "turns")
    assert done.exit_code == 0, done.output
    assert "2 servers in " in done.stdout
    assert ": 6 passed" in done.stdout


def test_check_goes_on_after_a_failure_and_exits_with_4():
    done = run(WRONG_BYTE, "threads", "--quick")
    assert done.exit_code == 4
    assert "FAIL wrong_byte, bytes: byte 201 of 257 was sent as 0xc8 and came back as 0xc9" in done.stdout
    assert "needs bytes" not in done.stdout
    assert "10 passed, 1 failed, 5 skipped" in done.stdout


def test_a_limit_is_shown_once_and_is_no_failure():
    done = run("sequential", "--case", "idle", "--case", "slow-reader")
    assert done.exit_code == 0
    assert "limit sequential, idle, slow-reader: serves 1 at once, as it declares; one more waits" in done.stdout


def test_any_command_that_listens_on_its_port(tmp_path):
    """It knows nothing of READY, nor of us."""
    script = tmp_path / "mine"
    script.write_text(
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "while True:\n"
        "    connection, _ = listener.accept()\n"
        "    while data := connection.recv(4096):\n"
        "        connection.sendall(data)\n"
        "    connection.close()\n"
    )
    done = run(f"mine={sys.executable} {script} {{port}}", "--case", "bytes", "--case", "half-close")
    assert done.exit_code == 0, done.output
    assert "1 server in " in done.stdout


def test_json_holds_every_result_and_what_each_case_asks_for():
    done = run(WRONG_BYTE, "--quick", "--json")
    assert done.exit_code == 4
    document = json.loads(done.stdout)
    assert [case["name"] for case in document["cases"]] == [case.name for case in cases_of(Group.BASIC)]
    assert all(case["statement"] for case in document["cases"])
    (server,) = document["servers"]
    assert server["name"] == "wrong_byte"
    outcomes = {found["case"]: found["outcome"] for found in server["results"]}
    assert outcomes == {START: "passed", "echo": "passed", "bytes": "failed"} | dict.fromkeys(
        ["turns", "splits", "half-close", "reset", "partial-sends"], "skipped"
    )
    assert {found["because_of"] for found in server["results"]} == {None, "bytes", "turns"}


def test_junit_is_written_beside_what_is_shown(tmp_path):
    file = tmp_path / "check.xml"
    done = run(WRONG_BYTE, "--case", "echo", "--case", "bytes", "--junit", str(file))
    assert done.exit_code == 4
    assert junit_fault(file.read_text()) == ""
    (suite,) = ET.parse(file).getroot()
    counts = {key: suite.get(key) for key in ("name", "tests", "failures", "skipped")}
    assert counts == {"name": "wrong_byte", "tests": "3", "failures": "1", "skipped": "0"}
    assert [case.get("name") for case in suite] == [START, "echo", "bytes"]
    assert suite[2][0].tag == "failure"
    assert suite[2][0].get("message").startswith("byte 201 of 257")


def test_junit_keeps_limits_apart_from_failures_and_survives_any_log():
    found = [result("idle", "limited", "serves 1"), result("echo", "failed", "died: \x00\x1b[31m"), result("turns")]
    text = to_junit({"mine": found})
    assert junit_fault(text) == ""
    (suite,) = ET.fromstring(text)
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"], []]
    assert suite[0][0].text == "limited: serves 1"
    assert suite[1][0].get("message") == "died: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m"


def test_a_pipe_has_a_line_for_each_server_as_it_ends():
    """All servers take a minute, and where no bar is drawn nothing would be said for so long."""
    done = run("threads", WRONG_BYTE, "--case", "echo", "--case", "bytes", "--json")
    assert done.stderr.split("\n")[:2] == ["[1/2] threads: 3 passed", "[2/2] wrong_byte: 2 passed, 1 failed"]
    assert json.loads(done.stdout)


def test_what_could_not_be_tried_is_no_pass(monkeypatch, tmp_path):
    """With no local port left, a server that upper-cases would else be green."""

    def no_ports(_socket, _address):
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "connect", no_ports)
    done = run("threads", "--case", "echo", "--junit", str(tmp_path / "check.xml"))
    assert done.exit_code == 3
    assert "untried threads, echo: could not be tried here: no local port is free" in done.stdout
    assert "This is no pass" in done.stdout
    (suite,) = ET.parse(tmp_path / "check.xml").getroot()
    assert suite.get("failures") == "1"


def test_a_matrix_wider_than_the_terminal_is_cut_into_parts():
    results = {name: [result(START), result("echo")] for name in ("one", "two", "three", "four")}
    whole, parts = shown(results), shown(results, width=30)
    assert whole.count("case") == 1
    assert parts.count("case") == 2
    assert max(map(len, parts.splitlines())) <= 30
    for name in results:
        assert parts.count(name) == 1


def test_a_terminal_with_room_for_one_server_shows_one_after_another():
    results = {name: [result(START), result("echo")] for name in ("one", "two")}
    assert shown(results, width=18).count("case") == 2


def test_what_follows_from_a_failure_is_not_said_again():
    found = [
        result(START),
        result("echo", "failed", "no answer"),
        result("bytes", "skipped", "needs echo, which did not pass", because_of="echo"),
        result("vanish", "skipped", "needs the pid of the server"),
    ]
    text = shown({"mine": found})
    assert "FAIL mine, echo: no answer" in text
    assert "- mine, vanish: needs the pid of the server" in text
    assert "needs echo" not in text


def test_square_brackets_of_a_server_are_shown_as_they_are():
    assert "got b'[bold]'" in shown({"mine": [result(START), result("echo", "failed", "got b'[bold]'")]})


def test_the_list_has_every_case():
    done = run("--list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [case.name for case in cases_of(*Group)]


def test_which_cases_run():
    standard = {case.group for case in choose([], quick=False, every_case=False)}
    assert standard == {Group.BASIC, Group.STANDARD}
    assert {case.group for case in choose([], quick=True, every_case=False)} == {Group.BASIC}
    assert {case.group for case in choose([], quick=False, every_case=True)} == set(Group)
    named = choose(["turns", "echo", "turns"], quick=False, every_case=False)
    assert [case.name for case in named] == ["echo", "turns"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "half-closed"], "unknown case 'half-closed': did you mean 'half-close'?"),
        (["--case", "echo", "--quick"], "give one of --case, --quick and --all"),
        (["--quick", "--all"], "give one of --case, --quick and --all"),
        (["thread"], "unknown server 'thread': did you mean 'threads'?"),
        (["./no-such.py"], "there is no server file"),
        (["mine=no-such-program {port}"], "mine: cannot run 'no-such-program': there is no such program"),
        (["--target", "127.0.0.1:1"], "nothing answers at 127.0.0.1:1"),
        (["--pid", "1"], "--pid belongs to a server that runs already"),
        (["threads", "--quick", "--junit", "/no/such/folder/x.xml"], "there is no folder /no/such/folder"),
    ],
)
def test_wrong_use_is_said_before_anything_runs(arguments, message):
    done = run(*arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def handle(listener): ...\n", "mine.py defines no serve(listener): add that function"),
        ("def serve(listener)\n", "mine.py line 1 is not Python"),
        ("import no_such_library\nserve = print\n", "it imports no_such_library, which is not there: install it for "),
        ("LIBRARY = 'no_such_library'\nserve = print\n", "no_such_library is not installed; run: "),
        ("PROGRAM = 'no-such-cc'\nserve = print\n", "the program no-such-cc is not on the PATH; run: apt-get install"),
    ],
)
@pytest.mark.parametrize("label", ["", "other="])
def test_a_file_that_cannot_serve_is_wrong_use_before_it_is_started(tmp_path, source, message, label):
    path = tmp_path / "mine.py"
    path.write_text(source)
    done = run("threads", f"{label}{path}", "--case", "echo")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith(f"{label.strip('=') or 'mine'} cannot run here: ")
    assert message in str(done.exception)
    assert done.stdout == ""
