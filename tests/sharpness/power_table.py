"""The table of `nox -s power`: what the kept checks come to. Pure: it reads records, and measures nothing.

A record is a line of the kept file: the calibration of the loop, or one check with the whole answer of `bench regress`.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from bench.metrics import GATES
from bench.stats import clopper_pearson
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Record = "Mapping[str, Any]"

CPU = "server_cpu_us_per_reply"
assert any(metric.column == CPU for metric in GATES)
WORDS = (Word.REGRESSED, Word.OK, Word.INCONCLUSIVE, Word.IMPROVED, Word.INVALID)
COLUMNS = (
    "CPU added",
    "asked",
    "measured",
    "REGRESSED / of",
    "OK / of",
    "INCONCLUSIVE",
    "IMPROVED",
    "INVALID",
    "seconds",
    "others' CPU",
)


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the checks in Markdown, a row for each effect and time asked for; a sentence if there is none.

    Shares have 95 % Clopper-Pearson intervals. `measured`, `seconds` (the whole command) and `others' CPU` (a share of
    the machine) are medians over the checks.
    """
    groups = grouped(records)
    if not groups:
        return "No check was finished.\n"
    lines = [_line(COLUMNS), _line(["---:"] * len(COLUMNS))]
    lines += [_line(_cells(effect, asked_s, groups[effect, asked_s])) for effect, asked_s in sorted(groups)]
    return "\n".join(lines) + "\n"


def grouped(records: Iterable[Mapping[str, Any]]) -> dict[tuple[float, float], list[Mapping[str, Any]]]:
    """Return the checks among the records by their effect in percent and the seconds that were asked for."""
    groups: dict[tuple[float, float], list[Mapping[str, Any]]] = {}
    for record in records:
        if record["kind"] == "check":
            groups.setdefault((record["effect"], record["asked_s"]), []).append(record)
    return groups


def change_of(comparison: Mapping[str, Any] | None) -> Mapping[str, float] | None:
    """Return the change of CPU per reply that a comparison measured, as value, low and high; None if it has none."""
    for cell in (comparison or {}).get("cells", ()):
        for metric in cell["metrics"]:
            if metric["rule"]["metric"] == CPU:
                change: Mapping[str, float] | None = metric["change"]
                return change
    return None


def _cells(effect: float, asked_s: float, checks: Sequence[Mapping[str, Any]]) -> list[str]:
    of = len(checks)
    counts = {word: sum(check["word"] == word for check in checks) for word in WORDS}
    changes = [change["value"] for check in checks if (change := change_of(check["comparison"])) is not None]
    foreign = [(check["comparison"] or {}).get("facts", {}).get("machine_foreign_cpu_share") for check in checks]
    return [
        f"{effect:g} %",
        f"{asked_s:g} s",
        _median(changes, "{:+.1%}"),
        _share(counts[Word.REGRESSED], of),
        _share(counts[Word.OK], of),
        *(str(counts[word]) for word in WORDS[2:]),
        _median([check["seconds"] for check in checks], "{:.0f} s"),
        _median([share for share in foreign if share is not None], "{:.0%}"),
    ]


def _share(hits: int, of: int) -> str:
    share = clopper_pearson(hits, of)
    return f"{hits} / {of} [{100 * share.low:.0f}, {100 * share.high:.0f} %]"


def _median(values: Sequence[float], written: str) -> str:
    return written.format(statistics.median(values)).replace("%", " %") if values else "NA"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
