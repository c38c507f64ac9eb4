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

from clients.agents.alive import KEEP_ALIVE_NS, SILENCE_NS, keep_alive
from clients.agents.clocks import Trip
from clients.clock import now_ns
from clients.reference import LoadError
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLOCK, FAILED, WENT = "CLOCK ", "FAILED ", "WENT"
IS_SILENT = "is silent: it is stopped, or its network is gone"
_PIECE_BYTES = 1 << 16
_WRONG_USE = 2


class AgentLostError(LoadError):
    """An agent that does not answer any more, or ended: says which, and what was waited for.

    `sentence` is that without the word for it, for who has a place of its own for the word.
    """

    def __init__(self, name: str, why: str) -> None:
        """Take the agent's name, and words that complete `agent NAME`."""
        self.name = name
        self.sentence = f"agent {name} {why}; nothing of this load was kept"
        super().__init__(f"agent-lost: {self.sentence}")


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
        self._asked = 0
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

    @property
    def holds_words(self) -> bool:
        """Whether a line has come that was not taken yet."""
        return b"\n" in self._held

    def heard(self) -> str | None:
        """Return the line that is here, None if it is not whole yet. May wait for a piece: see `hear_all`."""
        if not self.holds_words:
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

    def put_back(self, words: str) -> None:
        """Have a line be heard again, by who waits for it."""
        self._held[:0] = words.encode() + b"\n"

    def ask(self) -> int:
        """Ask for the agent's time; return the number by which the answer is known."""
        self._asked += 1
        self.say(f"{CLOCK}{self._asked}")
        return self._asked

    def trip(self) -> Trip:
        """Ask for the agent's time, and return when we asked, what it said and when we heard."""
        sent_ns = now_ns()
        number = self.ask()
        while True:
            words = hear_all([self], sent_ns + SILENCE_NS, "did not tell its time")[self]
            received_ns = now_ns()
            _, answered, theirs_ns = words.split()
            if int(answered) == number:  # else it is the late answer to an earlier question
                return Trip(sent_ns, int(theirs_ns), received_ns)


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
        try:
            answers.update(hear_some(waiting, deadline_ns))
        except TimeoutError:
            raise AgentLostError(waiting[0].name, why_lost) from None
    return answers


def hear_some(lines: Sequence[Line], deadline_ns: int) -> Mapping[Line, str]:
    """Return the next line of those that have one, none perhaps. Raise TimeoutError when the deadline has passed."""
    left_s = (deadline_ns - now_ns()) / 1e9
    ready = [line for line in lines if line.holds_words] or select.select(lines, [], [], max(0.0, left_s))[0]
    if not ready:
        raise TimeoutError
    answers = {line: words for line in ready if (words := line.heard()) is not None}
    for line, words in answers.items():
        if words.startswith(FAILED):
            raise failure(line.name, *json.loads(words.removeprefix(FAILED)))
    return answers


def confirm(wanted: Mapping[Line, str], deadline_ns: int, why_lost: str) -> None:
    """Hear of each line the words that begin as wanted. An agent that ended its load instead is there too.

    `why_lost` completes `agent NAME` for one that has said neither by the deadline, in ns of our clock.
    """
    waiting = dict(wanted)
    while waiting:
        try:
            for line, words in hear_some(list(waiting), deadline_ns).items():
                is_wanted = words.startswith(waiting[line])
                if is_wanted or not words.startswith(CLOCK):  # else it is a late answer to an earlier question
                    del waiting[line]
                if not is_wanted and not words.startswith(CLOCK):
                    line.put_back(words)
        except TimeoutError:
            raise AgentLostError(next(iter(waiting)).name, why_lost) from None


def await_all(
    lines: Sequence[Line], deadline_ns: int, why_lost: str, given: Mapping[Line, str] | None = None
) -> Mapping[Line, str]:
    """Do as `hear_all`, for answers that take long; some may have been `given` before.

    Once a second every agent is asked for its time, also one that has answered. Raise AgentLostError for one that
    leaves that unanswered for `SILENCE_NS`.
    """
    answers, early = dict(given or {}), list[tuple[Line, str]]()
    unanswered: dict[Line, int] = {}
    ask_ns = now_ns() + KEEP_ALIVE_NS
    while waiting := [line for line in lines if line not in answers]:
        silent_ns = min(unanswered.values(), default=ask_ns) + SILENCE_NS
        try:
            heard = hear_some(lines, min(ask_ns, silent_ns, deadline_ns))
        except TimeoutError:
            if now_ns() >= deadline_ns:
                raise AgentLostError(waiting[0].name, why_lost) from None
            ask_ns = _ask_on(lines, unanswered, ask_ns)
            continue
        for line, words in heard.items():
            unanswered.pop(line, None)
            if line in answers and not words.startswith(CLOCK):
                early.append((line, words))
            elif not words.startswith(CLOCK):
                answers[line] = words
    for line, words in reversed(early):
        line.put_back(words)
    return answers


def _ask_on(lines: Sequence[Line], unanswered: dict[Line, int], ask_ns: int) -> int:
    """Ask all for their time if it is due, and return when it is due again. Raise AgentLostError for a silent one."""
    time_ns = now_ns()
    for line, since_ns in unanswered.items():
        if time_ns - since_ns >= SILENCE_NS:
            raise AgentLostError(line.name, IS_SILENT)
    if time_ns < ask_ns:
        return ask_ns
    for line in lines:
        line.ask()
        unanswered.setdefault(line, time_ns)
    return time_ns + KEEP_ALIVE_NS
