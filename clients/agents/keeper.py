"""The agent's end of the line: `python -m clients.agents.keeper HOST`, on the machine that loads.

It prints the port that it listens at, takes one coordinator that knows the token, tells its time when asked, and starts
`python -m clients --coordinated` with a share of the load, whose lines it passes on. While the load runs, it wakes up
once a second to tell its time, and the load hears nothing of that.

When the line ends, or stdin, which who started it holds open, or when the coordinator is silent, it kills the load and
ends. If it is killed, the kernel kills the load. It can start nothing but our own load generator. numpy
may not be imported here: its threads would not survive the fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import hmac
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from clients.agents.alive import KEEP_ALIVE_NS, SILENCE_NS, keep_alive
from clients.clock import now_ns

PACKAGES = Path(__file__).resolve().parents[2]
COORDINATOR_S = 30.0
"""So long an agent waits for its coordinator to connect, and then for its first word: all others start meanwhile."""
_PR_SET_PDEATHSIG = 1
_PIECE_BYTES = 1 << 16
_STDIN = 0
_TOLD_BYTES = 2000


class Keeper:
    """One coordinator's agent: answers its words until the line ends."""

    def __init__(self, line: socket.socket, stops: socket.socket) -> None:
        """Take the line, and a socket that can be read when the load has stopped or ended."""
        self._line, self._stops = line, stops
        self._silent_ns = now_ns() + round(COORDINATOR_S * 1e9)
        self._held = b""
        self._load: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the line ends
        self._heard_of_load = b""

    def keep(self) -> None:
        """Serve until the line or stdin ends; no load is left then."""
        with self._said:
            try:
                while self._turn():
                    pass
            finally:
                self._end_load()

    def _turn(self) -> bool:
        """Wait for something, and pass it on. Return whether there is more to come."""
        output = -1 if self._load is None or self._load.stdout is None else self._load.stdout.fileno()
        line, stops = self._line.fileno(), self._stops.fileno()
        left_s = max(0.0, (self._silent_ns - now_ns()) / 1e9)
        ready, _, _ = select.select([line, stops, _STDIN, *([output] if output >= 0 else [])], [], [], left_s)
        if not ready:
            return False  # the coordinator is stopped, or its network is gone
        if stops in ready:
            self._stops.recv(_PIECE_BYTES)
            self._end_if_stopped()
        if _STDIN in ready and not os.read(_STDIN, _PIECE_BYTES):
            return False
        if output in ready:
            self._pass_on(os.read(output, _PIECE_BYTES))
        return line not in ready or self._hear()

    def _hear(self) -> bool:
        piece = self._line.recv(_PIECE_BYTES)
        self._silent_ns = now_ns() + KEEP_ALIVE_NS + SILENCE_NS
        *lines, self._held = (self._held + piece).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            self._do(word, rest)
        return bool(piece)

    def _do(self, word: str, rest: str) -> None:
        if word == "CLOCK":
            self._say(f"CLOCK {rest} {now_ns()}")
        elif word == "LOAD":
            self._start(json.loads(rest))
        elif self._load is None:
            return  # it has ended meanwhile, and that was said
        elif word == "GO":
            assert self._load.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # its end is passed on
                self._load.stdin.write(f"GO {rest}\n".encode())
                self._load.stdin.flush()
            self._say("WENT")
        elif word == "STOP":
            self._close_stdin()
        elif word == "INTERRUPT":
            self._load.send_signal(signal.SIGINT)

    def _end_if_stopped(self) -> None:
        """Kill a load that is stopped: it would be waited for in vain, and its end says so."""
        if self._load is None:
            return
        with contextlib.suppress(ChildProcessError):  # it has ended, and the end of its output will say so
            if os.waitid(os.P_PID, self._load.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
                self._load.kill()

    def _start(self, arguments: list[str]) -> None:
        self._end_load()
        self._said.seek(0)
        self._said.truncate()
        self._load = subprocess.Popen(
            [sys.executable, "-P", "-m", "clients", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": path_of_packages()},
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
        )

    def _pass_on(self, piece: bytes) -> None:
        """Send what the load says as it is; at its end, why it failed if that was not with a result."""
        if piece:
            lines, end, self._heard_of_load = (self._heard_of_load + piece).rpartition(b"\n")
            self._send(lines + end)
            return
        status = self._put_away()
        self._heard_of_load = b""  # half a line of one that was killed
        if status:
            self._said.seek(0)
            last = self._said.read().decode(errors="replace")[-_TOLD_BYTES:].strip()
            self._say(f"FAILED {json.dumps([status, last])}")

    def _say(self, words: str) -> None:
        self._send(words.encode() + b"\n")

    def _send(self, text: bytes) -> None:
        """Send all of it. Raise TimeoutError if the coordinator takes none of it for `SILENCE_NS`."""
        left = memoryview(text)
        while left:
            left = left[self._line.send(left) :]

    def _close_stdin(self) -> None:
        assert self._load is not None
        assert self._load.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._load.stdin.close()

    def _end_load(self) -> None:
        if self._load is not None:
            self._load.kill()
            self._put_away()

    def _put_away(self) -> int:
        """Wait for the end of the load, and return its status."""
        assert self._load is not None
        load, self._load = self._load, None
        with contextlib.suppress(BrokenPipeError), load:
            pass
        return load.wait()


def path_of_packages() -> str:
    """Return a PYTHONPATH by which our own processes find us first."""
    return os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")]))


_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, in whatever way."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def accepted(listener: socket.socket, token: str) -> socket.socket | None:
    """Return the line to who says the token first; None if nobody does in time."""
    deadline_ns = now_ns() + round(COORDINATOR_S * 1e9)
    while (left_s := (deadline_ns - now_ns()) / 1e9) > 0:
        if not select.select([listener.fileno(), _STDIN], [], [], left_s)[0] or select.select([_STDIN], [], [], 0)[0]:
            return None
        line, _ = listener.accept()
        keep_alive(line)
        line.settimeout(1.0)
        wanted = f"TOKEN {token}\n".encode()
        with contextlib.suppress(TimeoutError, ConnectionError):
            if hmac.compare_digest(line.recv(len(wanted), socket.MSG_WAITALL), wanted):
                line.settimeout(SILENCE_NS / 1e9)
                return line
        line.close()
    return None


def main(host: str) -> int:
    """Listen at a free port of `host`, and serve one coordinator. The token is the first line of stdin."""
    _die_with_parent()  # also if this process is stopped, and hears nothing
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a load inherits this, and hears when it can
    token = bytearray()
    while not token.endswith(b"\n") and (byte := os.read(_STDIN, 1)):
        token += byte
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        print(listener.getsockname()[1], flush=True)
        line = accepted(listener, token.decode().strip())
    if line is not None:
        stops, told = socket.socketpair()
        with line, stops, told, contextlib.suppress(ConnectionError, TimeoutError):  # the coordinator is gone
            told.setblocking(False)
            signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            try:
                Keeper(line, stops).keep()
            finally:
                signal.set_wakeup_fd(-1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
