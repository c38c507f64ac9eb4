"""The memory of the check: one JSON line for each cell of each comparison.

A plan takes the noise from it, and people the check's own error rate. It decides nothing. A baseline is a commit that
is measured again, and never a number from this file.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.files import cache_folder
from bench.plain import plain
from bench.regress.planner import Knowledge
from bench.stats import Estimate, clopper_pearson
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.verdict.rules import Rule
    from bench.verdict.values import Comparison

SCHEMA_VERSION = 1
RECENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PairNoise:
    """The noise of one metric's pairs in one comparison, as remembered. None is what the pairs could not tell."""

    sd: float | None
    lag1: float | None
    order_effect: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One cell of one comparison. `same` says that both arms were the same code, so any change is a false alarm."""

    at: str
    machine: str
    cell: str
    same: bool
    word: Word
    pairs: int
    trial_s: float
    noise: Mapping[str, PairNoise] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """How often this check has called equal code changed, with the exact 95 % interval of that rate."""

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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the ledger {path} cannot be used: {error}; name another with --ledger") from error
        for line in text.splitlines():
            entry = _parse(line)
            if entry is None:
                self.unreadable += 1
            else:
                self.entries.append(entry)

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """Add entries with a single write, so that two comparisons at once do not mix their lines."""
        fresh = list(entries)
        text = "".join(
            json.dumps({"schema": SCHEMA_VERSION, **asdict(entry)}, sort_keys=True) + "\n" for entry in fresh
        )
        try:
            torn = self.path.exists() and self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n")
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + text if torn else text)
        except OSError as error:
            raise UsageError(
                f"the ledger {self.path} cannot be written: {error}; name another with --ledger"
            ) from error
        self.entries.extend(fresh)

    def knowledge(self, cells: Sequence[str], rules: Sequence[Rule], machine: str) -> Knowledge:
        """Return the noise and the pace of these cells on this machine, as far as they are remembered."""
        sds = {(cell, rule.metric): self.pair_sd(cell, rule.metric, machine) for cell in cells for rule in rules}
        paces = {cell: self.trial_s(cell, machine) for cell in cells}
        return Knowledge(
            pair_sd={key: sd for key, sd in sds.items() if sd is not None},
            trial_s={cell: pace for cell, pace in paces.items() if pace is not None},
        )

    def pair_sd(self, cell: str, metric: str, machine: str) -> float | None:
        """Median noise of the last comparisons of this cell on this machine; None if there were none."""
        seen = [entry.noise[metric].sd for entry in self._recent(cell, machine) if metric in entry.noise]
        known = [sd for sd in seen if sd is not None]
        return statistics.median(known) if known else None

    def trial_s(self, cell: str, machine: str) -> float | None:
        """Median wall time of a trial of this cell on this machine, launch and stop included."""
        seen = [entry.trial_s for entry in self._recent(cell, machine)]
        return statistics.median(seen) if seen else None

    def false_alarms(self) -> FalseAlarms:
        """Count the words of comparisons whose arms were the same code, where a verdict was reached."""
        judged = [e.word for e in self.entries if e.same and e.word not in {Word.INVALID, Word.NO_BASELINE}]
        return FalseAlarms(
            regressed=judged.count(Word.REGRESSED), improved=judged.count(Word.IMPROVED), comparisons=len(judged)
        )

    def _recent(self, cell: str, machine: str) -> list[LedgerEntry]:
        return [entry for entry in self.entries if entry.cell == cell and entry.machine == machine][-RECENT:]


def entries(comparison: Comparison, *, at: str, machine: str, same: bool, trial_s: float) -> list[LedgerEntry]:
    """Return an entry for each cell of a comparison that gave pairs."""
    return [
        LedgerEntry(
            at=at,
            machine=machine,
            cell=cell.cell,
            same=same,
            word=Word.INVALID if comparison.host_problem else cell.word,
            pairs=max(metric.pairs for metric in cell.metrics),
            trial_s=trial_s,
            noise={
                metric.rule.metric: PairNoise(
                    sd=plain(metric.noise.sd),
                    lag1=plain(metric.noise.lag1),
                    order_effect=plain(metric.noise.order_effect.value),
                )
                for metric in cell.metrics
                if metric.noise is not None
            },
        )
        for cell in comparison.cells
        if any(metric.pairs for metric in cell.metrics)
    ]


def _parse(line: str) -> LedgerEntry | None:
    try:
        fields = json.loads(line)
        if fields.pop("schema") != SCHEMA_VERSION:
            return None
        noise = {metric: PairNoise(**values) for metric, values in fields.pop("noise").items()}
        return LedgerEntry(**{**fields, "word": Word(fields["word"]), "noise": noise})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
