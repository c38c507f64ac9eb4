"""The one loop that measures, held to what it promises every experiment: keeping, failing, stopping, interrupts."""

from __future__ import annotations

import os
import signal

import pytest

from bench.errors import MeasurementError, ServerError
from bench.experiment.drive import Silent, drive
from bench.experiment.model import Block, News, Server, Status, Stop, StopReason, Trial, TrialResult
from clients.workload import Workload


def block(number, *, continues=False, of=1, duration_s=1.0):
    load = Workload(warmup_s=0.0, duration_s=duration_s)
    trials = tuple(
        Trial(number=number + i, round=1, server=Server(name="a"), workload_name="w", workload=load) for i in range(of)
    )
    return Block(trials=trials, continues=continues)


def measured(block):
    return tuple(TrialResult(trial=trial, status=Status.MEASURED) for trial in block.trials)


def count(blocks, news=None):
    """Ask for blocks, and return what came of them and why it ended."""
    seen, stopped = [], None
    try:
        for each in blocks:
            if news is not None:
                assert (yield news) == ()
            seen += yield each
    except Stop as stop:
        stopped = stop.reason
    return [result.trial.number for result in seen], stopped


class Clock:
    """A clock that moves by 1 s for each second of load."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def measure(self, block):
        self.now_s += block.loads_s
        return measured(block)


def test_drive_sends_results_to_the_experiment_and_returns_its_conclusion():
    kept = []
    blocks = [block(1), block(2, of=3), block(5)]
    assert drive(count(blocks), measured, keep=lambda result: kept.append(result.trial.number)) == (
        [1, 2, 3, 4, 5],
        None,
    )
    assert kept == [1, 2, 3, 4, 5]


def test_watchers_hear_blocks_results_and_news_in_their_order():
    heard = []

    class Ear(Silent):
        def began(self, block):
            heard.append(("began", block.trials[0].number))

        def ended(self, result):
            heard.append(("ended", result.trial.number))

        def told(self, news):
            heard.append(news)

    news = News()
    drive(count([block(1), block(2)], news), measured, watcher=Ear())
    assert heard == [news, ("began", 1), ("ended", 1), news, ("began", 2), ("ended", 2)]


@pytest.mark.parametrize("error", [ServerError("no such loop"), OSError("no such file")])
def test_what_makes_a_block_fail_makes_only_it_fail(error):
    def measure(block):
        if block.trials[0].number == 2:
            raise error
        return measured(block)

    kept = []
    drive(count([block(1), block(2, of=2), block(4)]), measure, keep=kept.append)
    assert [result.status for result in kept] == [
        Status.MEASURED,
        Status.GENERATOR_FAILED,
        Status.GENERATOR_FAILED,
        Status.MEASURED,
    ]
    assert str(error) in kept[1].detail


def test_a_fault_of_ours_is_raised():
    def measure(_block):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        drive(count([block(1)]), measure)


def test_what_the_experiment_or_the_disk_raises_is_raised():
    def refuses():
        yield block(1)
        raise MeasurementError("enough")

    def full(_result):
        raise MeasurementError("no space left")

    with pytest.raises(MeasurementError, match="enough"):
        drive(refuses(), measured)
    with pytest.raises(MeasurementError, match="no space left"):
        drive(count([block(1)]), measured, keep=full)


def test_drive_ends_before_the_block_that_would_be_late():
    clock = Clock()
    conclusion = drive(count([block(n) for n in range(1, 10)]), clock.measure, limit_s=3.5, clock=clock)
    assert conclusion == ([1, 2, 3], StopReason.TIME_IS_UP)
    assert clock.now_s == 103.0


def test_a_block_is_taken_to_last_as_its_load_does():
    """Two seconds are left: enough for the short block, not for the long one after it."""
    clock = Clock()
    blocks = [block(1, duration_s=4.0), block(2), block(3, duration_s=4.0), block(4)]
    assert drive(count(blocks), clock.measure, limit_s=6.0, clock=clock) == ([1, 2], StopReason.TIME_IS_UP)


@pytest.mark.parametrize(("limit_s", "last"), [(3.4, 3), (3.6, 4)])
def test_with_an_overrun_of_a_half_the_end_is_nearest_to_the_limit(limit_s, last):
    clock = Clock()
    blocks = [block(n) for n in range(1, 10)]
    seen, _ = drive(count(blocks), clock.measure, limit_s=limit_s, overrun=0.5, clock=clock)
    assert seen[-1] == last


def test_the_first_block_is_measured_whatever_the_limit():
    clock = Clock()
    assert drive(count([block(1), block(2)]), clock.measure, limit_s=0.1, clock=clock) == ([1], StopReason.TIME_IS_UP)


def test_no_time_limit_falls_before_a_block_that_continues():
    clock = Clock()
    blocks = [block(1), block(2), block(3), block(4, continues=True), block(5)]
    assert drive(count(blocks), clock.measure, limit_s=3.5, clock=clock) == ([1, 2, 3, 4], StopReason.TIME_IS_UP)


def interrupting(number, kill=signal.SIGINT):
    def measure(block):
        if block.trials[0].number == number:
            os.kill(os.getpid(), kill)
        return measured(block)

    return measure


@pytest.fixture(autouse=True)
def _both_signals_raise():
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_a_block_loses_that_block_only(kill):
    kept = []
    conclusion = drive(count([block(1), block(2), block(3)]), interrupting(2, kill), keep=kept.append)
    assert conclusion == ([1], StopReason.INTERRUPTED)
    assert [result.trial.number for result in kept] == [1]


def test_an_interrupt_while_a_result_is_kept_waits_until_it_is():
    kept = []

    def keep(result):
        os.kill(os.getpid(), signal.SIGINT)
        kept.append(result.trial.number)

    assert drive(count([block(1), block(2)]), measured, keep=keep) == ([1], StopReason.INTERRUPTED)
    assert kept == [1]


def test_drive_holds_an_interrupt_back_until_the_next_block():
    def interrupted_while_it_computes():
        total = 0
        try:
            while True:
                results = yield block(1)
                os.kill(os.getpid(), signal.SIGINT)
                total += len(results)
        except Stop as stop:
            return total, stop.reason

    assert drive(interrupted_while_it_computes(), measured) == (1, StopReason.INTERRUPTED)


def test_an_interrupted_experiment_that_has_nothing_to_return_raises():
    def stubborn():
        yield block(1)
        yield block(2)

    with pytest.raises(KeyboardInterrupt):
        drive(stubborn(), interrupting(2))


def test_handlers_are_as_before_whatever_ended_the_experiment():
    before = signal.getsignal(signal.SIGINT)
    drive(count([block(1)]), measured)
    drive(count([block(1), block(2)]), interrupting(1))
    with pytest.raises(ZeroDivisionError):
        drive(count([block(1)]), lambda _: 1 / 0)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_experiment_that_goes_on_when_it_was_stopped_is_a_fault():
    def deaf():
        while True:
            try:
                yield block(1)
            except Stop:
                continue

    with pytest.raises(RuntimeError, match="asked to stop"):
        drive(deaf(), interrupting(1))
