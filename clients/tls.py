"""TLS contexts, and what a server answers to a handshake. What follows from an answer is decided in `transport.py`."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clients.target import Target


class Answer(Enum):
    """How a handshake went."""

    NOBODY = "nobody"
    """No connection could be made."""
    TLS = "tls"
    """The server speaks TLS and its certificate, if it was checked, is trusted."""
    UNTRUSTED = "untrusted"
    """The server speaks TLS, and its certificate is not trusted."""
    REFUSED = "refused"
    """The server speaks TLS and refused the handshake in TLS's own words."""
    OTHER = "other"
    """The server answered something else, or nothing in time."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a server answered, and the reason in words if it was not TLS."""

    answer: Answer
    reason: str = ""


def new_context(cafile: str | None = None, *, trusts_any: bool) -> ssl.SSLContext:
    """Return a context that trusts a file of certificates, the system's, or any. Raise OSError for a bad file."""
    context = ssl.create_default_context(cafile=cafile)
    if trusts_any:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def shake_hands(target: Target, context: ssl.SSLContext, timeout_s: float) -> Handshake:
    """Connect, shake hands within `timeout_s` each, and hang up."""
    with closing(socket.socket(target.family, socket.SOCK_STREAM)) as plain:
        plain.settimeout(timeout_s)
        try:
            plain.connect(target.address)
        except OSError as error:
            return Handshake(Answer.NOBODY, str(error))
        try:
            context.wrap_socket(plain, server_hostname=target.server_name).close()
        except ssl.SSLCertVerificationError as error:
            return Handshake(Answer.UNTRUSTED, error.verify_message)
        except OSError as error:
            spoke = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
            return Handshake(Answer.REFUSED if spoke else Answer.OTHER, str(error))
    return Handshake(Answer.TLS)
