"""`nox -s screen`: what the screen of `echobench run` costs the measurement, as ratios with and without it.

The same plan is measured on a terminal, where the screen is drawn, and into a pipe, where it is not, in turns, so that
both see the same minutes. The rounds of one number are pairs, and a turn is the unit, because its rounds see the same
seconds of the machine. Which mean and which interval is the business of `bench.stats`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from helpers.checkout import CHECKOUT
from helpers.pseudo_terminal import on_terminal
from sharpness.ending import status_of

from bench import metrics, units
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.runs import run_folder
from bench.cli.files import add_to_file, refuse_unwritable
from bench.errors import MeasurementError
from bench.stats import geometric_mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric
    from bench.stats import Estimate

PLAN = Path(__file__).with_name("designs.toml")
TURNS, ROUNDS = 12, 2
SHOWN = (metrics.THROUGHPUT, metrics.CPU, metrics.P50)
TIMEOUT_S = 3600.0
DRAWN = b"ends it and keeps what is measured"


def on_a_screen(command: Sequence[str]) -> tuple[int, str]:
    """Run a command on a terminal, and return its status and words. Raise MeasurementError if it drew no screen."""
    with on_terminal(command, CHECKOUT) as terminal:
        try:
            status = terminal.wait(TIMEOUT_S)
        except KeyboardInterrupt:
            terminal.press(b"\x03")
            terminal.wait()
            raise
    if not status and DRAWN not in terminal.printed:
        raise MeasurementError(f"`{' '.join(command)}` drew no screen")
    return status, terminal.printed.decode(errors="replace")


def in_a_pipe(command: Sequence[str]) -> tuple[int, str]:
    """Run a command that prints into a pipe, and return its status and words."""
    done = subprocess.run(
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stdout


WAYS: Mapping[str, Callable[[Sequence[str]], tuple[int, str]]] = {"without": in_a_pipe, "with": on_a_screen}


def measured(out: Path, turns: int, rounds: int) -> dict[str, Path]:
    """Measure the plan both ways, so many rounds in each turn, and return the run of each way.

    Every other turn begins with the other way. Raises MeasurementError if a run fails. An interrupt ends the turns:
    what is measured is in the runs.
    """
    runs: dict[str, Path] = {}
    try:
        for turn in range(turns):
            for way in list(WAYS)[:: -1 if turn % 2 else 1]:
                click.echo(f"turn {turn + 1} of {turns}: {way}", err=True)
                amount = ["--trials", str(rounds), "--no-report"]
                if way in runs:
                    _bench(way, "--resume", str(runs[way]), "--more", *amount)
                else:
                    _bench(way, str(PLAN), "--seed", "1", "--out", str(out / way), *amount)
                    (runs[way],) = (path.parent for path in (out / way).glob("*/run.json"))
    except KeyboardInterrupt:
        click.echo("screen: interrupted; this is what there is", err=True)
    return runs


def _bench(way: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "bench", "run", *arguments]
    status, said = WAYS[way](command)
    if status:
        raise MeasurementError(f"`{' '.join(command[1:])}` ended with status {status}:\n{said}")


def table(without: Run, drawn: Run, rounds: int) -> str:
    """Return a Markdown table: of each server, the ratio of with to without, over turns of so many rounds."""
    titles = [metric.noun for metric in SHOWN]
    lines = [f"| server | turns | {' | '.join(titles)} |", f"| --- | ---: |{' --- |' * len(titles)}"]
    keys = ["server", "workload", "round"]
    pairs = drawn.measured.merge(without.measured, on=keys, suffixes=("_with", "_without"))
    pairs["turn"] = (pairs["round"] - 1) // rounds
    for server, rows in pairs.groupby("server"):
        cells = [units.estimate(_ratio(rows, metric), "{:.3f}".format) for metric in SHOWN]
        lines.append(f"| {server} | {rows['turn'].nunique()} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _ratio(rows: pd.DataFrame, metric: Metric) -> Estimate:
    """Return the mean over turns of the mean ratio of each turn, with its interval."""
    ratios = rows[f"{metric.column}_with"] / rows[f"{metric.column}_without"]
    turns = [geometric_mean_interval(of_turn, LEVEL).value for _, of_turn in ratios.groupby(rows["turn"])]
    return geometric_mean_interval(turns, LEVEL)


@click.command("screen")
@click.option("--turns", type=click.IntRange(1), default=TURNS, show_default=True, help="Turns of both ways.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Rounds of each turn.")
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add the table to this file.")
def screen(*, turns: int, rounds: int, summary: Path | None) -> None:
    """Measure the same plan with and without the screen, in turns, and show the ratios."""
    refuse_unwritable(summary)
    with tempfile.TemporaryDirectory(prefix="echobench-screen-") as folder:
        runs = measured(Path(folder), turns, rounds)
        if set(runs) != set(WAYS):
            raise MeasurementError("nothing was measured both ways")
        shown = table(*(run_folder.load(runs[way]) for way in WAYS), rounds)
    click.echo(shown, nl=False)
    add_to_file(summary, shown)


if __name__ == "__main__":
    sys.exit(status_of(screen))
