"""`echobench export`: write a run in the format of another tool. What is in the files is decided elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from bench.analysis.export import FORMATS, render, write

STDOUT = Path("-")
_WIDTH = max(map(len, FORMATS))
_EPILOG = "\n".join(["\b", "Formats:", *(f"  {name:{_WIDTH}}  {words}" for name, words in FORMATS.items())])


@click.command("export", epilog=_EPILOG, short_help="Write a run in the format of another tool.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "name", required=True, metavar="FORMAT", help="One of those below.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to; - is stdout.  [default: RUN/export]")
def export(*, run: Path, name: str, out: Path | None) -> None:
    """Write the run in the folder RUN for a tool that reads FORMAT.

    One value per trial; a trial that was not measured gives no number to anyone.
    """
    from bench.analysis import frame  # noqa: PLC0415 - pandas only once it is needed

    files = render(name, frame.load(run))
    if out == STDOUT:
        for text in files.values():
            click.echo(text, nl=False)
        return
    for path in write(files, out or run / "export"):
        click.echo(path)
