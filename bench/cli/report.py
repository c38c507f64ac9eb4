"""`echobench report`: make the tables, plots and report of a run again. Nothing is computed here."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.files import read_run
from bench.cli.options import baseline_option


@click.command("report", short_help="Make the tables, plots and report of a run again.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.html and plots/; nothing in RUN is then changed.  [default: RUN]",
)
@baseline_option
def report(*, run: Path, out: Path | None, baseline: str | None) -> None:
    """Make the tables, plots and report of the run in the folder RUN again, and print the path of the report.

    Nothing is measured. The same run gives the same files.
    """
    from bench.analysis.report import page  # noqa: PLC0415 - pandas and matplotlib only once they are needed

    read_run(run)
    click.echo(page.build(run, out, baseline=baseline))
