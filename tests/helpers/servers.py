"""Servers as children on the loopback, and clients that talk to them. What a server must answer, tests say."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

import psutil
from helpers.checkout import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

TIMEOUT_S = 10.0


class Client(socket.socket):
    """A connection whose calls give up after TIMEOUT_S."""

    def __init__(self, address: tuple[str, int] | str):
        inet = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(socket.AF_UNIX if isinstance(address, str) else inet)
        self.settimeout(TIMEOUT_S)
        self.connect(address)

    def exchange(self, message: bytes) -> bytes:
        """Send a short message; return as many bytes of the answer, fewer if the server closes before."""
        self.sendall(message)
        answer = b""
        while len(answer) < len(message) and (piece := self.recv(len(message) - len(answer))):
            answer += piece
        return answer

    def finish(self, message: bytes) -> bytes:
        """Send a message of any size and the end of file; return all that comes until the server's own."""
        sender = threading.Thread(target=lambda: (self.sendall(message), self.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = self.rest()
        sender.join()
        return answer

    def rest(self) -> bytes:
        """Return all that comes until the server's end of file."""
        answer = bytearray()
        while piece := self.recv(1 << 20):
            answer += piece
        return bytes(answer)

    def reset(self) -> None:
        """Close with an RST, as a client that vanished."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Server:
    """A child that serves. `address` is what its READY line said."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process, self.pid = process, process.pid
        self.ready_line = process.stdout.readline()
        assert self.ready_line, f"it ended with {process.wait()}: {process.stderr.read()}"
        _, host, port = self.ready_line.split()
        self.address = host[len("unix:") :] if host.startswith("unix:") else (host, int(port))

    def connect(self) -> Client:
        return Client(self.address)

    def stop(self) -> tuple[int, str, str]:
        """Send SIGTERM; return the exit status, and what stood on stdout after READY and on stderr."""
        self.process.terminate()
        out, err = self.process.communicate(timeout=3)
        return self.process.returncode, out, err


def run(*arguments: object, interpreter: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m servers ARGUMENTS` to its end, in a folder that is not ours."""
    return subprocess.run(
        [sys.executable, "-P", *interpreter, "-m", "servers", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **variables},
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def launch(stack: ExitStack, *arguments: object, prefix: Sequence[str] = (), **variables: str) -> Server:
    """Start `python -m servers ARGUMENTS`, to be ended by `stack`, and wait for READY."""
    process = stack.enter_context(
        subprocess.Popen(
            [*prefix, sys.executable, "-P", "-m", "servers", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(process.kill)
    return Server(process)


def rss_bytes(pid: int) -> int:
    """Return the resident set of a server and its workers."""
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [process, *process.children()])
