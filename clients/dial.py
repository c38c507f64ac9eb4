"""Making one connection on the kernel: connect, and shake hands if the target speaks TLS. Nothing else is sent here."""

from __future__ import annotations

import errno
import os
import ssl
from typing import TYPE_CHECKING

from clients.faults import Failure, Fault, why_not_connected
from clients.traps import alarm, sleep_until, watch

if TYPE_CHECKING:
    import socket

    from clients.clock import NowNs
    from clients.kernel import Kernel
    from clients.target import Target

_RETRY_NS = 1_000_000
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY)


async def dial(target: Target, kernel: Kernel, clock: NowNs, deadline_ns: int) -> socket.socket:
    """Return a non-blocking socket that is connected to the target.

    If connecting had to wait, the calling task watches the socket afterwards. Raise Fault if there is no connection by
    the deadline: REFUSED, or one of `OURS`.
    """
    try:
        sock = target.open()
    except OSError as error:
        raise Fault(why_not_connected(error)) from error
    try:
        await _connect(sock, target, kernel, clock, deadline_ns)
        if target.tls is not None:
            kernel.unwatch(sock.fileno())
            sock = target.tls.wrap_socket(sock, server_hostname=target.server_name, do_handshake_on_connect=False)
            await _shake_hands(sock, clock, deadline_ns)
    except BaseException as reason:
        kernel.unwatch(sock.fileno())
        sock.close()
        if isinstance(reason, OSError):
            raise Fault(why_not_connected(reason)) from reason
        raise
    return sock


async def _connect(sock: socket.socket, target: Target, kernel: Kernel, clock: NowNs, deadline_ns: int) -> None:
    code = sock.connect_ex(target.address)
    while code == errno.EAGAIN and clock() < deadline_ns:
        # A UNIX socket whose backlog is full cannot be waited for, only tried again.
        await sleep_until(clock() + _RETRY_NS, clock)
        code = sock.connect_ex(target.address)
    if code == errno.EINPROGRESS:
        fd = sock.fileno()
        await watch(fd)
        kernel.want_write(fd, wanted=True)
        while code in _UNDER_WAY:
            if clock() >= deadline_ns:
                raise Fault(Failure.REFUSED)
            await alarm(deadline_ns)
            code = sock.connect_ex(target.address)  # asked again, it says how the first call went
        kernel.want_write(fd, wanted=False)
    if code not in (0, errno.EISCONN):
        raise OSError(code, os.strerror(code))


async def _shake_hands(sock: ssl.SSLSocket, clock: NowNs, deadline_ns: int) -> None:
    await watch(sock.fileno())
    while clock() < deadline_ns:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            await alarm(deadline_ns)
        else:
            return
    raise Fault(Failure.REFUSED)
