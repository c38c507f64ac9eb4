"""`nox -s slices`: how noise and bias depend on the length of a slice, and what a slice's first instants are worth.

A server is measured beside itself, where every difference is the instrument's, and beside another one, whose ratio
must not depend on the slices. `slice_block.py` loads the blocks, and `slices_table.py` has what they come to.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click
from helpers.checkout import CHECKOUT
from sharpness.ending import status_of
from sharpness.slices_table import instants_table, lengths_table

from bench.cli.files import add_to_file, refuse_unwritable
from bench.errors import MeasurementError
from bench.experiment.host import machine
from bench.experiment.model import LoadGenerator
from bench.experiment.planning.catalog import catalog
from bench.experiment.trial.process import RunningServer, launch_together
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS, LENGTHS_MS = (1, 64, 1_000, 10_000), (5, 10, 20, 80, 320, 1_000)
INSTANTS_SLICE_S = 0.32
LAUNCHES, LOAD_S = 6, 1.0
MINUTES = 9.5
WARMUP_S = 0.2
SERVERS = ("asyncio-protocol", "asyncio-protocol", "threads")
SPARE_DESCRIPTORS = 100
GENERATORS: tuple[LoadGenerator, ...] = get_args(LoadGenerator)
BLOCK_TIMEOUT_S = 120.0


class Row(NamedTuple):
    """What is measured of one number of connections: a length of a slice, or the first instants of a long one."""

    slice_s: float
    instants: bool = False


def lacking(connections: int, hard: int) -> str | None:
    """Say why so many connections to each server cannot be opened; None if they can. `hard` is the limit."""
    needed = len(SERVERS) * connections + SPARE_DESCRIPTORS
    return f"{needed:,} descriptors are needed, {hard:,} are allowed" if needed > hard else None


def block(
    connections: int, row: Row, *, seed: int, load_s: float, folder: Path, generator: LoadGenerator = "python"
) -> dict[str, Any]:
    """Launch SERVERS and load them in turn. Raise MeasurementError if not all connections stand."""
    cores, servers = machine.cores(), [catalog().server(name) for name in SERVERS]
    workload = Workload(connections=connections, message_bytes=1024, warmup_s=WARMUP_S, duration_s=load_s, seed=seed)
    logs = [folder / f"{number}.log" for number in range(len(servers))]
    with launch_together(servers, logs=logs, seed=seed, cpus=cores.server) as launched:
        for one in launched:
            if not isinstance(one, RunningServer):
                raise one
        running = [one for one in launched if isinstance(one, RunningServer)]
        asked = {
            "addresses": [one.address for one in running],
            "pids": [one.pid for one in running],
            "cpus": cores.client,
            "generator": generator,
            "workload": workload.to_json(),
            "slice_s": row.slice_s,
            "limit_s": load_s,
            "instants": row.instants,
        }
        found = _loaded(asked)
    established, wanted = sum(found["established"]), len(SERVERS) * connections
    if established < wanted:
        raise MeasurementError(f"{established:,} of {wanted:,} connections stood")
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
    connections: int,
    rows: Sequence[Row],
    number: int,
    load_s: float,
    *,
    until_s: float,
    generator: LoadGenerator = "python",
) -> dict[Row, list[dict[str, Any]] | str]:
    """Return what so many launches of each row gave, fewer if the time is over, or why there is nothing.

    The rows are measured in turn, so that what the machine does in the meantime falls on all of them.
    """
    if why := lacking(connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        return dict.fromkeys(rows, why)
    found: dict[Row, list[dict[str, Any]]] = {row: [] for row in rows}
    faults: dict[Row, str] = {}
    with tempfile.TemporaryDirectory(prefix="echobench-slices-") as folder:
        for seed, row in itertools.product(range(1, number + 1), rows):
            if time.monotonic() >= until_s or row in faults:
                continue
            try:
                one = block(connections, row, seed=seed, load_s=load_s, folder=Path(folder), generator=generator)
            except MeasurementError as error:
                faults[row] = " ".join(str(error).split())
            else:
                found[row].append(one)
    return {row: faults.get(row) or found[row] or "the time was over" for row in rows}


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
@click.option(
    "--generator",
    type=click.Choice(GENERATORS),
    default=GENERATORS[0],
    show_default=True,
    help="The one in C has a limit that is further away. It says nothing of first instants.",
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add the tables to this file.")
def slices(
    *,
    connections: list[int],
    lengths: list[int],
    number: int,
    load_s: float,
    minutes: float,
    generator: LoadGenerator,
    summary: Path | None,
) -> None:
    """Measure a server beside itself, and beside another one, in slices of several lengths.

    Interrupted, or when the time is over, it shows what it has.
    """
    refuse_unwritable(summary)
    began_s = time.monotonic()
    by_length: list[tuple[int, float, list[Any] | str]] = []
    early: list[tuple[int, list[Any] | str]] = []
    rows = [Row(length / 1e3) for length in lengths]
    rows += [Row(INSTANTS_SLICE_S, instants=True)] if generator == "python" else []
    try:
        for index, many in enumerate(connections, 1):
            click.echo(f"{many:,} connections", err=True)
            until_s = began_s + 60 * minutes * index / len(connections)
            found = launches(many, rows, number, load_s, until_s=until_s, generator=generator)
            for row, given in found.items():
                if not row.instants:
                    by_length.append((many, row.slice_s, given))
                else:
                    early.append((many, given if isinstance(given, str) else [one["instants"] for one in given]))
    finally:
        shown = lengths_table(by_length)
        if early:
            shown += f"\nRate of a slice's first instants, to its rest:\n\n{instants_table(early)}"
        click.echo(shown, nl=False)
        add_to_file(summary, shown)


if __name__ == "__main__":
    sys.exit(status_of(slices))
