"""The whole comparison behind one call: build the arms, measure, judge, and remember. Nothing is printed here."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.conformance import basic
from bench.experiment.drive import drive
from bench.regress import conclude
from bench.regress.conforming import conforming
from bench.regress.junit import render as junit
from bench.regress.ledger import Ledger, default_path
from bench.regress.page import page, page_of_failure
from bench.regress.proof import believed, prove
from bench.regress.render import Presentation, markdown, text
from bench.regress.request import Prepared, Request, machine_key, prepared
from bench.regress.session import Question, session
from bench.verdict.judge import ALPHA
from bench.verdict.rules import TOLERANCE, chosen_rules
from bench.verdict.values import CellVerdict, Comparison
from bench.verdict.words import EXIT_CODES, Word

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.errors import BenchError
    from bench.experiment.drive import Watcher
    from bench.experiment.model import Door
    from bench.regress.conforming import Check
    from bench.regress.proof import Prover

__all__ = [
    "Amount",
    "Request",
    "basic",
    "failure",
    "junit",
    "markdown",
    "page",
    "page_of_failure",
    "prove",
    "run",
    "text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much to measure, and by which rules. `tolerance` is a fraction.

    One of `pairs` of each cell, `seconds` for all cells, and `seconds_a_cell` is given.
    """

    seed: int
    pairs: int | None = None
    seconds: float | None = None
    seconds_a_cell: float | None = None
    gates: tuple[str, ...] = ()
    tolerance: float = TOLERANCE


def run(
    request: Request,
    amount: Amount,
    *,
    door: Door,
    check: Check,
    prove: Prover,
    ledger_path: Path | None,
    watcher: Watcher,
    again: Sequence[str],
    allow_inconclusive: bool,
) -> Presentation:
    """Compare, and return what is to be shown.

    `check` asks whether a server echoes, and `prove` whether the arms are what they are said to be. Raises what
    `prepared`, `prove` and `Ledger` raise, before it measures. A ledger that cannot be written in the end is a line of
    what is shown.
    """
    ledger = Ledger(ledger_path or default_path())
    with prepared(request) as asked:
        looked_s = time.monotonic()
        seen = conforming(asked.cells, check)
        arms = replace(asked, cells=seen.cells)
        remarks = prove(arms)
        question = _question(arms, amount, spent_s=time.monotonic() - looked_s)
        knowledge = ledger.knowledge(question.cells, question.rules, question.machine)
        opened = partial(door, nonconforming=seen.doubted) if seen.doubted else door
        with opened() as bench:
            began_s = time.monotonic()
            compared = drive(session(question, knowledge), bench, watcher=watcher, limit_s=question.seconds)
            seconds = time.monotonic() - began_s
    compared = replace(compared, comparison=believed(compared.comparison, remarks))
    forgotten = ""
    try:
        ledger.append(conclude.remembered(compared, question, seconds, datetime.now(UTC).isoformat(timespec="seconds")))
    except UsageError as error:
        forgotten = f"this comparison is not remembered: {error}"
    shown = conclude.presentation(compared, question, arms, ledger, again, seconds=seconds, allow=allow_inconclusive)
    return replace(shown, forgotten=forgotten)


def failure(error: BenchError) -> Comparison | None:
    """Return the verdict of a comparison that could not begin. Return None for wrong use, which is no verdict."""
    words = {code: word for word, code in EXIT_CODES.items() if word in {Word.INVALID, Word.NO_BASELINE}}
    if error.exit_code not in words:
        return None
    cell = CellVerdict(cell="set-up", word=words[error.exit_code], reason=str(error))
    return Comparison(cells=(cell,), looks=(), alpha=ALPHA)


def _question(arms: Prepared, amount: Amount, *, spent_s: float) -> Question:
    """Return what is asked. To look at the arms is part of the time of a comparison; to set them up is not."""
    each_s = amount.seconds_a_cell
    seconds = amount.seconds if each_s is None else each_s * len(arms.cells)
    return Question(
        cells=arms.cells,
        rules=chosen_rules(amount.gates, amount.tolerance),
        seed=amount.seed,
        machine=machine_key(),
        pairs=amount.pairs,
        seconds=None if seconds is None else max(0.0, seconds - spent_s),
        may_leave_out=arms.may_leave_out,
        same=arms.same,
        same_interpreter=arms.same_interpreter,
    )
