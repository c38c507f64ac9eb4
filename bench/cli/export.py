"""`echobench export`: write a run or a comparison for another tool. The formats are in `bench.analysis.export`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.analysis.export import formats, render, render_comparison, write
from bench.cli.files import read_run
from bench.errors import UsageError

STDOUT = Path("-")


class _ListsFormats(click.Command):
    """A command whose help ends with a list of the formats."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list."""
        with formatter.section("Formats"):
            formatter.write_dl(list(formats().items()))


@click.command("export", cls=_ListsFormats, short_help="Write a run in the format of another tool.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "name", required=True, metavar="FORMAT", help="The format to write; see the list below.")
@click.option("--baseline", metavar="SERVER", help="With two formats: add the ratio of every server.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to; - is stdout.  [default: export/ in the run, or beside the file]",
)
def export(*, run: Path, name: str, baseline: str | None, out: Path | None) -> None:
    """Write the run in the folder RUN for a tool that reads FORMAT.

    Each trial gives one value, and a trial that was not measured gives none. RUN may also be a file with what
    `echobench regress --json` printed. Then bencher and github-action-benchmark get the candidate and its ratio to the
    baseline. That ratio is the number that may be compared with another day's.

    For example: echobench export results/RUN --format csv --out -
    """
    if run.is_file():
        if baseline is not None:
            raise UsageError(f"{run} is a comparison, which has a baseline already: leave out --baseline")
        folder, files = run.parent, render_comparison(name, run)
    else:
        folder, files = run, render(name, read_run(run), baseline)
    if out == STDOUT:
        for text in files.values():
            click.echo(text, nl=False)
        return
    for path in write(files, out or folder / "export"):
        click.echo(path)
