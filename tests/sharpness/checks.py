"""One check as a user makes it: `python -m bench regress` as a child, of two servers whose costs are known.

Which checks are made, and what they come to, stands elsewhere (`power.py`, `power_table.py`).
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.checkout import CHECKOUT
from sharpness.power_table import CPU, change_of

from bench.errors import ExitCode, MeasurementError
from bench.experiment.host import machine
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
TEMPLATE = HERE / "dearer_0.py"
ROUNDS_TRIED = 800
"""Rounds of the loop by which it is calibrated: they cost about half of what a reply costs. So noise is small beside
them, and the cost of a round is still told within a few percent."""
CALIBRATION_PAIRS = 14
"""So few that the only look is at their end: an earlier one would end it, and leave the cost less well known."""
ENDING_S = 60.0
"""What an interrupted comparison has to end its servers."""


@dataclass(frozen=True)
class Answer:
    """What a comparison said, after how many seconds. `comparison` is None if it could not begin."""

    word: str
    seconds: float
    comparison: dict[str, Any] | None
    reason: str = ""


Compare = "Callable[[int, int, list[str]], Answer]"


class Regress:
    """Compares the server with itself, made dearer by so many rounds of a loop. `folder` is ours for the time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, rounds: int, seed: int, options: list[str]) -> Answer:
        """Return what `bench regress` says. Raise MeasurementError if it says nothing."""
        arms = ["--a", str(server(0, self._folder)), "--b", str(server(rounds, self._folder))]
        ledger = ["--ledger", str(self._folder / "ledger")]  # the user's own learns nothing from made-up servers
        command = [sys.executable, "-m", "bench", "regress", *arms, *ledger, "--seed", str(seed), "--json", *options]
        began_s = time.monotonic()
        status, out, error = run(command)
        return answer(status, out, error, time.monotonic() - began_s)


def server(rounds: int, folder: Path) -> Path:
    """Return the file of the server with so many rounds of the loop, written into the folder."""
    path = folder / f"dearer_{rounds}.py"
    if not path.exists():
        shutil.copyfile(TEMPLATE, path)
    return path


def run(command: list[str]) -> tuple[int, str, str]:
    """Run a command to its end; return its status and what it printed.

    An interrupt is passed on once, and raised when the command has ended. A terminal would send it to both, and a
    second one would not let the command put its servers away.
    """
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, error = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return process.returncode, out, error


def answer(status: int, out: str, error: str, seconds: float) -> Answer:
    """Return what a comparison that ended with this status said. Raise MeasurementError if it said nothing."""
    if out:
        comparison = json.loads(out)
        return Answer(comparison["word"], seconds, comparison)
    if status == ExitCode.INVALID:
        return Answer(Word.INVALID, seconds, None, error.strip())
    raise MeasurementError(f"bench regress ended with status {status} and no answer:\n{error.strip()}")


def calibrated(compare: Callable[[int, int, list[str]], Answer], seed: int) -> dict[str, Any]:
    """Measure once what the loop costs, and return that as a record. Raise MeasurementError if it cannot be told.

    `cost` is the share that ROUNDS_TRIED rounds add to the server's CPU per reply. As a ratio to the server itself,
    measured in turn with it, it bears a machine whose speed changes.
    """
    found = compare(ROUNDS_TRIED, seed, ["--pairs", str(CALIBRATION_PAIRS), "--gate", CPU])
    change = change_of(found.comparison)
    if change is None or change["low"] <= 0:
        raise MeasurementError(
            f"what the loop costs cannot be told: the comparison ended in {found.word} {found.reason}"
        )
    return {
        "kind": "calibration",
        "rounds": ROUNDS_TRIED,
        "cost": change["value"],
        "cost_low": change["low"],
        "cost_high": change["high"],
        "seconds": found.seconds,
    }


def rounds_for(effect: float, calibration: dict[str, Any]) -> int:
    """Return the rounds of the loop that add `effect` percent; at least one if any is to be added."""
    if not effect:
        return 0
    rounds: float = effect / 100 / calibration["cost"] * calibration["rounds"]
    return max(1, round(rounds))


@contextmanager
def neighbour() -> Iterator[int]:
    """Let a process burn the server's core for half of each second; its id. Raise MeasurementError if it ended."""
    cpus = ",".join(map(str, sorted(machine.cores().server)))
    with subprocess.Popen([sys.executable, str(HERE / "neighbour.py"), cpus]) as process:
        try:
            yield process.pid
            ended = process.poll()
        finally:
            process.terminate()
    if ended is not None:
        raise MeasurementError(f"the neighbour ended with status {ended}: these checks were not disturbed")
