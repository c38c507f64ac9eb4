"""What `--agents` may say: a cluster made here for a first try, or the address of a scheduler. Reads text only."""

from __future__ import annotations

import ipaddress
import re
from importlib.util import find_spec
from typing import NamedTuple

from clients.workload import WorkloadError

_LOCAL_MAX = 64
_PORT_MAX = 65_535
_FORMS = (
    "write local:N for N agents on this machine, or tcp://SCHEDULER:8786 or tls://SCHEDULER:8786 for a cluster, and ,N "
    "behind that if it must have N workers"
)


class Cluster(NamedTuple):
    """A cluster at `address`, or one to be made here if that is empty; of so many `agents`, 0 is any number."""

    agents: int
    address: str

    @property
    def is_local(self) -> bool:
        """Whether the cluster is ours to make."""
        return not self.address


def cluster_asked(text: str, *, is_insecure: bool) -> Cluster:
    """Return what `--agents` means. Raise WorkloadError if it cannot be used; Dask itself is not tried."""
    cluster = _parsed(text)
    if find_spec("distributed") is None:
        raise WorkloadError("--agents needs Dask: python -m pip install 'echobench[dask]'")
    if cluster.address.startswith("tcp://") and not is_insecure and not _is_here(cluster.address):
        raise WorkloadError(
            f"--agents {text}: whoever reaches a Dask cluster can run programs on it, and tcp:// keeps nobody out. "
            "Use tls:// with Dask's certificates, or give --insecure-cluster on a network that you trust"
        )
    return cluster


def _parsed(text: str) -> Cluster:
    scheme, _, rest = text.partition(":")
    if scheme == "local":
        if not (rest.isascii() and rest.isdecimal() and 0 < int(rest) <= _LOCAL_MAX):
            raise WorkloadError(f"--agents {text!r}: N of local:N is a whole number from 1 to {_LOCAL_MAX}")
        return Cluster(int(rest), "")
    if (parts := re.fullmatch(r"((?:tcp|tls)://(?:[^/\s:,]+|\[[0-9a-fA-F:]+\]):\d{1,5})(?:,(\d{1,4}))?", text)) is None:
        raise WorkloadError(f"--agents {text!r} is not understood: {_FORMS}")
    address, agents = parts.groups()
    if not 0 < int(address.rpartition(":")[2]) <= _PORT_MAX or (agents and not int(agents)):
        raise WorkloadError(
            f"--agents {text!r} cannot be: a port is a number from 1 to {_PORT_MAX}, and N of ,N is 1 or more"
        )
    return Cluster(int(agents or 0), address)


def _is_here(address: str) -> bool:
    return is_loopback(address.partition("://")[2].rpartition(":")[0].strip("[]"))


def is_loopback(host: str) -> bool:
    """Say whether a host, by name or in numbers, is this machine as only itself reaches it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
