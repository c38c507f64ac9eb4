"""What `run` ends with once all is measured: its exit status, and the files that were asked for."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from helpers.junit import junit_fault
from rich.console import Console

from bench.cli.measured import Shown, measured
from bench.experiment.model import Status
from bench.experiment.planning.extent import Extent
from bench.experiment.planning.plan import Plan
from bench.experiment.rounds import Tally


@pytest.fixture
def end(builder, tmp_path):
    """Return a function that ends a run of two servers that has rules, and returns its status, words and files."""

    def run(*rules, statuses=(Status.MEASURED,), **shown):
        tables = [dict(zip(("metric", "comparison", "value"), rule.split(), strict=True)) for rule in rules]
        info = {"plan": {"name": "synthetic", "threshold": tables}}
        folder = builder.run(connections=(16,), rounds=8, info=info)
        store = SimpleNamespace(
            path=folder, notes=[], kept={1: "measured"}, lost=frozenset, info={"windows_s": 1.0, "wall_s": 2.0}
        )
        tally = Tally(statuses=dict.fromkeys(statuses, 1))
        plan = Plan(name="synthetic", servers=(), workloads=(), rounds=1, seed=1)
        ready = SimpleNamespace(
            plan=plan, store=store, extent=Extent.of(plan), earlier=(), measure=lambda _watcher, _door: tally
        )
        console = Console(file=io.StringIO(), width=160)
        files = {"junit": tmp_path / "run.xml", "summary": tmp_path / "run.md"}
        code = measured(ready, console, None, Shown(progress=console, has_report=False, **files, **shown))
        return int(code), console.file.getvalue(), *(path.read_text() for path in files.values())

    return run


@pytest.mark.parametrize(
    ("rules", "statuses", "code"),
    [
        ((), [Status.MEASURED], 0),
        (("p99 > 10s",), [Status.MEASURED], 0),
        (("p99 > 1us", "p99 > 10s"), [Status.MEASURED], 1),
        (("p99 > 1us",), [Status.MEASURED, Status.SERVER_DIED], 1),
        (("p99 > 10s",), [Status.MEASURED, Status.SERVER_DIED], 4),
    ],
)
def test_a_rule_that_failed_decides_the_exit_status(end, rules, statuses, code):
    assert end(*rules, statuses=statuses)[0] == code


def test_programs_get_the_findings_as_json(end, capsys):
    code, said, *_ = end("p99 > 1us", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert [one["finding"] for one in found["thresholds"]] == ["FAILED", "FAILED"]
    assert "FAILED" not in said


def test_the_findings_are_printed_and_in_both_files(end):
    _, said, junit, markdown = end("p99 > 1us")
    assert "FAILED: threads c16: p99 is above 1 µs: " in said
    assert markdown.startswith("### FAILED: ")
    assert junit_fault(junit) == ""
    assert 'failures="2"' in junit
