"""Who speaks TLS: found out before the load where it was asked for, and where it was not, as soon as it shows.

A plain load may not spend a connection on finding out: the server may count its clients, or serve one at a time. A
server of TLS that is spoken to in plain hangs up, mostly without a word. So it is asked only once it has cut off as
many requests as there are connections, and answered none: then there is nothing left to disturb.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients.faults import Failure
from clients.recorder import Recorder, Slice
from clients.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.target import Target

PATIENCE_S = 1.0
"""How long a server is given to answer in TLS where that was not asked for."""

_CUT_OFF = (Failure.RESET, Failure.CLOSED_EARLY, Failure.SHORT_REPLY, Failure.MISMATCH)


def require_tls(target: Target, timeout_s: float) -> None:
    """Shake hands once. Raise TargetError if somebody answers, and not in TLS or with a certificate not trusted."""
    try:
        _shake_hands(target, target.tls, target.server_name, timeout_s)
    except _NobodyError:
        return  # that is a result, not wrong use
    except ssl.SSLCertVerificationError as error:
        raise TargetError(
            f"the certificate of {target.text} is not trusted ({error.verify_message}): give --cafile or --insecure"
        ) from error
    except OSError as error:
        raise TargetError(f"{target.text} does not answer in TLS: leave --tls out ({error})") from error


def require_plain(target: Target) -> None:
    """Raise TargetError if a server that did not answer a plain load speaks TLS."""
    if target.tls is None and speaks_tls(target):
        raise TargetError(f"{target.text} answers in TLS only: give --tls")


def speaks_tls(target: Target) -> bool:
    """Say whether the server shakes hands, or refuses to in TLS's own words."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _shake_hands(target, context, None, PATIENCE_S)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    return True


class _NobodyError(ConnectionError):
    """There was no connection to shake hands over."""


def _shake_hands(target: Target, context: ssl.SSLContext | None, server_name: str | None, timeout_s: float) -> None:
    assert context is not None
    with closing(socket.socket(target.family, socket.SOCK_STREAM)) as plain:
        plain.settimeout(timeout_s)
        try:
            plain.connect(target.address)
        except OSError as error:
            raise _NobodyError from error
        context.wrap_socket(plain, server_hostname=server_name).close()


@dataclass(slots=True, kw_only=True)
class WaryRecorder(Recorder):
    """A recorder that calls `stop` if the server cuts everything off and, asked once, speaks TLS.

    `connections` is how many there are; as many requests must have been cut off, and none answered.
    """

    target: Target
    connections: int
    stop: Callable[[], None] = lambda: None
    cut_off: int = 0
    is_settled: bool = False

    def drain(self) -> Slice:
        """Return what was recorded and begin anew, as any recorder does."""
        taken = Recorder.drain(self)
        if not self.is_settled:
            self.cut_off += sum(taken.failures[kind] for kind in _CUT_OFF)
            self.is_settled = bool(taken.response) or self.cut_off >= self.connections
            if self.is_settled and not taken.response and speaks_tls(self.target):
                self.stop()
        return taken
