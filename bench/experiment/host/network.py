"""Which addresses are this machine's own, so that no network is on the way there. Sends nothing."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.experiment.model import AgentsReached, Server


def is_loopback(host: str) -> bool:
    """Say whether a host is an address at which only this machine reaches itself. Any address (0.0.0.0) is none."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_elsewhere(host: str) -> bool:
    """Say whether a host is reached over a network. One to which no route leads is not known to be here."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
        with socket.socket(family, kind, protocol) as sock:
            sock.connect(address)  # of datagrams: only a route is looked up
            ours, theirs = (end[0].partition("%")[0] for end in (sock.getsockname(), sock.getpeername()))
    except OSError:
        return True
    return not is_loopback(theirs) and ours != theirs


def load_facts(servers: Iterable[Server], agents: AgentsReached | None = None) -> dict[str, Any]:
    """Return what run.json says of a load: how many agents make it, and whether it passes a network."""
    targets = [server.host for server in servers if server.target is not None and server.port]  # unix:PATH has no port
    over_network = any(map(is_elsewhere, targets))
    if agents is None:
        return {"agents": 0, "over_network": over_network}
    return {"agents": agents.number, "over_network": over_network or agents.is_networked}
