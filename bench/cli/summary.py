"""The summary of a run in a terminal: its estimates, its failures, its doubts with advice. Nothing is computed here.

Imports the analysis, so import it only after measuring.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from bench import units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.estimates.sentences import sentence
from bench.analysis.estimates.thresholds import judge, worst
from bench.analysis.estimates.wander import wander
from bench.cli.estimates_table import print_estimates
from bench.cli.terminal import tell
from bench.errors import ExitCode
from bench.experiment.doubts import lines
from bench.experiment.model import Status
from bench.text import cut_lines
from clients.thresholds import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run


STYLES = {Finding.FAILED: "bold red", Finding.CANNOT_TELL: "bold yellow", Finding.OK: "green"}
_EXIT_CODES = {
    Finding.FAILED: ExitCode.REGRESSED,
    Finding.CANNOT_TELL: ExitCode.INCONCLUSIVE,
    Finding.OK: ExitCode.FINE,
}


def show(run: Run, found: Ranking, console: Console) -> None:
    """Print the table of a run that is ranked, what it rests on, its failures and its doubts."""
    for line in found.behind:
        tell(console, line, "bold yellow")
    print_estimates(found, console)
    for one in judge(run):
        tell(console, one.sentence, STYLES[one.finding])
    level = units.share(LEVEL)
    below = f"Below a ratio: the geometric mean over trials, with its {level} interval."
    alone = f"Geometric means over trials, with their {level} intervals."
    tell(console, below if found.ratios else alone)
    for line in [
        remarks.load_made(run),
        *remarks.comparison(found),
        *remarks.sharpness(found),
        remarks.wandering(wander(run, found)),
    ]:
        if line:
            tell(console, line)
    for line, style in [
        *((line, "red") for line in run.damage),
        *failures(run),
        *((line, "yellow") for line in doubts(run)),
    ]:
        tell(console, line, style)


def exit_code(run: Run) -> ExitCode:
    """Return what the thresholds of a run come to; FINE if it has none."""
    return _EXIT_CODES[worst(judge(run))]


def markdown(run: Run, found: Ranking) -> str:
    """Return the answer of a run that is ranked and the words of its thresholds, for the summary of a CI job."""
    judged = judge(run)
    standing = found.headline(found.question)
    title = "nothing was measured" if standing is None else sentence(standing, found.sweep)
    lines = [f"### {f'{worst(judged)}: ' if judged else ''}{title}", "", f"Run `{run.id}`.", ""]
    lines += [f"- {one.sentence}" for one in judged]
    lines += [f"- {line}" for line, _ in failures(run)]
    return "\n".join(lines).rstrip() + "\n"


def failures(run: Run) -> list[tuple[str, str]]:
    """Return a line for each server and status whose trials were not measured, with the style to print it in."""
    missing = run.trials[run.trials["status"] != Status.MEASURED]
    lines = []
    for (server, status), rows in missing.groupby(["server", "status"], sort=False):
        where = ", ".join(dict.fromkeys(rows["workload"]))
        style = "yellow" if status == Status.SKIPPED else "red"
        lines.append((f"{server} {where}: {status}: {cut_lines(rows['status_detail'].iloc[0])}", style))
    return lines


def doubts(run: Run) -> list[str]:
    """Return a line for each doubt: the number of trials that carry it, and what to do."""
    codes = Counter(code for text in run.measured["doubts"].dropna() for code in text.split(",") if code)
    return lines(codes, len(run.measured))


def time_spent(info: Mapping[str, Any]) -> str:
    """Say which share of the time of a run was measured."""
    windows_s, wall_s = info["windows_s"], info["wall_s"]
    share = units.share(windows_s / wall_s if wall_s else 0.0)
    return f"Measured for {windows_s:.0f} s of {wall_s:.0f} s ({share})."
