"""`nox -s designs`: whether blocks and solo trials agree on the ratios of servers, and how narrow each states them.

Both designs measure `designs.toml` with the commands that a user has, in turns, so that both see the same hour. What
is divided by what is the analysis' business, and nothing is estimated here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from helpers.checkout import CHECKOUT
from sharpness.ending import status_of

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.ranking import rank
from bench.analysis.runs import run_folder
from bench.cli.files import add_to_file, refuse_unwritable
from bench.errors import MeasurementError
from bench.experiment.model import LoadGenerator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.analysis.estimates.ranking import Ranking

PLAN = Path(__file__).with_suffix(".toml")
MINUTES = {"blocks": 4.0, "solo": 60.0}
TURNS = 4
GENERATORS: tuple[LoadGenerator, ...] = get_args(LoadGenerator)
TITLES = {metric.column: metric.noun for metric in metrics.WATCHED}


def measured(out: Path, minutes: Mapping[str, float], turns: int, generator: LoadGenerator) -> dict[str, Path]:
    """Measure the plan by each design for so many minutes, in turns, and return the run of each.

    Raises MeasurementError if a run fails. An interrupt ends the turns: what is measured is in the runs.
    """
    runs: dict[str, Path] = {}
    try:
        for turn in range(turns):
            for design, length in minutes.items():
                click.echo(f"turn {turn + 1} of {turns}: {design}", err=True)
                asked = ["--minutes", f"{length / turns:g}"]
                if design in runs:
                    _bench("--resume", str(runs[design]), "--more", *asked)
                else:
                    folder = out / design
                    _bench(str(PLAN), "--design", design, "--generator", generator, "--out", str(folder), *asked)
                    (runs[design],) = (path.parent for path in folder.glob("*/run.json"))
    except KeyboardInterrupt:
        click.echo("designs: interrupted; this is what there is", err=True)
    return runs


def _bench(*arguments: str) -> None:
    command = [sys.executable, "-m", "bench", "run", *arguments, "--no-report"]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise MeasurementError(f"`{' '.join(command[1:])}` ended with status {done.returncode}:\n{done.stdout}")


def table(found: Mapping[str, Ranking]) -> str:
    """Return a Markdown table with a row for each ratio and a column for each design."""
    watched = {
        design: {key: ratio for key, ratio in ranking.ratios.items() if key[0] in TITLES}
        for design, ranking in found.items()
    }
    titles = [f"{design}: {remarks.pairings(ratios.values())}" for design, ratios in watched.items()]
    lines = [f"| ratio | {' | '.join(titles)} |", f"| --- |{' --- |' * len(found)}"]
    for column, workload, server in dict.fromkeys(key for ratios in watched.values() for key in ratios):
        here = [ratios.get((column, workload, server)) for ratios in watched.values()]
        cells = (units.NOT_KNOWN if one is None else units.estimate(one.estimate, units.ratio) for one in here)
        lines.append(f"| {server}, {TITLES[column]} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _minutes(design: str) -> click.Option:
    return click.Option(
        [f"--{design}-minutes", design],
        type=click.FloatRange(0, min_open=True),
        default=MINUTES[design],
        show_default=True,
        help=f"Time of the design `{design}`.",
    )


@click.command("designs")
@click.option("--turns", type=click.IntRange(1), default=TURNS, show_default=True, help="Turns of both designs.")
@click.option(
    "--generator",
    type=click.Choice(GENERATORS),
    default=GENERATORS[0],
    show_default=True,
    help="Load generator of both designs. The one in C has a limit that is further away.",
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add the table to this file.")
def designs(*, turns: int, generator: LoadGenerator, summary: Path | None, **minutes: float) -> None:
    """Measure the same ratios in blocks and in solo trials, in turns, and show both."""
    refuse_unwritable(summary)
    with tempfile.TemporaryDirectory(prefix="echobench-designs-") as folder:
        runs = measured(Path(folder), {design: minutes[design] for design in MINUTES}, turns, generator)
        shown = table({design: rank(run_folder.load(path)) for design, path in runs.items()})
    click.echo(shown, nl=False)
    add_to_file(summary, shown)


designs.params[:0] = [_minutes(design) for design in MINUTES]


if __name__ == "__main__":
    sys.exit(status_of(designs))
