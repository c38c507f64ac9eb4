"""`echobench export`: write a run or a comparison for another tool. What is in the files is decided elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from bench.analysis.export import formats, render, render_comparison, write
from bench.errors import UsageError

STDOUT = Path("-")
_FORMATS = formats()
_WIDTH = max(map(len, _FORMATS))
_EPILOG = "\n".join(["\b", "Formats:", *(f"  {name:{_WIDTH}}  {words}" for name, words in _FORMATS.items())])


@click.command("export", epilog=_EPILOG, short_help="Write a run in the format of another tool.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "name", required=True, metavar="FORMAT", help="One of those below.")
@click.option("--baseline", metavar="SERVER", help="Add every ratio to this server of the run.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write to; - is stdout.  [default: export, beside the run]"
)
def export(*, run: Path, name: str, baseline: str | None, out: Path | None) -> None:
    """Write the run in the folder RUN for a tool that reads FORMAT.

    One value per trial; a trial that was not measured gives no number to anyone. RUN may also be a file with what
    `echobench regress --json` printed: then bencher and github-action-benchmark get the candidate and its ratio to the
    baseline, which is the number that may be compared with another day's.
    """
    if run.is_file():
        if baseline is not None:
            raise UsageError(f"{run} is a comparison, whose baseline is measured: leave out --baseline")
        folder, files = run.parent, render_comparison(name, run)
    else:
        from bench.analysis.runs import run_folder  # noqa: PLC0415 - pandas only once it is needed

        folder, files = run, render(name, run_folder.load(run), baseline)
    if out == STDOUT:
        for text in files.values():
            click.echo(text, nl=False)
        return
    for path in write(files, out or folder / "export"):
        click.echo(path)
