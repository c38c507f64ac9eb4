"""`nox -s micro`: what it costs to leave a piece of work and to come back, in each way that a server may be built on.

Each Python is launched several times. A launch times all mechanisms in rounds, each in an order of its own. So what the
machine does falls on all alike, and ratios are made of the same round.

What was timed is kept in a folder: the JSON of pytest-benchmark, `micro.parquet`, `micro.txt` with the table, and the
plot. Ends with 4 if nothing could be timed, with 2 after wrong use, and with 1 if a launch failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from micro import plot, prices, pythons  # noqa: E402 - after the path is set
from sharpness.ending import INTERRUPTED  # noqa: E402

from bench.files import write_atomically  # noqa: E402
from bench.scratch import TEMPORARY  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

LAUNCHES, ROUNDS, TURN_S = 10, 25, 0.003
QUICK_LAUNCHES, QUICK_ROUNDS, QUICK_TURN_S = 6, 10, 0.001  # with fewer launches there is no exact interval at 95 %


def options() -> argparse.ArgumentParser:
    """Return what the command understands."""
    summary, _, rest = str(__doc__).partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="nox -s micro --", description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: seconds instead of a minute")
    parser.add_argument(
        "--python", nargs="*", metavar="COMMAND", help="time these Pythons; without a command, all that are found"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="shuffles the rounds; 1 by default")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to keep it; results/TIME-micro by default")
    return parser


def launch(python: pythons.Python, number: int, folder: Path, *, quick: bool, seed: int) -> Path:
    """Time all mechanisms in one launch of a Python, and return the file of pytest-benchmark.

    Raises RuntimeError, with what it printed, if the launch failed.
    """
    file = folder / f"{python.name.replace(' ', '-')}-{number}.json"
    rounds, turn_s = (QUICK_ROUNDS, QUICK_TURN_S) if quick else (ROUNDS, TURN_S)
    command = [python.command, str(ROOT / "tests" / "micro" / "measure.py"), "--rounds", str(rounds)]
    command += ["--turn-s", str(turn_s), "--seed", str(seed * 1000 + number), "--json", str(file)]
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as nowhere:  # where pytest-benchmark makes a folder
        # A worker of pytest-xdist hands its variables down, and pytest-benchmark times nothing where it sees them.
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(command, cwd=nowhere, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{python.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """Time what is asked for, keep it, and print the table."""
    parser = options()
    given = parser.parse_args(arguments)
    try:
        found = pythons.asked_for(given.python)
    except ValueError as error:
        parser.error(str(error))
    for python in found:
        if python.lacks:
            print(python.advice, file=sys.stderr)
    able = [python for python in found if not python.lacks]
    if not able:
        return 4
    folder = given.out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-micro"
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {folder} cannot be a folder: {error.strerror}")
    launches = QUICK_LAUNCHES if given.quick else LAUNCHES
    try:
        files = [
            (python.name, number, launch(python, number, folder, quick=given.quick, seed=given.seed))
            for number in range(1, launches + 1)
            for python in able
        ]
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    keep(folder, prices.frame_of(files, [python.name for python in found if python.lacks]))
    return 0


def keep(folder: Path, frame: prices.pd.DataFrame) -> None:
    """Write the frame, the table and the plot to the folder, and print the table."""
    priced = prices.prices(frame)
    text = prices.table(priced)
    frame.to_parquet(folder / "micro.parquet", index=False)
    write_atomically(folder / "micro.txt", f"{text}\n")
    for name, content in plot.files(priced).items():
        write_atomically(folder / name, content)
    print(text)
    print(f"\nEach is the median over launches, with its interval at 95 %. Kept in {folder}", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("micro: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
