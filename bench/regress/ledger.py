"""The memory of `regress`: one JSON line for each cell of each comparison.

A plan takes the noise from it, and people the error rate of `regress` itself. It decides nothing. A baseline is a
commit that is measured again, and never a number from this file.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.files import cache_folder, why_unwritable
from bench.plain import plain
from bench.regress.planner import Knowledge, PairedCell
from bench.stats import Estimate, clopper_pearson
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.verdict.rules import Rule
    from bench.verdict.values import Comparison

SCHEMA_VERSION = 2
"""Lines of an earlier version are left alone: they tell of pairs that were measured otherwise."""
RECENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One cell of one comparison. `same` says that both arms were the same code, so any change is a false alarm.

    `measurement` is the key of what was measured and how. Noise is remembered for the very same measurement only.
    `pair_sd` has the standard deviation of the log ratio of a pair by metric. It is None if the pairs could not tell.
    """

    at: str
    machine: str
    cell: str
    measurement: str
    same: bool
    word: Word
    pairs: int
    trial_s: float
    pair_sd: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """How often `regress` has called equal code changed, with the exact 95 % interval of that rate."""

    regressed: int
    improved: int
    comparisons: int

    @property
    def rate(self) -> Estimate:
        """Share of comparisons of equal code that were called REGRESSED."""
        return clopper_pearson(self.regressed, self.comparisons)


def default_path() -> Path:
    """Return the default path of the ledger, in the user's cache folder."""
    return cache_folder() / "regress.jsonl"


class Ledger:
    """The entries of one file, read once and appended to. A line that cannot be read is counted."""

    def __init__(self, path: Path) -> None:
        """Read the file if there is one. Raise UsageError if it cannot be read or written."""
        self.path = path
        self.entries: list[LedgerEntry] = []
        self.unreadable = 0
        if path.exists() and not path.is_file() and not path.is_char_device():
            raise UsageError(f"the ledger {path} cannot be used: it is no file; name another with --ledger")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.is_file() else ""  # a device may have no end
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the ledger {path} cannot be used: {error}; name another with --ledger") from error
        if why := why_unwritable(path):
            raise UsageError(f"the ledger {path} cannot be written: {why}; name another with --ledger")
        for line in text.splitlines():
            try:
                self.entries += _parse(line)
            except (ValueError, KeyError, TypeError, AttributeError):
                self.unreadable += 1

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """Add entries with a single write, so that two comparisons at once do not mix their lines.

        Raises UsageError if the file cannot be written; the entries count all the same.
        """
        fresh = list(entries)
        self.entries.extend(fresh)
        text = "".join(
            json.dumps({"schema": SCHEMA_VERSION, **asdict(entry)}, sort_keys=True) + "\n" for entry in fresh
        )
        try:
            torn = self.path.exists() and self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n")
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + text if torn else text)
        except OSError as error:
            raise UsageError(f"the ledger {self.path} cannot be written: {error.strerror or error}") from error

    def knowledge(self, cells: Sequence[PairedCell], rules: Sequence[Rule], machine: str) -> Knowledge:
        """Return the noise and the pace of these measurements on this machine, as far as they are remembered."""
        recent = {cell.name: self._recent(cell.measurement, machine) for cell in cells}
        sds = {
            (name, rule.metric): _median([entry.pair_sd.get(rule.metric) for entry in entries])
            for name, entries in recent.items()
            for rule in rules
        }
        paces = {name: _median([entry.trial_s for entry in entries]) for name, entries in recent.items()}
        return Knowledge(
            pair_sd={key: sd for key, sd in sds.items() if sd is not None},
            trial_s={name: pace for name, pace in paces.items() if pace is not None},
        )

    def false_alarms(self) -> FalseAlarms:
        """Count the words of comparisons whose arms were the same code, where a verdict was reached."""
        judged = [e.word for e in self.entries if e.same and e.word not in {Word.INVALID, Word.NO_BASELINE}]
        return FalseAlarms(
            regressed=judged.count(Word.REGRESSED), improved=judged.count(Word.IMPROVED), comparisons=len(judged)
        )

    def _recent(self, measurement: str, machine: str) -> list[LedgerEntry]:
        mine = (measurement, machine)
        return [entry for entry in self.entries if (entry.measurement, entry.machine) == mine][-RECENT:]


def entries(
    comparison: Comparison, measured: Iterable[PairedCell], *, at: str, machine: str, same: bool, trial_s: float
) -> list[LedgerEntry]:
    """Return what is worth remembering of a comparison of these cells: nothing of a cell that gave no pairs.

    `at` is the time in UTC, ISO 8601; `trial_s` the wall time of a trial in seconds, launch and stop included.
    """
    keys = {cell.name: cell.measurement for cell in measured}
    return [
        LedgerEntry(
            at=at,
            machine=machine,
            cell=cell.cell,
            measurement=keys[cell.cell],
            same=same,
            word=Word.INVALID if comparison.host_problem else cell.word,
            pairs=max(metric.pairs for metric in cell.metrics),
            trial_s=trial_s,
            pair_sd={metric.rule.metric: plain(metric.pair_sd) for metric in cell.metrics if metric.pairs},
        )
        for cell in comparison.cells
        if any(metric.pairs for metric in cell.metrics)
    ]


def _parse(line: str) -> list[LedgerEntry]:
    """Return the entry of a line, none if an earlier version wrote it. Raises for a line that cannot be read."""
    fields = json.loads(line)
    version = fields.pop("schema")
    if version < SCHEMA_VERSION:
        return []
    if version > SCHEMA_VERSION:
        raise ValueError(version)
    entry = LedgerEntry(**{**fields, "word": Word(fields["word"])})
    known = [sd for sd in entry.pair_sd.values() if sd is not None]
    if not all(map(_is_amount, [entry.trial_s, *known])):
        raise ValueError(entry)
    return [entry]


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < math.inf


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
