"""`echobench show`: the ranking, the doubts and the machine of a stored run. Nothing is computed or written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import units
from bench.cli.files import read_run
from bench.cli.options import json_option
from bench.cli.terminal import put_out, standard_output, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@click.command("show", short_help="Show the ranking, the doubts and the machine of a run.")
@click.argument("run", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def show(context: click.Context, /, run: Path, *, as_json: bool) -> None:
    """Show what the run in the folder RUN found, as `echobench run` did when it ended, and on which machine.

    The exit status is 0, or what the run's thresholds come to: 1 if one failed, 3 if one cannot be told.
    """
    from bench.analysis.estimates.ranking import rank  # noqa: PLC0415 - pandas only once it is needed
    from bench.cli import run_document, summary  # noqa: PLC0415 - as above

    found = read_run(run)
    ranking = rank(found)
    if as_json:
        put_out(f"{json.dumps(run_document.document(found, ranking), indent=1)}\n")
    else:
        console = standard_output()
        summary.show(found, ranking, console)
        for line in machine(found.info):
            tell(console, line)
    context.exit(int(summary.exit_code(found)))


def machine(info: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a run says of its machine and code: a line each. What is not known is left out."""
    host, python, git = (info.get(name) or {} for name in ("machine", "interpreter", "git"))
    cpus, memory = host.get("cpus"), host.get("memory_bytes")
    parts = [
        host.get("cpu_model"),
        units.plural(cpus, "CPU") if cpus else None,
        units.size(memory) if memory else None,
        " ".join(filter(None, (host.get("system"), host.get("kernel")))),
        f"governor {host['governor']}" if host.get("governor") else None,
        "a virtual machine" if host.get("hypervisor") else None,
    ]
    if any(parts):
        yield f"Machine: {', '.join(part for part in parts if part)}."
    if python:
        yield f"Python of the load generator: {python.get('implementation', '')} {python.get('version', '')}."
    if revision := git.get("revision"):
        yield f"Code: {revision[:12]}{', with changes' if git.get('dirty') else ''}."
    if when := info.get("started_at"):
        yield f"Measured: {when}, {info.get('state', 'state not known')}."
