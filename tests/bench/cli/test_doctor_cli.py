"""`echobench doctor` as a person and as a program see it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bench.cli import doctor as command
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
