"""`echobench schema`: print the JSON Schema of plan files. What is in it is not decided here."""

from __future__ import annotations

import json

import click

from bench.cli.terminal import put_out


@click.command("schema", short_help="Print the JSON Schema of plan files, for editors.")
def schema() -> None:
    """Print the JSON Schema of plan files. With it, an editor completes keys and marks wrong values.

    Write it beside a plan, and name it in the plan's first line, `#:schema ./plan.schema.json`, which editors with
    Taplo read (Even Better TOML in Visual Studio Code).
    """
    from bench.experiment.planning.plan_schema import plan_schema  # noqa: PLC0415 - msgspec only once it is needed

    put_out(f"{json.dumps(plan_schema(), indent=2)}\n")
