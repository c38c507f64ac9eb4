"""`echobench doctor`: what on this machine will blur a measurement, for people or as JSON. Nothing is judged here."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from bench.experiment.host.diagnosis import Severity, diagnose
from bench.experiment.host.readings import read_machine

if TYPE_CHECKING:
    from bench.experiment.host.diagnosis import Finding

COLOURS = {Severity.OK: "green", Severity.WARN: "yellow", Severity.BAD: "red"}


@click.command("doctor", short_help="Say what on this machine will blur a measurement.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of lines.")
def doctor(*, as_json: bool) -> None:
    """Watch this machine for a second, and say what will blur a measurement and what to do about it.

    No setting is changed. The exit status is always 0, because a machine that blurs a measurement can still measure,
    with wider intervals.
    """
    findings = diagnose(read_machine())
    if as_json:
        click.echo(json.dumps({"findings": [dataclasses.asdict(finding) for finding in findings]}, indent=1))
        return
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        _show(finding, width)
    click.echo(f"\n{_last_line(findings)}")


def _show(finding: Finding, width: int) -> None:
    click.echo(f"{click.style(f'{finding.severity:4}', COLOURS[finding.severity])}  {finding.name:{width}}  ", nl=False)
    click.echo(finding.finding)
    if finding.remedy:
        click.echo(f"{'':{width + 8}}{finding.remedy}")


def _last_line(findings: list[Finding]) -> str:
    severities = [finding.severity for finding in findings]
    bad, warn = severities.count(Severity.BAD), severities.count(Severity.WARN)
    if bad:
        return f"{bad} bad, {warn} to be wary of: expect trials with doubts here."
    return f"{warn} to be wary of." if warn else "Nothing stands in the way."
