"""The lines of `--live`: one a second, with what happened in that second."""

from __future__ import annotations

import os
import sys

from clients.faults import Failure
from clients.live import LiveRecorder

MILLISECOND_NS, SECOND_NS = 1_000_000, 1_000_000_000


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now_ns = 5 * SECOND_NS

    def __call__(self):
        return self.now_ns


def test_each_second_has_a_line_of_its_own(capsys):
    clock = Hand()
    recorder = LiveRecorder(open_loop=False, clock=clock)
    recorder.drain()
    for tick in range(1, 21):
        clock.now_ns += SECOND_NS // 10
        for _ in range(tick):
            recorder.reply(0, 0, tick * MILLISECOND_NS)
        if tick == 15:
            recorder.failures[Failure.RESET] += 2
        taken = recorder.drain()
        assert len(taken.response) == tick
    assert capsys.readouterr().err.splitlines() == [
        "    1 s           55/s         0 failed   slowest 10 ms",
        "    2 s          155/s         2 failed   slowest 20 ms",
    ]


def test_a_second_without_a_reply_has_no_slowest(capsys):
    clock = Hand()
    recorder = LiveRecorder(open_loop=True, clock=clock)
    recorder.drain()
    clock.now_ns += 2 * SECOND_NS
    recorder.drain()
    assert capsys.readouterr().err == "    2 s            0/s         0 failed   slowest -\n"


def test_a_line_gives_way_on_a_narrow_terminal(capsys, monkeypatch):
    for name, value in (("isatty", True), ("fileno", 2)):
        monkeypatch.setattr(sys.stderr, name, lambda value=value: value, raising=False)
    clock = Hand()
    recorder = LiveRecorder(open_loop=True, clock=clock)
    recorder.drain()
    for columns in (40, 80):
        monkeypatch.setattr("os.get_terminal_size", lambda _, columns=columns: os.terminal_size((columns, 24)))
        clock.now_ns += SECOND_NS
        recorder.drain()
    assert capsys.readouterr().err.splitlines() == [
        "1 s 0/s 0 failed slowest -",
        "    2 s            0/s         0 failed   slowest -",
    ]
