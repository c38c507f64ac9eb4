"""Whether a target speaks what the load is to speak: a TLS load is checked before it, a plain load only after it.

A plain load makes no connection besides its own, because the server may count its clients or serve one at a time. A TLS
server usually closes a plain-text connection without an error. So it is asked only when a load is over without a reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.target import TargetError
from clients.tls import Answer, new_context, shake_hands

if TYPE_CHECKING:
    from clients.target import Target

_PATIENCE_S = 1.0  # for a server to answer in TLS where that was not asked for


def require_tls(target: Target, timeout_s: float) -> None:
    """Shake hands once. Raise TargetError if the server does not speak TLS, or its certificate is not trusted."""
    assert target.tls is not None
    made = shake_hands(target, target.tls, timeout_s)
    if made.answer is Answer.UNTRUSTED:
        raise TargetError(
            f"the certificate of {target.text} is not trusted ({made.reason}): give --cafile or --insecure"
        )
    if made.answer not in (Answer.TLS, Answer.NOBODY):  # that nobody listens is a result, not wrong use
        raise TargetError(f"{target.text} does not answer in TLS: leave --tls out ({made.reason})")


def require_plain(target: Target) -> None:
    """Raise TargetError if a server that did not answer a plain load speaks TLS."""
    if target.tls is not None:
        return
    made = shake_hands(target, new_context(trusts_any=True), _PATIENCE_S)
    if made.answer in (Answer.TLS, Answer.REFUSED):
        raise TargetError(f"{target.text} answers in TLS only: give --tls")
