"""Options that several commands share, each defined once. Those of a workload are made of `clients.keys`.

Nothing here measures, opens a file or knows what a command does with a value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from bench.errors import UsageError
from bench.experiment.planning.server_table import PID_MAX
from clients.keys import KEYS, workload_of
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from clients.keys import Key
    from clients.workload import Arrivals, Workload

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout instead of text for people."
)
target_option = click.option(
    "--target", metavar="HOST:PORT", help="Measure a server that runs already: HOST:PORT, [IPV6]:PORT or unix:PATH."
)
pid_option = click.option(
    "--pid",
    type=click.IntRange(1, PID_MAX),
    help="Process id of the target, to see its CPU and memory.",
)
pythons_option = click.option(
    "--python",
    "pythons",
    metavar="PYTHON",
    multiple=True,
    help="Run each server under this interpreter. May be repeated.",
)

baseline_option = click.option(
    "--baseline",
    metavar="SERVER",
    help="Rank by ratios to this server.  [default: the first that has every workload]",
)


class NumberRange(click.FloatRange):
    """A range of floats that has no place for `nan`, which click takes for a member of any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number that a text stands for. Raises click.BadParameter."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def servers_option(metavar: str, about: str) -> Decorator:
    """Return `--server`, which may be repeated. `about` says what names a server, which differs between commands."""
    return click.option("--server", "servers", metavar=metavar, multiple=True, help=f"{about} May be repeated.")


def seed_option(about: str, *, default: int | None = None) -> Decorator:
    """Return `--seed`. If there is no default, the command draws one."""
    return click.option("--seed", type=click.IntRange(0), default=default, show_default=default is not None, help=about)


def workload_options(
    defaults: Mapping[str, str] | None = None,
    *,
    arrivals: Arrivals = "constant",
    several: bool = False,
    without: Collection[str] = (),
) -> Decorator:
    """Return the options of a workload, whose values arrive as texts by the names of their keys.

    A rate has `arrivals` if the command line gives none. With `several`, the texts may hold alternatives, which
    `alternatives` takes apart. `without` are the keys that the command has no option for.
    """
    shown = defaults or {}

    def about(key: Key) -> str:
        hint = f"  [default with --rate: {arrivals}]" if key.name == "arrivals" and key.name not in shown else ""
        return f"{key.about[0].upper()}{key.about[1:]}.{hint}"

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for key in [key for key in reversed(list(KEYS.values())) if key.name not in without]:
            command = click.option(
                *key.flags,
                key.name,
                metavar=f"{key.metavar},…" if several else key.metavar,
                default=shown.get(key.name),
                show_default=True,
                help=about(key),
            )(command)
        return command

    return decorate


def texts_given(given: dict[str, Any]) -> dict[str, str]:
    """Take the options of a workload out of all that were given, and return those that have a value, by their keys."""
    texts = {name: given.pop(name) for name in KEYS if name in given}
    return {name: text for name, text in texts.items() if text is not None}


def alternatives(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Split each text at the commas between alternatives. A text with a colon (64:9,16KiB:1) is a single value."""
    return {name: [text] if ":" in text else text.split(",") for name, text in texts.items()}


def workload_given(texts: Mapping[str, str], *, arrivals: Arrivals = "constant") -> Workload:
    """Return the workload of such texts. Raise UsageError naming the option."""
    try:
        return workload_of(texts, arrivals=arrivals)
    except WorkloadError as error:
        raise UsageError(str(error)) from error
