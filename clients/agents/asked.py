"""What `--agents` may say: a cluster made here for a first try, or the address of a scheduler. Reads text only."""

from __future__ import annotations

import ipaddress
import re
from importlib.util import find_spec
from typing import NamedTuple

from clients.workload import WorkloadError

_LOCAL_MAX = 64
_FORMS = "write local:N for N agents on this machine, or tcp://SCHEDULER:8786 or tls://SCHEDULER:8786 for a cluster"


class Cluster(NamedTuple):
    """A cluster that is to be made here, of so many `agents`; or one that there is, at `address`, with `agents` 0."""

    agents: int
    address: str

    @property
    def is_local(self) -> bool:
        """Whether the cluster is ours to make."""
        return self.agents > 0


def cluster_asked(text: str, *, is_insecure: bool) -> Cluster:
    """Return what `--agents` means. Raise WorkloadError if it cannot be used; Dask itself is not tried."""
    cluster = _parsed(text)
    if find_spec("distributed") is None:
        raise WorkloadError("--agents needs Dask: python -m pip install 'echobench[dask]'")
    if not cluster.is_local and not is_insecure and cluster.address.startswith("tcp://") and not _is_here(text):
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
    if not re.fullmatch(r"(tcp|tls)://[^/\s:]+:\d{1,5}|(tcp|tls)://\[[0-9a-fA-F:]+\]:\d{1,5}", text):
        raise WorkloadError(f"--agents {text!r} is not understood: {_FORMS}")
    return Cluster(0, text)


def _is_here(address: str) -> bool:
    return is_loopback(address.partition("://")[2].rpartition(":")[0].strip("[]"))


def is_loopback(host: str) -> bool:
    """Say whether a host, by name or in numbers, is this machine as only itself reaches it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
