"""`echobench regress`: the options, the progress and the files of a comparison. Nothing is computed here."""

from __future__ import annotations

import html
import json
import math
import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console

from bench.cli.door import door_of, has_own_door
from bench.cli.files import add_to_file, refuse_same, refuse_unwritable, write_file
from bench.cli.options import (
    json_option,
    seed_option,
    servers_option,
    texts_given,
    workload_given,
    workload_options,
)
from bench.cli.progress import watching
from bench.cli.terminal import columns, emphasised, put_out
from bench.errors import BenchError, UsageError
from bench.metrics import GATES
from bench.units import folded
from bench.verdict.rules import TOLERANCE
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Collection

    from bench.regress.render import Presentation
    from bench.verdict.values import Comparison
    from clients.workload import Arrivals

MINUTES_A_CELL = 1.0
"""What is spent if nobody says. docs/verdict.md tells what it sees, and tests/bench/regress simulate it."""

DEFAULTS = {"connections": "16", "message_bytes": "1KiB", "pipeline": "1", "duration_s": "0.5s", "warmup_s": "0.2s"}
ARRIVALS: Arrivals = "poisson"
"""The arrivals of a rate, if the command line gives none."""
EXAMPLES = """\b
Examples:
  echobench regress --base origin/main
  echobench regress --base v1.2 --command "python -m myserver --port {port}"
  echobench regress --a threads@python3.12 --b threads@python3.13
  echobench regress --a "old=./server-1 {port}" --b "new=./server-2 {port}"

Exit status: 0 fine or faster, 1 regressed, 2 wrong use, 3 inconclusive, 4 invalid measurement, 5 nothing to compare
with.
"""
COLOURS = {
    Word.REGRESSED: "red",
    Word.INVALID: "magenta",
    Word.NO_BASELINE: "magenta",
    Word.INCONCLUSIVE: "yellow",
    Word.IMPROVED: "green",
    Word.OK: "green",
}
"""The colour of a verdict on a terminal. The word beside it says the same."""

_NOT_REPEATED = {"minutes", "pairs", "servers", "seed"}


