"""The one loop that measures: it runs any experiment against any door to the world, and keeps what comes of it.

It owns interrupts, saving, progress, failure and the time limit, so no experiment has to. What is measured, in which
order and until when is the experiment's business; how it is measured is the door's. Nothing of either belongs here.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bench import interrupts
from bench.errors import BenchError
from bench.experiment.model import Block, BlockInterrupted, Known, News, Status, Stop, StopReason, TrialResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.experiment.model import Experiment, Measure, Results

T = TypeVar("T")


class Watcher(Protocol):
    """Who is told how far the experiment is. A watcher may print; it cannot change anything."""

    def began(self, block: Block) -> None:
        """Hear of a block that is about to be launched."""

    def ended(self, result: TrialResult) -> None:
        """Hear how a trial ended, after it was kept."""

    def told(self, news: News) -> None:
        """Hear what the experiment has to say between two blocks."""


class Silent:
    """Watches and says nothing."""

    def began(self, block: Block) -> None:
        """Say nothing."""

    def ended(self, result: TrialResult) -> None:
        """Say nothing."""

    def told(self, news: News) -> None:
        """Say nothing."""


def drive(
    experiment: Experiment[T],
    measure: Measure,
    *,
    keep: Callable[[TrialResult], None] = lambda _: None,
    watcher: Watcher | None = None,
    limit_s: float | None = None,
    overrun: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Measure what the experiment asks for until it returns, and return that.

    `keep` is called with every result before the experiment hears of it. When an interrupt comes, or the next block
    would end later than `limit_s` seconds after the beginning, the experiment is asked to stop and returns what it has.
    A part of that block, `overrun`, may lie beyond the limit: with a half, the end is as often late as early.
    Of the block under way only what is whole is kept. Raises KeyboardInterrupt if it has nothing to return, and
    whatever the experiment or `keep` raises.
    """
    watcher = watcher or Silent()
    limit = None if limit_s is None else _TimeLimit(limit_s, overrun, clock)
    with _interrupts_held() as held:
        try:
            step = next(experiment)
            while True:
                answer: Results = ()
                if isinstance(step, News):
                    watcher.told(step)
                elif isinstance(step, Known):
                    answer = step.results
                else:
                    try:
                        answer = _measured(step, measure, watcher, held, limit)
                    except Stop as stop:
                        experiment.throw(stop)
                        raise RuntimeError("an experiment went on after it was asked to stop") from stop
                for result in answer:
                    keep(result)
                    watcher.ended(result)
                step = experiment.send(answer)
        except StopIteration as end:
            conclusion: T = end.value
            return conclusion
        except Stop as stop:
            raise KeyboardInterrupt from stop
        finally:
            experiment.close()


class _TimeLimit:
    """The time that an experiment has, and how long its blocks take: as long as those so far for what they asked."""

    def __init__(self, limit_s: float, overrun: float, clock: Callable[[], float]) -> None:
        self._limit_s, self._overrun, self._clock = limit_s, overrun, clock
        self._began_s, self._loads_s = clock(), 0.0

    def ended(self, block: Block) -> None:
        self._loads_s += block.loads_s

    def is_too_late_for(self, block: Block) -> bool:
        """Whether too much of a block would lie beyond the limit; the first is never late."""
        if not self._loads_s:
            return False
        spent_s = self._clock() - self._began_s
        expected_s = spent_s * block.loads_s / self._loads_s
        return spent_s + (1 - self._overrun) * expected_s > self._limit_s


def _why_stop(block: Block, limit: _TimeLimit | None, *, interrupted: bool) -> StopReason | None:
    """Say why this block is not to be measured any more."""
    if interrupted:
        return StopReason.INTERRUPTED
    is_late = limit is not None and not block.continues and limit.is_too_late_for(block)
    return StopReason.TIME_IS_UP if is_late else None


def _measured(block: Block, measure: Measure, watcher: Watcher, held: _Held, limit: _TimeLimit | None) -> Results:
    """Return the results of a block, or raise Stop. What makes a block fail, makes only it fail."""
    if reason := _why_stop(block, limit, interrupted=bool(held.heard)):
        raise Stop(reason)
    watcher.began(block)
    try:
        with held.released():
            found = measure(block)
    except BlockInterrupted as interrupted:
        held.heard.append(signal.SIGINT)  # what was whole is kept, and the next block will not be measured
        found = interrupted.results
        if not found:
            raise Stop(StopReason.INTERRUPTED) from interrupted
    except KeyboardInterrupt as interrupt:
        raise Stop(StopReason.INTERRUPTED) from interrupt
    except (BenchError, OSError) as error:
        detail = f"the trial failed: {error}"
        found = tuple(TrialResult(trial=one, status=Status.GENERATOR_FAILED, detail=detail) for one in block.trials)
    if limit is not None:
        limit.ended(block)
    return found


class _Held:
    """The signals that came while they were held back, and the handlers that will get the next one."""

    def __init__(self, handlers: dict[signal.Signals, Any]) -> None:
        self._handlers, self.heard = handlers, list[int]()

    def hold(self) -> None:
        for number in self._handlers:
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: object) -> None:
        interrupts.heard(number)
        self.heard.append(number)

    def let_go(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let signals interrupt what is done here. Raises KeyboardInterrupt at once for one that came before."""
        self.let_go()
        try:
            if self.heard:
                raise KeyboardInterrupt
            yield
        finally:
            self.hold()


@contextmanager
def _interrupts_held() -> Iterator[_Held]:
    """Hold interrupts back, so that neither an experiment nor a file is left half-way through a step."""
    held = _Held(interrupts.acting())
    held.hold()
    try:
        yield held
    finally:
        held.let_go()
