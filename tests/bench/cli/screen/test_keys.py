"""The key `q` on a real terminal, and that the terminal is as it was, however the run ends."""

from __future__ import annotations

import signal
import sys
import termios

import pytest
from helpers.checkout import CHECKOUT
from helpers.pseudo_terminal import on_terminal

LOCAL = 3

WAIT = """
import os, signal, sys
from bench.cli.screen.keys import quitting
from bench.interrupts import raise_interrupts

raise_interrupts()
try:
    with quitting() as q:
        print("keys", q, flush=True)
        if sys.argv[1:]:
            raise RuntimeError("a fault")
        signal.pause()
except (KeyboardInterrupt, RuntimeError) as end:
    print("ended by", type(end).__name__, flush=True)
"""
PROGRAM = [sys.executable, "-c", WAIT]


def is_key_by_key(terminal):
    return not terminal.modes()[LOCAL] & (termios.ICANON | termios.ECHO)


@pytest.mark.parametrize("how", [b"q", b"xyq", b"\x03", signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_however_it_ends(how):
    with on_terminal(PROGRAM, CHECKOUT) as terminal:
        before = terminal.modes()
        terminal.read_until(lambda one: b"keys True" in one.printed)
        assert is_key_by_key(terminal)
        if isinstance(how, bytes):
            terminal.press(how)
        else:
            terminal.process.send_signal(how)
        assert terminal.wait() == 0
        assert terminal.modes() == before
        assert how is signal.SIGHUP or b"ended by KeyboardInterrupt" in terminal.printed


def test_a_fault_gives_the_terminal_back_too():
    with on_terminal([*PROGRAM, "fail"], CHECKOUT) as terminal:
        before = terminal.modes()
        assert terminal.wait() == 0
        assert b"ended by RuntimeError" in terminal.printed
        assert terminal.modes() == before


def test_a_terminal_that_is_closed_ends_it_without_a_fault():
    with on_terminal(PROGRAM, CHECKOUT) as terminal:
        terminal.read_until(lambda one: b"keys True" in one.printed)
        terminal.hang_up()
        assert terminal.process.wait(30) == 0
