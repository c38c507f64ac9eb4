"""`nox -s scale`: what the frames and the page of a large run cost, beside a small run and a fixed piece of arithmetic.

The runs are made up in a temporary folder by `scale_run.py`, and `scale_step.py` does each step. Measures no server.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click
from helpers.checkout import CHECKOUT
from sharpness import scale_run
from sharpness.ending import status_of

from bench.errors import MeasurementError

TRIALS, FEW = 10_000, 200
FRAMES_S, PAGE_S, PAGE_MB, PEAK_MB = 2.0, 15.0, 5.0, 500.0
"""What a run of TRIALS must stay under; MB are 1e6 bytes."""

STEP_TIMEOUT_S = 300.0
_TERMS = 3_000_000


class Cost(NamedTuple):
    """What a run costs: wall and CPU seconds of both steps, size of the page and peak of resident memory in MB."""

    frames_s: float
    frames_cpu_s: float
    page_s: float
    page_cpu_s: float
    page_mb: float
    peak_mb: float


def cost(run: Path) -> Cost:
    """Do both steps of a run, each in a new process. Raises MeasurementError if one fails or takes too long."""
    frames, page = (_step(name, run) for name in ("frames", "page"))
    size = (run / "report.html").stat().st_size
    peak = max(frames["peak_bytes"], page["peak_bytes"])
    return Cost(frames["wall_s"], frames["cpu_s"], page["wall_s"], page["cpu_s"], size / 1e6, peak / 1e6)


def _step(name: str, run: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "sharpness.scale_step", name, str(run)]
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True, timeout=STEP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(
            f"the step `{name}` took more than {STEP_TIMEOUT_S:g} s and was ended: try fewer trials, with --trials"
        ) from error
    except subprocess.CalledProcessError as error:
        raise MeasurementError(
            f"the step `{name}` ended with status {error.returncode}: its own words are above"
        ) from error
    found: dict[str, float] = json.loads(done.stdout)
    return found


def arithmetic_s() -> float:
    """Return the seconds of a piece of arithmetic that no change of ours makes faster: a slow machine is seen by it."""
    began = time.perf_counter()
    math.fsum(math.log(1 + number) for number in range(_TERMS))
    return time.perf_counter() - began


def table(many: Cost, few: Cost, trials: int) -> str:
    """Return what both runs cost as a table in Markdown, with what is asked of the large one."""
    rows = [
        ("seconds to frames", many.frames_s, few.frames_s, f"under {FRAMES_S:g}"),
        ("CPU seconds to frames", many.frames_cpu_s, few.frames_cpu_s, ""),
        ("seconds to page", many.page_s, few.page_s, f"under {PAGE_S:g}"),
        ("CPU seconds to page", many.page_cpu_s, few.page_cpu_s, ""),
        ("size of the page (MB)", many.page_mb, few.page_mb, f"under {PAGE_MB:g}"),
        ("peak memory (MB)", many.peak_mb, few.peak_mb, f"under {PEAK_MB:g}"),
    ]
    head = [f"|  | {trials:,} trials | {FEW:,} trials | asked |", "| --- | ---: | ---: | ---: |"]
    return "\n".join([*head, *(f"| {name} | {a:.2f} | {b:.2f} | {asked} |" for name, a, b, asked in rows)])


def is_within(many: Cost) -> bool:
    """Whether a run of TRIALS costs less than what is asked, in every respect."""
    asked = (FRAMES_S, PAGE_S, PAGE_MB, PEAK_MB)
    return all(a < b for a, b in zip((many.frames_s, many.page_s, many.page_mb, many.peak_mb), asked, strict=True))


@click.command("scale")
@click.option("--trials", type=click.IntRange(min=1), default=TRIALS, show_default=True, help="Trials of the run.")
def main(trials: int) -> None:
    """Print what a large made-up run costs. The status is 1 if that is more than what is asked."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        few, many = (cost(scale_run.make(Path(folder) / str(count), count)) for count in (FEW, trials))
    click.echo(table(many, few, trials))
    click.echo(f"\nA fixed piece of arithmetic took {arithmetic_s():.2f} s here.")
    if not is_within(many):
        raise click.ClickException("the run costs more than what is asked")


if __name__ == "__main__":
    sys.exit(status_of(main))
