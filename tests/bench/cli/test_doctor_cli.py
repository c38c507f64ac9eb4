"""`echobench doctor` as a person and as a program see it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bench.cli import doctor as command
from bench.errors import MeasurementError, UsageError
from bench.experiment.host.diagnosis import diagnose_agents
from bench.experiment.host.readings import Readings

QUIET = Readings(cores=((0,), (1,)), somaxconn=4_096)


@pytest.fixture
def examine(monkeypatch):
    """Return a function that runs the command on given readings."""

    def run(readings, *arguments):
        monkeypatch.setattr(command, "read_machine", lambda: readings)
        result = CliRunner().invoke(command.doctor, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


def test_each_finding_is_a_line_and_a_remedy_follows_it(examine):
    lines = examine(replace(QUIET, somaxconn=128)).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("bad   backlog"))
    assert "128 waiting connections" in lines[at]
    assert "sysctl net.core.somaxconn=4096" in lines[at + 1]
    assert lines[-1] == "1 bad, 0 to be wary of: expect trials with doubts here."


def test_a_quiet_machine_is_told_so(examine):
    assert examine(QUIET).splitlines()[-1] == "Nothing stands in the way."


def test_programs_get_json(examine):
    findings = json.loads(examine(replace(QUIET, hypervisor=True), "--json"))["findings"]
    assert {finding["name"]: finding["severity"] for finding in findings} == {
        "cores": "ok",
        "smt": "ok",
        "quota": "ok",
        "machine": "warn",
        "backlog": "ok",
    }
    assert all(set(finding) == {"name", "severity", "finding", "remedy"} for finding in findings)


AGENT = {
    "agent": "0@10.0.0.2",
    "network": "another-boot net:[1]",
    "versions": {"echobench": "a1", "Python": "CPython 3.12.1"},
    "agent_offset_ns": 7,
    "agent_clock_error_ns": 12_000_000,
    "slowest_trip_ns": 30_000_000,
    "findings": [
        {"name": "cores", "severity": "bad", "finding": "1 usable core", "remedy": "Give this job two cores"},
        {"name": "backlog", "severity": "bad", "finding": "128", "remedy": "more"},
        {"name": "governor", "severity": "warn", "finding": "frequency governor powersave", "remedy": "Fix it"},
    ],
}


def surveying(monkeypatch, said, status=0):
    """Have the agents' survey say this: a program in the place of one that needs a cluster."""
    script = f"import sys; print({said!r}); sys.exit({status})"
    monkeypatch.setattr(command, "SURVEY", (sys.executable, "-c", script))


def test_agents_are_examined_each_in_turn(examine, monkeypatch):
    surveying(monkeypatch, "SURVEY " + json.dumps({"network": "our-boot net:[1]", "agents": [AGENT]}))
    lines = examine(QUIET, "--agents", "tcp://10.0.0.1:8786", "--insecure-cluster").splitlines()
    shown = lines[lines.index("agent 0@10.0.0.2") + 1 :]
    graded = [line.split()[0] + " " + line[6:].split("  ")[0] for line in shown if line[:4].strip()]
    assert graded[:-1] == ["warn agent clock", "ok neighbours", "ok versions", "ok cores", "warn governor"]
    assert "known to 12 ms; the longest round trip took 30 ms" in shown[0]
    assert lines[-1] == "2 to be wary of."
    again = json.loads(examine(QUIET, "--agents", "tcp://10.0.0.1:8786", "--json"))
    assert [one["name"] for one in again["agents"]["0@10.0.0.2"]] == [line.split(" ", 1)[1] for line in graded[:-1]]


def test_agents_of_one_machine_are_told_that_they_share_it():
    two = [AGENT, {**AGENT, "agent": "1@10.0.0.3"}]
    for found in diagnose_agents(two, "our-boot net:[1]").values():
        assert next(one for one in found if one.name == "neighbours").finding == "shares its machine"


@pytest.mark.parametrize(
    ("said", "error", "says"),
    [
        ('REFUSED {"said": "no Dask scheduler answers"}', UsageError, "^no Dask scheduler answers"),
        ('FAILED {"said": "agent 0 cannot"}', MeasurementError, "cannot be examined: agent 0 cannot"),
        ('LOST {"said": "agent 1 is silent"}', MeasurementError, "cannot be examined: agent 1 is silent"),
        ("", MeasurementError, "their examination ended with 4"),
    ],
)
def test_agents_that_cannot_be_examined_end_it(said, error, says, examine, monkeypatch):
    surveying(monkeypatch, said, status=4)
    with pytest.raises(error, match=says):
        examine(QUIET, "--agents", "tcp://10.0.0.1:8786")
