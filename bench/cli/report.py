"""`echobench report`: make the report of a run again, or one page of several runs. Nothing is computed here."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.files import read_run
from bench.cli.options import baseline_option
from bench.errors import UsageError, unwritable
from bench.files import write_atomically

EXAMPLES = """\b
Examples:
  echobench report results/RUN --baseline threads
  echobench report results/OLD results/NEW --out both.html
"""


@click.command("report", epilog=EXAMPLES, short_help="Make the tables, plots and report of a run again.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Of one run: folder for report.html and plots/; nothing in RUN is then changed.  [default: RUN]  "
    "Of several: the file.  [default: A-B.html beside the first, from their names, unless a file that is no "
    "such page is there]",
)
@baseline_option
def report(*, runs: tuple[Path, ...], out: Path | None, baseline: str | None) -> None:
    """Make the tables, plots and report of the run in the folder RUN again, and print the path of the report.

    Nothing is measured. The same run gives the same files.

    Several RUNS make one page: each server as a ratio to the baseline of its own run, in every run. The exit status is
    5 if they cannot be compared, because their machine, interpreter, libraries or generator differ: each is named.
    """
    if len(runs) > 1:
        click.echo(_several(runs, out, baseline))
        return
    from bench.analysis.report import page  # noqa: PLC0415 - pandas and matplotlib only once they are needed

    if out is not None and out.is_file():
        raise UsageError(f"{out} is a file: --out names a folder for the report of one run")
    found = read_run(runs[0], from_records=True)
    click.echo(page.rebuild(found, out or runs[0], baseline=baseline))


def _several(paths: tuple[Path, ...], out: Path | None, baseline: str | None) -> Path:
    from bench.analysis.comparing.side_by_side import side_by_side  # noqa: PLC0415 - pandas only once it is needed
    from bench.analysis.report import page, several  # noqa: PLC0415 - as above
    from bench.experiment.records import INFO_FILE  # noqa: PLC0415 - as above

    if out is not None and (out.is_dir() or out.name == page.REPORT_FILE or (out.parent / INFO_FILE).exists()):
        raise UsageError(f"{out} is a folder, a report or in the folder of a run: name another file with --out FILE")
    found = side_by_side([read_run(path) for path in paths], baseline)
    first = next(iter(found.runs.values()))
    file = out or first.path.parent / f"{'-'.join(run.id for run in found.runs.values())}.html"
    if out is None and file.exists() and not several.is_ours(file):
        raise UsageError(f"{file} is there, and is no page of several runs: name another file with --out FILE")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, several.render(found, file.parent))
    except OSError as error:
        raise unwritable(file, error, "choose another file with --out") from error
    return file
