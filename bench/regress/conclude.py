"""The end of a comparison: what the ledger remembers, the commands that would settle it, and the facts beside it.

This adds to a verdict, and never changes one.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import metrics
from bench.plain import plain
from bench.regress.ledger import Ledger, LedgerEntry, entries
from bench.regress.render import Presentation
from bench.regress.session import observations
from bench.regress.validity import cell_doubts, generator_was_the_limit
from bench.stats import median_interval
from bench.verdict.pairs import Arm
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.experiment.model import TrialResult
    from bench.regress.request import Prepared
    from bench.regress.session import Compared, Question
    from bench.stats import Estimate
    from bench.verdict.values import CellVerdict


def remembered(compared: Compared, question: Question, seconds: float, at: str) -> list[LedgerEntry]:
    """Return the ledger's entries for a comparison that took `seconds` and ended at `at` (UTC, ISO 8601)."""
    trial_s = seconds / max(1, compared.trials)
    cells, machine, same = compared.plan.cells, question.machine, question.same
    return entries(compared.comparison, cells, at=at, machine=machine, same=same, trial_s=trial_s)


def presentation(
    compared: Compared,
    question: Question,
    arms: Prepared,
    ledger: Ledger,
    again: Sequence[str],
    *,
    seconds: float,
    allow: bool,
) -> Presentation:
    """Return what is shown of a comparison that took `seconds`.

    `again` is the command without --pairs and --server, `allow` is --allow-inconclusive.
    """
    together = {cell.name: cell.together for cell in compared.plan.cells}
    cells = tuple(
        replace(
            _settled(cell, [*again, *arms.options.get(cell.cell, ())]),
            design="block" if together[cell.cell] else "solo",
            sensitivity=sensitivity(compared.pairs[cell.cell].measured(Arm.BASELINE)),
            hidden="" if cell.word is Word.INVALID else generator_was_the_limit(compared.pairs[cell.cell]),
            doubts=cell_doubts(compared.pairs[cell.cell]),
        )
        for cell in compared.comparison.cells
    )
    comparison = replace(compared.comparison, cells=cells)
    shown = Presentation(
        comparison=comparison,
        baseline=arms.baseline,
        candidate=arms.candidate,
        seconds=seconds,
        stopped=compared.stopped,
        trials=compared.trials,
        steal_share=compared.share(metrics.STEAL.column),
        foreign_share=compared.share(metrics.FOREIGN_CPU.column),
        false_alarms=ledger.false_alarms(),
        observations={name: observations(name, pairs) for name, pairs in compared.pairs.items()},
        unreadable=ledger.unreadable,
        allow_inconclusive=allow,
    )
    return replace(shown, comparison=replace(comparison, facts=_facts(shown, question, compared)))


def sensitivity(results: Sequence[TrialResult]) -> Estimate | None:
    """Return the fraction of a small change of a server's CPU per reply that its throughput shows.

    In a closed loop a round trip takes the server's CPU time c and a rest. So X = 1 / (c + rest), and
    d ln X / d ln c = -c X, which is the share of a core that the server uses. The share counts as one core at most,
    because a round trip waits for one core at a time. The estimate is the median over trials, and a bound that they do
    not support stays NaN. It is None if the share was not seen, and in an open loop, whose throughput is what was asked
    for.
    """
    shares = [share for result in results if (share := result.metrics.get("server_cpu_share")) is not None]
    closed = all(result.trial.workload.rate_per_s is None for result in results)
    return median_interval(shares).map(lambda share: min(share, 1.0)) if shares and closed else None


def _settled(cell: CellVerdict, again: Sequence[str]) -> CellVerdict:
    """Add the command that asks for enough pairs, if more pairs would settle the cell."""
    if cell.word is not Word.INCONCLUSIVE or all(metric.reason != cell.reason for metric in cell.metrics):
        return cell  # settled, or for a reason that more pairs do not change
    asked = [metric.pairs_to_settle for metric in cell.metrics if metric.rule.gating and metric.word is cell.word]
    pairs = max((number for number in asked if number is not None), default=None)
    return cell if pairs is None else replace(cell, settle=shlex.join([*again, "--pairs", str(pairs)]))


def _facts(shown: Presentation, question: Question, compared: Compared) -> dict[str, Any]:
    alarms = shown.false_alarms
    return {
        "baseline": shown.baseline,
        "candidate": shown.candidate,
        "same_code": question.same,
        "machine": question.machine,
        "seed": question.seed,
        "seconds": shown.seconds,
        "trials": shown.trials,
        "pairs_planned": compared.plan.pairs,
        "left_out": list(compared.plan.left_out),
        metrics.STEAL.column: plain(shown.steal_share),
        metrics.FOREIGN_CPU.column: plain(shown.foreign_share),
        "false_alarms": {
            "regressed": alarms.regressed,
            "improved": alarms.improved,
            "comparisons_of_equal_code": alarms.comparisons,
            "rate_low": alarms.rate.low,
            "rate_high": alarms.rate.high,
        },
    }
