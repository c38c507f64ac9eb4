"""`nox -s slices`: how noise and bias depend on the length of a slice, and what a slice's first instants are worth.

A server is measured beside itself, so every difference is the instrument's. The block is loaded by `slice_block.py`,
and what it comes to stands in `slices_table.py`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from helpers.checkout import CHECKOUT
from sharpness.slices_table import instants_table, lengths_table

from bench.cli.files import add_to_file, refuse_unwritable
from bench.errors import BenchError, MeasurementError
from bench.experiment.host import machine
from bench.experiment.planning.catalog import catalog
from bench.experiment.trial.process import RunningServer, launch_together
from clients.workload import Workload

CONNECTIONS, LENGTHS_MS = (1, 64, 1_000, 10_000), (5, 20, 80, 320, 1_000)
INSTANTS_SLICE_S = 0.32
LAUNCHES, LOAD_S = 6, 1.0
MINUTES = 9.5
WARMUP_S = 0.2
SERVER = "asyncio-protocol"
SPARE_DESCRIPTORS = 100
BLOCK_TIMEOUT_S = 120.0


def lacking(connections: int, hard: int) -> str | None:
    """Say why so many connections to each of two servers cannot be opened; None if they can. `hard` is the limit."""
    needed = 2 * connections + SPARE_DESCRIPTORS
    return f"{needed:,} descriptors are needed, {hard:,} are allowed" if needed > hard else None


def block(
    connections: int, slice_s: float, *, seed: int, load_s: float, folder: Path, instants: bool
) -> dict[str, Any]:
    """Launch a server twice and load both in turn. Raise MeasurementError if not all connections stand."""
    cores, server = machine.cores(), catalog().server(SERVER)
    workload = Workload(connections=connections, message_bytes=1024, warmup_s=WARMUP_S, duration_s=load_s, seed=seed)
    logs = [folder / "a.log", folder / "b.log"]
    with launch_together([server, server], logs=logs, seed=seed, cpus=cores.server) as launched:
        for one in launched:
            if not isinstance(one, RunningServer):
                raise one
        running = [one for one in launched if isinstance(one, RunningServer)]
        asked = {
            "addresses": [one.address for one in running],
            "pids": [one.pid for one in running],
            "cpus": cores.client,
            "workload": workload.to_json(),
            "slice_s": slice_s,
            "limit_s": load_s,
            "instants": instants,
        }
        found = _loaded(asked)
    if sum(found["established"]) < 2 * connections:
        raise MeasurementError(f"{sum(found['established']):,} of {2 * connections:,} connections stood")
    if not all(found["slices"]):
        raise MeasurementError("no pass was whole in the time of a launch")
    return found


def _loaded(asked: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "sharpness.slice_block"],
        cwd=CHECKOUT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=BLOCK_TIMEOUT_S,
    )
    if done.returncode:
        raise MeasurementError(f"the block could not be loaded: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def launches(
    connections: int, slice_s: float, number: int, load_s: float, *, until_s: float, instants: bool = False
) -> list[Any] | str:
    """Return what so many launches gave, fewer if the time is over, or why there is nothing."""
    why = lacking(connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if why is not None:
        return why
    with tempfile.TemporaryDirectory(prefix="echobench-slices-") as folder:
        try:
            found = [
                block(connections, slice_s, seed=seed, load_s=load_s, folder=Path(folder), instants=instants)
                for seed in range(1, number + 1)
                if time.monotonic() < until_s
            ]
        except MeasurementError as error:
            return " ".join(str(error).split())
    return found or "the time was over"


def _integers(_context: click.Context, _option: click.Parameter, text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise click.BadParameter(f"{text!r} is no list of numbers above 0")
    return found


@click.command("slices")
@click.option(
    "--connections",
    callback=_integers,
    default=",".join(map(str, CONNECTIONS)),
    show_default=True,
    help="To each server.",
)
@click.option("--lengths", callback=_integers, default=",".join(map(str, LENGTHS_MS)), show_default=True, help="In ms.")
@click.option(
    "--launches", "number", type=click.IntRange(1), default=LAUNCHES, show_default=True, help="Blocks of each row."
)
@click.option(
    "--load",
    "load_s",
    type=click.FloatRange(0, min_open=True),
    default=LOAD_S,
    show_default=True,
    help="Seconds of a block.",
)
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=MINUTES, show_default=True, help="Time in all."
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add the tables to this file.")
def slices(
    *, connections: list[int], lengths: list[int], number: int, load_s: float, minutes: float, summary: Path | None
) -> None:
    """Measure a server beside itself in slices of several lengths.

    Interrupted, or when the time is over, it shows what it has.
    """
    refuse_unwritable(summary)
    until_s = time.monotonic() + 60 * minutes
    rows: list[tuple[int, float, list[Any] | str]] = []
    first: list[tuple[int, list[Any] | str]] = []
    try:
        for many in connections:
            for length_ms in lengths:
                click.echo(f"{many:,} connections, slices of {length_ms:,} ms", err=True)
                rows.append((many, length_ms / 1e3, launches(many, length_ms / 1e3, number, load_s, until_s=until_s)))
            early = launches(many, INSTANTS_SLICE_S, number, load_s, until_s=until_s, instants=True)
            first.append((many, early if isinstance(early, str) else [one["instants"] for one in early]))
    finally:
        shown = f"{lengths_table(rows)}\nRate of a slice's first instants, to its rest:\n\n{instants_table(first)}"
        click.echo(shown, nl=False)
        add_to_file(summary, shown)


def main() -> int:
    """Run the session, and return its exit status."""
    try:
        slices(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BenchError as error:
        click.echo(f"slices: {error}", err=True)
        return int(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("slices: interrupted", err=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
