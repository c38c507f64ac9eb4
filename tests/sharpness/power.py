"""`nox -s power`: how often `bench regress` finds a slowdown of known size, and how often it says a false word.

Checks of the effects are made in turn, so that a session that is cut short has some of each. Each is kept when it ends.
A kept file is continued: only what it lacks is measured. One check stands in `checks.py`, the table in
`power_table.py`.
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import random
import shlex
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sharpness.checks import Answer, Regress, calibrated, neighbour, rounds_for
from sharpness.ending import status_of
from sharpness.power_table import change_of, grouped, table

from bench.cli.files import add_to_file, refuse_unwritable
from bench.errors import UsageError
from bench.experiment.instrument.ceiling import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    Compare = Callable[[int, int, list[str]], Answer]

SECONDS = {0.0: 30.0, 1.0: 60.0, 2.0: 30.0, 5.0: 30.0, 10.0: 30.0}
"""Effects in percent of the server's CPU per reply, and how long a check of each may take.

Short, so that a hundred checks of each can be made in a few hours. docs/instrument.md says why they are long enough.
"""
CHECKS = 10


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the seconds of a check by its effect in percent, and how many checks of each."""

    seconds: dict[float, float]
    checks: int
    seed: int
    is_disturbed: bool


class Kept:
    """The records of a session, in a file if one is given: a line each, written when it is known."""

    def __init__(self, path: Path | None, *, is_disturbed: bool) -> None:
        """Read what an earlier session left. Raise UsageError if it is damaged, or measured something else."""
        self._path = path
        self._made_with = {"machine": fingerprint(), "is_disturbed": is_disturbed}
        self.records: list[dict[str, Any]] = _read(path) if path is not None and path.exists() else []
        for record in self.records:
            if record["kind"] == "calibration" and {name: record[name] for name in self._made_with} != self._made_with:
                raise UsageError(f"{path} is of another machine, Python or neighbour: give --keep another file")

    @property
    def calibration(self) -> dict[str, Any] | None:
        """What the loop costs, or None if that is not known yet."""
        return next((record for record in self.records if record["kind"] == "calibration"), None)

    def add(self, record: dict[str, Any]) -> None:
        """Keep a record, at once."""
        if record["kind"] == "calibration":
            record = record | self._made_with
        self.records.append(record)
        add_to_file(self._path, json.dumps(record) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        grouped(records)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be continued ({error!r}): give --keep another file") from error
    return records


def measure(wanted: Wanted, kept: Kept, compare: Compare, tell: Callable[[str], None]) -> None:
    """Make the checks that are still wanted, in rounds of all effects in a shuffled order, and keep each."""
    if kept.calibration is None:
        tell("calibrating the loop …")
        kept.add(calibrated(compare, wanted.seed))
    calibration = kept.calibration
    assert calibration is not None
    tell("{rounds} rounds of the loop cost {cost:+.1%} [{cost_low:+.1%}, {cost_high:+.1%}]".format(**calibration))
    order = random.Random(wanted.seed)
    with neighbour() if wanted.is_disturbed else contextlib.nullcontext():
        while missing := _missing(wanted, kept):
            for effect, number in order.sample(missing, len(missing)):
                record = _check(effect, number, wanted, calibration, compare)
                kept.add(record)
                tell(_said(record))


def _missing(wanted: Wanted, kept: Kept) -> list[tuple[float, int]]:
    """Return the effects of the next round, each with the number of its check."""
    made = grouped(kept.records)
    numbers = {effect: len(made.get((effect, asked_s), ())) for effect, asked_s in wanted.seconds.items()}
    return [(effect, number) for effect, number in numbers.items() if number < wanted.checks]


def _check(effect: float, number: int, wanted: Wanted, calibration: dict[str, Any], compare: Compare) -> dict[str, Any]:
    asked_s, rounds = wanted.seconds[effect], rounds_for(effect, calibration)
    seed = random.Random(f"{wanted.seed} {effect:g} {number}").randrange(2**31)
    found = compare(rounds, seed, ["--minutes", f"{asked_s / 60:.6f}"])
    return {
        "kind": "check",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "effect": effect,
        "asked_s": asked_s,
        "rounds": rounds,
        "seed": seed,
        **asdict(found),
    }


def _said(record: dict[str, Any]) -> str:
    change = change_of(record["comparison"])
    measured = "no change measured" if change is None else "{value:+.1%} [{low:+.1%}, {high:+.1%}]".format(**change)
    said = f"{record['effect']:g} % added: {record['word']}, {measured}, {record['seconds']:.0f} s {record['reason']}"
    return said.rstrip()


def report(wanted: Wanted, kept: Kept) -> str:
    """Return the table of all that is kept, and the line that says what it was made with."""
    facts = fingerprint()
    beside = ", beside a neighbour that burns the server's core for half of each second" if wanted.is_disturbed else ""
    return (
        f"{table(kept.records)}\n"
        f"Source: `nox -s power -- {shlex.join(sys.argv[1:])}`, until {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, on "
        f"{facts['cpus']} CPUs of {facts['cpu_model']}, Linux {facts['kernel']}, "
        f"{platform.python_implementation()} {platform.python_version()}{beside}.\n"
    ).replace(" -- `", "`")


def _effects(_context: click.Context, _option: click.Parameter, text: str) -> list[float]:
    return [_number(part) for part in text.split(",")]


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[float, float]:
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    return {_number(effect): _number(seconds, above_0=True) for effect, _, seconds in pairs}


def _number(text: str, *, above_0: bool = False) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0 or (above_0 and not number):
        raise click.BadParameter(f"{text!r} is no number {'above' if above_0 else 'from'} 0")
    return number


@click.command("power")
@click.option("--checks", type=click.IntRange(1), default=CHECKS, show_default=True, help="Checks of each effect.")
@click.option(
    "--effects",
    callback=_effects,
    default=",".join(f"{effect:g}" for effect in SECONDS),
    show_default=True,
    help="Percents of the server's CPU per reply that are added.",
)
@click.option(
    "--seconds",
    callback=_seconds,
    metavar="EFFECT=SECONDS,…",
    help="Time of a check, by effect.  [default: "
    + ",".join(f"{e:g}={s:g}" for e, s in SECONDS.items())
    + ", else 60]",
)
@click.option("--neighbour", "is_disturbed", is_flag=True, help="Burn the server's core half of each second.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the order and of the checks.")
@click.option(
    "--keep", type=click.Path(dir_okay=False, path_type=Path), help="File for a line of JSON per check; continued."
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add the table to this file.")
def power(
    *,
    checks: int,
    effects: list[float],
    seconds: dict[float, float],
    is_disturbed: bool,
    seed: int,
    keep: Path | None,
    summary: Path | None,
) -> None:
    """Let `bench regress` judge servers that are dearer by a known share, and count its words.

    An interrupted session shows what it has. With --keep the next one continues it.
    """
    refuse_unwritable(keep, summary)
    kept = Kept(keep, is_disturbed=is_disturbed)
    times = {effect: (SECONDS | seconds).get(effect, 60.0) for effect in effects}
    wanted = Wanted(seconds=times, checks=checks, seed=seed, is_disturbed=is_disturbed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nox ends a session so
    try:
        with tempfile.TemporaryDirectory(prefix="echobench-power-") as folder:
            measure(wanted, kept, Regress(Path(folder)), lambda line: click.echo(line, err=True))
    finally:
        shown = report(wanted, kept)
        click.echo(shown, nl=False)
        add_to_file(summary, shown)


if __name__ == "__main__":
    sys.exit(status_of(power))
