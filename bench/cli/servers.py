"""`echobench servers`: the servers that can be measured, for people or as JSON. Nothing is judged here."""

from __future__ import annotations

import json

import click
import msgspec

from bench import units
from bench.cli.terminal import beside
from bench.experiment.planning.catalog import Catalog, catalog


@click.command("servers", short_help="List the servers that can be measured.")
@click.option(
    "--python",
    "pythons",
    metavar="PYTHON",
    multiple=True,
    help="Say what can run under this interpreter. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of lines.")
def servers(*, pythons: tuple[str, ...], as_json: bool) -> None:
    """List the servers that come with echobench, and whether each can run here.

    Other servers can be measured too: a file that defines serve(listener), a command in any language, or a server that
    runs already. See `echobench run --help`.
    """
    places = [catalog(python) for python in pythons] or [catalog()]
    if as_json:
        click.echo(json.dumps({"interpreters": [_to_json(place) for place in places]}, indent=1))
        return
    for number, place in enumerate(places):
        if number:
            click.echo()
        click.echo(beside("", place.interpreter.description))
        _show(place)


def _show(place: Catalog) -> None:
    width = max(map(len, place.entries))
    for name, entry in sorted(place.entries.items()):
        limit = f" (at most {units.count(entry.connections_max)} at a time)" if entry.connections_max else ""
        click.echo(beside(f"  {click.style(f'{name:{width}}', bold=entry.runnable)}  ", f"{entry.summary}{limit}"))
        if entry.gap is not None:
            click.echo(click.style(beside(" " * (width + 4), f"cannot run here: {entry.gap}"), fg="yellow"))


def _to_json(place: Catalog) -> dict[str, object]:
    return {
        "interpreter": place.interpreter.description,
        "servers": [msgspec.to_builtins(entry) for _, entry in sorted(place.entries.items())],
    }
