"""The whole check behind one call: build the arms, measure, judge, remember, and say it. The command line only asks."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.experiment.host.machine import allowed_cores, plan_cores
from bench.experiment.trial.live import LiveBench
from bench.regress import conclude
from bench.regress.junit import render as junit
from bench.regress.ledger import Ledger, default_path
from bench.regress.render import Report, markdown, text
from bench.regress.request import Prepared, Request, machine_key, prepared
from bench.regress.session import Question, Session, Watcher
from bench.verdict.judge import ALPHA
from bench.verdict.rules import chosen_rules
from bench.verdict.values import CellVerdict, Comparison
from bench.verdict.words import EXIT_CODES, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.errors import BenchError
    from bench.experiment.model import Measure

__all__ = ["Amount", "Request", "failure", "junit", "live_bench", "markdown", "run", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much to measure, by which rules. One of `pairs` and `seconds` is given; `tolerance` is a fraction."""

    seed: int
    pairs: int | None = None
    seconds: float | None = None
    gates: tuple[str, ...] = ()
    tolerance: float = 0.02


@contextlib.contextmanager
def live_bench() -> Iterator[Measure]:
    """Yield the bench that really measures; its logs go when it does, since what they say is in the results."""
    with tempfile.TemporaryDirectory(prefix="echobench-") as logs:
        yield LiveBench(logs=Path(logs), cores=plan_cores(allowed_cores()))


def run(
    request: Request,
    amount: Amount,
    *,
    ledger_path: Path | None,
    watcher: Watcher,
    again: Sequence[str],
    allow_inconclusive: bool,
) -> Report:
    """Compare, and return the report. Raises what `prepared` and `Ledger` raise."""
    ledger = Ledger(ledger_path or default_path())
    with prepared(request) as arms, live_bench() as measure:
        question = _question(arms, amount)
        outcome = Session(question, measure, ledger=ledger, watcher=watcher).run()
    ledger.append(conclude.remembered(outcome, question, datetime.now(UTC).isoformat(timespec="seconds")))
    return conclude.report(outcome, question, arms, ledger, again, allow=allow_inconclusive)


def failure(error: BenchError) -> Comparison | None:
    """Return the verdict of a comparison that could not begin; None for wrong use, which is no verdict."""
    words = {code: word for word, code in EXIT_CODES.items() if word in {Word.INVALID, Word.NO_BASELINE}}
    if error.exit_code not in words:
        return None
    cell = CellVerdict(cell="set-up", word=words[error.exit_code], reason=str(error))
    return Comparison(cells=(cell,), looks=(), alpha=ALPHA)


def _question(arms: Prepared, amount: Amount) -> Question:
    return Question(
        cells=arms.cells,
        rules=chosen_rules(amount.gates, amount.tolerance),
        seed=amount.seed,
        machine=machine_key(),
        pairs=amount.pairs,
        seconds=amount.seconds,
        may_leave_out=arms.may_leave_out,
        same=arms.same,
        same_interpreter=arms.same_interpreter,
    )