@click.command("regress", epilog=EXAMPLES, short_help="Say whether a change made a server slower.")
@click.option("--base", metavar="REV", help="Revision to compare with. It is built beside your checkout.")
@click.option("--head", metavar="REV", help="Revision that is judged.  [default: the working tree]")
@click.option("--a", metavar="SPEC", help="Instead of --base: NAME, FILE.py (either with @PYTHON), or a command.")
@click.option("--b", metavar="SPEC", help="Instead of --head: the server that is judged against --a.")
@click.option(
    "--command", metavar="COMMAND", help="Command that starts the server of either revision; {port} is filled in."
)
@click.option(
    "--setup", metavar="SHELL", help="Shell command that installs a revision in a venv of its own; '' installs nothing."
)
@click.option(
    "--ready",
    type=click.Choice(["either", "line", "port"]),
    help="How a command shows that it listens: READY HOST PORT on stdout, or the port itself.  [default: either]",
)
@servers_option("NAME", "Server of this project.")
@workload_options(DEFAULTS, arrivals=ARRIVALS)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help=f"Time that the comparison may take.  [default: {MINUTES_A_CELL:g} for each cell]",
)
@click.option("--pairs", type=click.IntRange(1), help="Pairs of each cell, instead of --minutes.")
@click.option(
    "--gate",
    "gates",
    metavar="METRIC[=5%]",
    multiple=True,
    help=f"Metric that decides, and its budget: {', '.join(metric.column for metric in GATES)}. May be repeated.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=100 * TOLERANCE,
    show_default=True,
    help="Changes smaller than this many percent are never called a regression.",
)
@seed_option("Seed of the order of the trials.  [default: drawn, and shown]")
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that remembers the noise of comparisons.  [default: in the user's cache folder]",
)
@json_option
@click.option("--verbose", is_flag=True, help="Say everything of every metric: medians, noise, what was seen.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with every pair to this file."
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file.")
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add Markdown to this file.")
@click.option("--allow-inconclusive", is_flag=True, help="Exit with 0 also if the verdict is INCONCLUSIVE.")
@click.pass_context
def regress(context: click.Context, /, **given: Any) -> None:
    """Compare two revisions of a server, or any two servers, in pairs of fresh launches.

    A pair keeps both alive and loads them in turn, some hundredths of a second each. So what disturbs the machine
    disturbs both alike. The first line is the verdict. REGRESSED means slower, beyond what chance gives. OK means that
    a slowdown of the whole budget is excluded. If neither is shown, the verdict is INCONCLUSIVE, with the command that
    would settle it.
    """
    _check(given)
    workload, amount = workload_given(texts_given(given), arrivals=ARRIVALS), _amount(given)
    from bench.regress import regression  # noqa: PLC0415 - numpy and scipy only once the options are known to be right

    fields = ("base", "head", "a", "b", "command", "setup", "ready", "servers")
    request = regression.Request(here=Path.cwd(), workload=workload, **{name: given[name] for name in fields})
    try:
        with watching(Console(stderr=True), only_failures=True) as watcher:
            shown = regression.run(
                request,
                regression.Amount(**amount),
                door=door_of(context),
                check=(lambda _server: []) if has_own_door(context) else regression.basic,
                prove=(lambda _arms: {}) if has_own_door(context) else regression.prove,
                ledger_path=given["ledger"],
                watcher=watcher,
                again=_again(context),
                allow_inconclusive=given["allow_inconclusive"],
            )
    except BenchError as error:
        verdict = regression.failure(error)
        if verdict is None:
            raise
        page = regression.page_of_failure(verdict, _whole_command(context)) if given["html"] else ""
        _give(given, verdict, markdown=_markdown(verdict.word, error), page=page)
        raise type(error)(f"{verdict.word}: {error}") from error
    comparison = shown.comparison
    _give(
        given,
        comparison,
        text=_printed(shown, verbose=given["verbose"]),
        markdown=regression.markdown(shown),
        page=regression.page(shown, _whole_command(context, amount["seed"])) if given["html"] else "",
        seconds=shown.seconds,
    )
    context.exit(int(comparison.exit_code(allow_inconclusive=given["allow_inconclusive"])))


def _markdown(word: Word, error: BenchError) -> str:
    """Return the summary of a comparison that could not begin. The action quotes its bold line, which is the reason."""
    reason, _, log = str(error).partition("\n")
    said = f"### {word}\n\n**{word}: {html.escape(reason, quote=False)}**\n"
    return f"{said}\n```text\n{log}\n```\n" if log else said


def _printed(shown: Presentation, *, verbose: bool) -> str:
    """Return the text for the terminal that is there, its first sentence bold and in the colour of its word."""
    from bench.regress.regression import text  # noqa: PLC0415 - as above

    width = columns()
    whole, first = text(shown, verbose=verbose, width=width), folded(shown.headline, width)
    return emphasised(first, COLOURS[shown.comparison.word]) + whole.removeprefix(first)


def _give(
    given: dict[str, Any], comparison: Comparison, *, markdown: str, page: str, text: str = "", seconds: float = 0.0
) -> None:
    """Print the verdict, and then write the files. The files are written also if nobody reads what is printed."""
    from bench.regress.regression import junit  # noqa: PLC0415 - as above

    try:
        put_out(f"{json.dumps(comparison.to_json(), indent=1)}\n" if given["as_json"] else text)
    finally:
        write_file(given["junit"], junit(comparison, seconds))
        write_file(given["html"], page)
        add_to_file(given["summary"], markdown)


def _check(given: dict[str, Any]) -> None:
    """Raise UsageError for options that contradict each other, NaN and infinity, and files that cannot be written."""
    for name in ("minutes", "tolerance"):
        if given[name] is not None and not math.isfinite(60 * given[name]):  # in seconds too
            raise UsageError(f"--{name} {given[name]} is no amount: give a number")
    refuse_unwritable(given["junit"], given["summary"], given["html"])
    refuse_same(given["ledger"], given["junit"], given["summary"], given["html"])
    revisions = [f"--{name}" for name in ("base", "head", "command", "setup") if given[name] is not None]
    specs = [f"--{name}" for name in ("a", "b") if given[name] is not None]
    if len(specs) == 1:
        raise UsageError(f"{specs[0]} is half of a comparison: give both --a and --b")
    if specs and (revisions or given["servers"]):
        raise UsageError(f"--a and --b say all that is compared: leave out {', '.join(revisions) or '--server'}")
    if given["command"] and given["servers"]:
        raise UsageError("--command starts a server of your own: leave out --server, which names one of this project")
    if given["minutes"] is not None and given["pairs"] is not None:
        raise UsageError("--minutes and --pairs are two ways to say how much to measure: give one")


def _amount(given: dict[str, Any]) -> dict[str, Any]:
    minutes, is_open = given["minutes"], given["minutes"] is None and given["pairs"] is None
    return {
        "seed": secrets.randbelow(2**31) if given["seed"] is None else given["seed"],
        "pairs": given["pairs"],
        "seconds": None if minutes is None else 60 * minutes,
        "seconds_a_cell": 60 * MINUTES_A_CELL if is_open else None,
        "gates": given["gates"],
        "tolerance": given["tolerance"] / 100,
    }


def _again(context: click.Context, without: Collection[str] = _NOT_REPEATED) -> list[str]:
    """Return this command as it was given, without some options: by default those for how much, and of which server."""
    words = ["echobench", "regress"]
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params[str(parameter.name)]
        if name in without or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        option = max(parameter.opts, key=len)
        for item in value if isinstance(value, tuple) else (value,):
            words += [option] if item is True else [option, str(item)]
    return words


def _whole_command(context: click.Context, seed: int | None = None) -> str:
    """Return this command with the seed that was drawn, for a shell."""
    words = _again(context, without=() if seed is None else {"seed"})
    return shlex.join(words if seed is None else [*words, "--seed", str(seed)])
