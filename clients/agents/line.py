"""The coordinator's end of the line to an agent: one TCP connection, words in lines, and an end that is noticed.

Whatever goes wrong on a line is the loss of its agent: it has no other way to speak. What an agent understands
belongs to `keeper.py`, and when it is said to `group.py`.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
from typing import TYPE_CHECKING, NamedTuple, Self

from clients.agents.alive import SILENCE_NS, keep_alive
from clients.agents.clocks import Trip
from clients.clock import now_ns
from clients.reference import LoadError
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILED = "FAILED "
_PIECE_BYTES = 1 << 16
_WRONG_USE = 2


class AgentLostError(LoadError):
    """An agent that does not answer any more, or ended: says which, and what was waited for."""

    def __init__(self, name: str, why: str) -> None:
        """Take the agent's name, and words that complete `agent NAME`."""
        self.name = name
        super().__init__(f"agent-lost: agent {name} {why}; nothing of this load was kept")


class Seat(NamedTuple):
    """Where an agent listens for its coordinator, and the word by which it knows us."""

    name: str
    host: str
    port: int
    token: str


class Line:
    """The line to one agent. Every method raises AgentLostError when the agent is not there any more."""

    def __init__(self, seat: Seat) -> None:
        """Connect, and say who we are."""
        self.name = seat.name
        self._held = bytearray()
        try:
            self._sock = socket.create_connection((seat.host, seat.port), timeout=SILENCE_NS / 1e9)
        except OSError as error:
            raise AgentLostError(self.name, f"does not listen at {seat.host}:{seat.port} ({error})") from error
        keep_alive(self._sock)
        self.say(f"TOKEN {seat.token}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._sock.fileno()

    def close(self) -> None:
        """Hang up, which ends the agent and its load."""
        self._sock.close()

    def say(self, words: str) -> None:
        """Send one line."""
        try:
            self._sock.sendall(words.encode() + b"\n")
        except OSError as error:
            raise AgentLostError(self.name, f"hung up ({error})") from error

    def try_to_say(self, words: str) -> None:
        """Send one line to an agent that may be gone: who waits for its answer will find out."""
        with contextlib.suppress(AgentLostError):
            self.say(words)

    def heard(self) -> str | None:
        """Return the line that is here, None if it is not whole yet. May wait for a piece: see `hear_all`."""
        if b"\n" not in self._held:
            try:
                piece = self._sock.recv(_PIECE_BYTES)
            except OSError as error:
                raise AgentLostError(self.name, f"hung up ({error})") from error
            if not piece:
                raise AgentLostError(self.name, "hung up: it was ended, or its machine was")
            self._held += piece
            if b"\n" not in piece:
                return None
        line, _, rest = bytes(self._held).partition(b"\n")
        self._held = bytearray(rest)
        return line.decode()

    def trip(self) -> Trip:
        """Ask for the agent's time, and return when we asked, what it said and when we heard."""
        sent_ns = now_ns()
        self.say("CLOCK")
        word, theirs = hear_all([self], sent_ns + SILENCE_NS, "did not tell its time")[self].split()
        received_ns = now_ns()
        assert word == "CLOCK"
        return Trip(sent_ns, int(theirs), received_ns)


def failure(name: str, status: int, said: str) -> LoadError | WorkloadError:
    """Return what to raise for an agent whose load generator ended without a result."""
    if status < 0:
        return AgentLostError(name, f"lost its load generator, which was ended by {signal.Signals(-status).name}")
    said = said.removeprefix("clients: ")
    kind = WorkloadError if status == _WRONG_USE else LoadError
    return kind(f"agent {name} cannot carry its share: {said or f'its load generator ended with status {status}'}")


def hear_all(lines: Sequence[Line], deadline_ns: int, why_lost: str) -> Mapping[Line, str]:
    """Return the next line of each, however they come. Raise for the first that is gone, failed, or is too late.

    `why_lost` completes `agent NAME` for one that has said nothing by the deadline, in ns of our clock.
    """
    answers: dict[Line, str] = {}
    while waiting := [line for line in lines if line not in answers]:
        held = [line for line in waiting if b"\n" in line._held]  # noqa: SLF001 - this is its module
        left_s = (deadline_ns - now_ns()) / 1e9
        ready = held or select.select(waiting, [], [], max(0.0, left_s))[0]
        if not ready:
            raise AgentLostError(waiting[0].name, why_lost)
        for line in ready:
            if (words := line.heard()) is None:
                continue
            if words.startswith(FAILED):
                raise failure(line.name, *json.loads(words.removeprefix(FAILED)))
            answers[line] = words
    return answers
