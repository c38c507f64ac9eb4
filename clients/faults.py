"""What a server can do wrong, each with a name. Faults of this program are ordinary exceptions and end the run."""

from __future__ import annotations

from enum import StrEnum


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


class Fault(Exception):  # noqa: N818  # the word of this field: a fault of the server, not an error of ours
    """The server failed in this way; the connection ends and the requests in flight on it fail with it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Overdue(Exception):  # noqa: N818  # a notice, not an error
    """Thrown into a connection whose oldest request has waited longer than the timeout."""
