"""The cases about bytes: a server must send back what it was sent, whole, in order, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.experiment.conformance.case import BrokenError, Group, case
from bench.experiment.conformance.wire import HungUpError, payload

if TYPE_CHECKING:
    from bench.experiment.conformance.subject import Subject

KIB, MIB = 1024, 1024 * 1024
UNREADY = (
    "it accepted and hung up before it served. If something accepts for it until it is ready, have it print"
    ' READY HOST PORT then, and wait for that (ready = "line" in a plan, --ready line). If it serves TLS,'
    " `python -m clients --tls` measures it"
)
ONLY_ECHO = "only a server that sends back what it gets can be measured"
ONE_EACH = "if it answers one message per connection, load it with --requests-per-connection 1"
SIZES_BYTES = (1, 2, 3, 64, 1023, 1024, 1025, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 16 * MIB)


@case("echo", group=Group.BASIC, limit_s=20)
def echo_a_message(target: Subject) -> None:
    """Echo a short message, for one client and for the next."""
    for message in (b"hello, echo\r\n", b"x\n"):
        with target.connect() as connection:
            try:
                connection.turn(message)
            except HungUpError as error:
                raise BrokenError(f"{error}: {UNREADY}") from None
            except BrokenError as error:
                raise BrokenError(f"{error}: {ONLY_ECHO}") from None


@case("bytes", group=Group.BASIC, limit_s=20, needs=("echo",))
def echo_every_byte(target: Subject) -> None:
    """Echo every byte from 0 to 255 as it was."""
    with target.connect() as connection:
        connection.turn(bytes(range(256)) + b"\n")


@case("turns", group=Group.BASIC, limit_s=30, needs=("bytes",), messages=100)
def answer_in_turn(target: Subject, *, messages: int) -> None:
    """Answer messages sent one after another on one connection, each different, each with itself."""
    with target.connect() as connection:
        for number in range(messages):
            try:
                connection.turn(f"message {number:06}\n".encode())
            except BrokenError as error:
                cure = f"; {ONE_EACH}" if number == 1 and isinstance(error, HungUpError) else ""
                raise BrokenError(f"in message {number + 1} of {messages}: {error}{cure}") from None


@case("splits", group=Group.BASIC, limit_s=30, needs=("turns",), message_bytes=48)
def echo_every_split(target: Subject, *, message_bytes: int) -> None:
    """Echo a message cut in two, at every place: the first part at once, without waiting for the second."""
    message = payload(message_bytes)
    with target.connect() as connection:
        for cut in range(1, message_bytes):
            try:
                connection.turn(message[:cut])
                connection.turn(message[cut:])
                connection.send(message[:cut])
                connection.send(message[cut:])
                connection.expect(message)
            except BrokenError as error:
                raise BrokenError(f"cut after byte {cut} of {message_bytes}: {error}") from None


@case("half-close", group=Group.BASIC, limit_s=30, needs=("turns",))
def answer_after_half_close(target: Subject) -> None:
    """Give a client that will send no more every byte back, then the end of file."""
    for size in (1, 64 * KIB, MIB):
        with target.connect() as connection:
            data = payload(size)
            connection.exchange(data, sent=connection.push(data), finish=True)


@case("sizes", group=Group.STANDARD, limit_s=60, needs=("partial-sends",))
def echo_every_size(target: Subject) -> None:
    """Echo messages from 1 byte to 16 MiB on one connection, around the sizes of buffers too."""
    with target.connect() as connection:
        for size in SIZES_BYTES:
            try:
                connection.exchange(payload(size, seed=size))
            except BrokenError as error:
                raise BrokenError(f"a message of {size:,} bytes: {error}") from None
