"""What can go wrong with a request or a connection, each with a name. A fault of this program is an exception instead.

Most are the server's. Those in `OURS` are not: this machine had nothing left to connect with.
"""

from __future__ import annotations

import errno
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(StrEnum):
    """Why a request has no latency, or why there is no connection. Each is counted apart."""

    REFUSED = "refused"
    """No connection could be made (refused, or not within the timeout)."""
    RESET = "reset"
    """The peer reset the connection."""
    CLOSED_EARLY = "closed_early"
    """The peer closed the connection before the reply began."""
    SHORT_REPLY = "short_reply"
    """The reply began, and its end did not come before the timeout or the close."""
    TIMEOUT = "timeout"
    """No byte of the reply within the timeout."""
    STALLED = "stalled"
    """The server stopped reading: the request could not be handed over within the timeout."""
    MISMATCH = "mismatch"
    """A byte of the reply was wrong, or came unasked."""
    UNSENT = "unsent"
    """The request was due, and no connection was free for it within the timeout or until the end."""
    NO_LOCAL_PORT = "no_local_port"
    """Ours: no local port or address was left to connect from."""
    NO_DESCRIPTOR = "no_descriptor"
    """Ours: this process, or this machine, could open no more sockets."""


OURS = frozenset({Failure.NO_LOCAL_PORT, Failure.NO_DESCRIPTOR})
"""Failures that say nothing about the server: this machine could not even ask."""

_BY_ERRNO = {
    errno.EADDRNOTAVAIL: Failure.NO_LOCAL_PORT,
    errno.EMFILE: Failure.NO_DESCRIPTOR,
    errno.ENFILE: Failure.NO_DESCRIPTOR,
}


def why_not_connected(error: OSError) -> Failure:
    """Return whose fault it is that there is no connection: ours where it is in `OURS`, else the server refused it."""
    return _BY_ERRNO.get(error.errno or 0, Failure.REFUSED)


def of_server(failures: Mapping[Failure, int]) -> int:
    """Return how many of these failures are the server's."""
    return sum(count for failure, count in failures.items() if failure not in OURS)


class Fault(Exception):  # noqa: N818  # the word of this field: a fault of the server, not an error of ours
    """It failed in this way; the connection ends and the requests in flight on it fail with it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Overdue(Exception):  # noqa: N818  # a notice, not an error
    """Thrown into a connection whose oldest request has waited longer than the timeout."""
