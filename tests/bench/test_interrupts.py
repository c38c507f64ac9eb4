"""Who is interrupted by which signal, and what becomes of the words of a command whose terminal has gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.checkout import CHECKOUT

BEGIN = "import signal, sys, time\nfrom bench.interrupts import acting, heard, raise_interrupts\n"
ENV = {**os.environ, "PYTHONPATH": str(CHECKOUT)}


def test_a_hangup_that_nohup_ignores_stays_ignored():
    code = BEGIN + (
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "raise_interrupts()\n"
        "signal.raise_signal(signal.SIGHUP)\n"
        "print(*sorted(number.name for number in acting()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True)
    assert done.stdout == "SIGINT SIGTERM\n"


WAITING = {
    "at once": "time.sleep(60)",
    "held back": "signal.signal(signal.SIGHUP, lambda *call: heard(call[0])); signal.pause(); raise KeyboardInterrupt",
}


@pytest.mark.parametrize("how", WAITING)
def test_a_command_whose_terminal_is_closed_still_ends_in_order(tmp_path, how):
    """Without care, its first word would be an error of the terminal, and what it has would be lost."""
    code = BEGIN + (
        "import fcntl, termios\n"
        "fcntl.ioctl(1, termios.TIOCSCTTY, 0)\n"
        "raise_interrupts()\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        f"    {WAITING[how]}\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
        "    open(sys.argv[1], 'w').write('saved')\n"
    )
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", code, str(tmp_path / "kept")]
    with subprocess.Popen(command, env=ENV, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        assert b"ready" in os.read(ours, 100)
        os.close(ours)
        assert process.wait(10) == 0
    assert (tmp_path / "kept").read_text() == "saved"
