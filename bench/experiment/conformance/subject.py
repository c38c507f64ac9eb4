"""The server that a case talks to, and the case's limits: an address, perhaps a process, a deadline."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from bench.experiment.conformance.case import BrokenError
from bench.experiment.conformance.footprint import Footprint, measure, wait_released
from bench.experiment.conformance.wire import Connection, Deadline

GREETING = b"anybody there?\n"
LET_GO_S = 0.5
REST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Where the server listens, and what a case may use.

    `pid` is None when the process is not known. `connections_max` is the server's own declaration. `patience_s` is how
    long a single answer may take: generous, because a case judges bytes and not speed.
    """

    host: str
    port: int
    deadline: Deadline
    patience_s: float
    pid: int | None = None
    connections_max: int | None = None
    stop_signal: str = "SIGTERM"

    def connect(self, *, receive_buffer_bytes: int | None = None) -> Connection:
        """Return a new connection. Raise BrokenError if there is none to be had."""
        return Connection(
            (self.host, self.port),
            deadline=self.deadline,
            patience_s=self.patience_s,
            receive_buffer_bytes=receive_buffer_bytes,
        )

    def greet(self) -> None:
        """Connect, have one message echoed and leave, once the server has let go too."""
        with self.connect() as connection:
            connection.turn(GREETING)
            with suppress(BrokenError):  # how it ends is the business of the case about half-closes
                connection.finish()
                connection.expect_end(within_s=LET_GO_S)

    def require_alive(self, after: str) -> None:
        """Raise BrokenError if the server no longer echoes for a new client."""
        try:
            self.greet()
        except BrokenError as error:
            raise BrokenError(f"after {after} a new client is not served: {error}") from None

    def at_rest(self) -> Footprint:
        """Measure what the server's processes hold once they have served a client and take nothing more.

        Workers that were started in advance may still be opening what they need.
        """
        self.greet()
        before = self.footprint()
        while True:
            time.sleep(REST_S)
            self.deadline.remaining_s()
            now = self.footprint()
            if (now.descriptors, now.processes) == (before.descriptors, before.processes):
                return now
            before = now

    def footprint(self) -> Footprint:
        """Measure what the server's processes hold now."""
        return measure(self.known_pid)

    def wait_released(self, before: Footprint) -> Footprint:
        """Wait until what the clients held is given back; see `footprint.wait_released`."""
        return wait_released(self.known_pid, before, deadline=self.deadline, within_s=2 * self.patience_s)

    @property
    def known_pid(self) -> int:
        """The process; cases that use it say so in their `access`, and are not run without."""
        assert self.pid is not None
        return self.pid
