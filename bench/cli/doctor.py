"""`echobench doctor`: what here, and on agents, will blur a measurement, for people or as JSON. Nothing is judged."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import click

from bench.cli.terminal import beside
from bench.errors import MeasurementError, UsageError
from bench.experiment.host.diagnosis import Severity, diagnose, diagnose_agents
from bench.experiment.host.readings import read_machine
from bench.experiment.planning.catalog import ROOT
from bench.experiment.trial.agents import COMMAND, NO_LOAD

if TYPE_CHECKING:
    from bench.experiment.host.diagnosis import Finding

SURVEY = (*COMMAND, "--survey")
COLOURS = {Severity.OK: "green", Severity.WARN: "yellow", Severity.BAD: "red"}


EXAMPLES = """\b
Examples:
  echobench doctor
  echobench doctor --agents tcp://192.0.2.1:8786 --insecure-cluster
"""


@click.command("doctor", epilog=EXAMPLES, short_help="Say what on this machine will blur a measurement.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of lines.")
@click.option("--agents", metavar="CLUSTER", help="Examine the agents of a Dask cluster too: as `run` has it.")
@click.option("--insecure-cluster", is_flag=True, help="With --agents: use a cluster elsewhere without TLS.")
def doctor(*, as_json: bool, agents: str | None, insecure_cluster: bool) -> None:
    """Watch this machine for a second, and say what will blur a measurement and what to do about it.

    No setting is changed. The exit status is 0 unless agents cannot be used, because a machine that blurs a measurement
    can still measure, with wider intervals.
    """
    if insecure_cluster and agents is None:
        raise UsageError("--insecure-cluster is about a cluster of agents: give --agents too")
    findings = diagnose(read_machine())
    of_agents: dict[str, list[Finding]] = {}
    if agents is not None:
        surveyed = _surveyed(agents, insecure_cluster=insecure_cluster)
        of_agents = diagnose_agents(surveyed["agents"], surveyed["network"])
    if as_json:
        click.echo(json.dumps(_document(findings, of_agents), indent=1))
        return
    everything = [findings, *of_agents.values()]
    width = max(len(finding.name) for part in everything for finding in part)
    for finding in findings:
        _show(finding, width)
    for name, part in of_agents.items():
        click.echo(f"\nagent {name}")
        for finding in part:
            _show(finding, width)
    click.echo(f"\n{beside('', _last_line([finding for part in everything for finding in part]))}")


def _document(findings: list[Finding], of_agents: dict[str, list[Finding]]) -> dict[str, Any]:
    document: dict[str, Any] = {"findings": [dataclasses.asdict(finding) for finding in findings]}
    if of_agents:
        document["agents"] = {
            name: [dataclasses.asdict(finding) for finding in part] for name, part in of_agents.items()
        }
    return document


def _surveyed(agents: str, *, insecure_cluster: bool) -> dict[str, Any]:
    """Return what the agents of a cluster say of themselves. Raise UsageError or MeasurementError."""
    command = [*SURVEY, agents, *(["--insecure-cluster"] if insecure_cluster else [])]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=env, check=False)
    word, _, rest = done.stdout.partition(" ")
    if word == "REFUSED":
        raise UsageError(json.loads(rest)["said"])
    if word != "SURVEY":
        said = json.loads(rest)["said"] if word in NO_LOAD else f"their examination ended with {done.returncode}"
        raise MeasurementError(f"the agents cannot be examined: {said}")
    found: dict[str, Any] = json.loads(rest)
    return found


def _show(finding: Finding, width: int) -> None:
    severity = click.style(f"{finding.severity:4}", COLOURS[finding.severity])
    click.echo(beside(f"{severity}  {finding.name:{width}}  ", finding.finding))
    if finding.remedy:
        click.echo(beside(" " * (width + 8), finding.remedy))


def _last_line(findings: list[Finding]) -> str:
    severities = [finding.severity for finding in findings]
    bad, warn = severities.count(Severity.BAD), severities.count(Severity.WARN)
    if bad:
        return f"{bad} bad, {warn} to be wary of: expect trials with doubts here."
    return f"{warn} to be wary of." if warn else "Nothing stands in the way."
