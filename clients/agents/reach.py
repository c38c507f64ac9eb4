"""Dask's side of a cluster: it is reached or made, and each part of it is asked whether it is there, and like ours.

Only this file and `engine.py` import Dask. Dask itself waits without a limit for a scheduler or a worker that
accepts a connection and says nothing, so each is asked who it is before Dask's client has to do with it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import warnings
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import distributed

from clients.agents.alive import SILENCE_NS
from clients.agents.keeper import PACKAGES
from clients.coordination import starting_deaf
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from clients.agents.asked import Cluster

REACH_S = 10
_CERTIFICATE = ", ".join(f"DASK_DISTRIBUTED__COMM__TLS__{name}" for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY"))


def client_of(stack: ExitStack, cluster: Cluster) -> distributed.Client:
    """Return a client of the cluster, which is made here if it is local, and then ended by the stack.

    Raise WorkloadError for an address at which no scheduler of Dask answers.
    """
    warnings.filterwarnings("ignore", category=distributed.versions.VersionMismatchWarning)  # that is refused below
    if not cluster.is_local:
        _check_certificate(cluster.address)
        _check_scheduler(cluster.address)
        try:
            return distributed.Client(cluster.address, timeout=REACH_S)
        except (OSError, ValueError, TypeError) as error:
            raise _no_scheduler(cluster.address, error) from error
    resource_tracker.ensure_running()  # what starts it hears Ctrl-C again, and so would all that comes after
    with starting_deaf():
        local = distributed.LocalCluster(
            n_workers=cluster.agents,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else 8787, or a warning that it is taken
            worker_dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        stack.enter_context(local)
        return distributed.Client(local)


def check_workers(client: distributed.Client, addresses: Sequence[str]) -> None:
    """Raise WorkloadError for a worker that does not answer, or that cannot be an agent."""
    for address, found in asyncio.run(_who_they_are(addresses, SILENCE_NS / 1e9)).items():
        if isinstance(found, BaseException):
            raise WorkloadError(
                f"the worker {address} does not answer ({_said(found)}): it is stopped, or its network is gone. "
                "Start it again, or end it"
            ) from found
        _check_dask(f"the worker {address}", found)
    _check_installed(client)


def host_of(address: str) -> str:
    """Return the host of an address of Dask."""
    return address.partition("://")[2].rpartition(":")[0].strip("[]")


def _check_certificate(address: str) -> None:
    """Raise WorkloadError if a cluster asks for a certificate, and Dask's configuration names none for us."""
    if not address.startswith("tls://"):
        return
    try:
        has_one = distributed.Security().get_connection_args("client").get("ssl_context") is not None
    except OSError as error:
        raise WorkloadError(f"Dask's certificate for {address} cannot be read: {error}") from error
    if not has_one:
        raise WorkloadError(
            f"{address} lets in who has a certificate, and Dask's configuration names none: set {_CERTIFICATE} to its "
            "files"
        )


def _check_scheduler(address: str) -> None:
    """Raise WorkloadError for an address at which no scheduler of Dask answers, with what is there instead."""
    try:
        socket.create_connection((host_of(address), int(address.rpartition(":")[2])), REACH_S).close()
    except OSError as error:
        raise _no_scheduler(address, error) from error
    found = asyncio.run(_who_they_are([address], REACH_S))[address]
    if isinstance(found, BaseException):
        raise _no_scheduler(address, found) from found
    if (kind := found.get("type")) != "Scheduler":
        what = f"a Dask {str(kind).lower()}" if kind else "another program"
        raise WorkloadError(f"{address} is {what}, not a Dask scheduler: give the address that `dask scheduler` prints")
    _check_dask("the scheduler", found)


def _no_scheduler(address: str, why: BaseException) -> WorkloadError:
    cure = "give the address that `dask scheduler` prints, with tcp:// or tls:// as there; or end that if it is stopped"
    if isinstance(why, (ConnectionRefusedError, socket.gaierror)):
        cure = "start one with `dask scheduler`, and `dask worker` on each machine"
    elif address.startswith("tls://") and _is_about_tls(why):
        cure = f"have it and us trust one CA ({_CERTIFICATE}), with certificates that are not expired, or use tcp://"
    return WorkloadError(f"no Dask scheduler answers at {address} ({_said(why)}): {cure}")


def _is_about_tls(why: BaseException | None) -> bool:
    """Say whether a connection failed because the two sides do not trust each other."""
    if why is None:
        return False
    is_of_ssl = isinstance(why, (ssl.SSLError, distributed.comm.core.CommClosedError))
    return is_of_ssl or _is_about_tls(why.__cause__)


def _said(why: BaseException) -> str:
    """Return what an error says, for the inside of a sentence: the cause of it, if it has one."""
    if isinstance(why, TimeoutError):
        return "it says nothing"
    if why.__cause__ is not None:
        return _said(why.__cause__)
    if not isinstance(why, OSError):
        return "what it says is not Dask's"  # it was read as Dask's, and can fail in any way
    return why.strerror or f"{type(why).__name__}: {why}"


async def _who_they_are(addresses: Sequence[str], limit_s: float) -> Mapping[str, dict[str, Any] | BaseException]:
    """Return what the process at each address says it is, or what kept it from saying so within so long."""
    asked = [_who_it_is(address, limit_s) for address in addresses]
    return dict(zip(addresses, await asyncio.gather(*asked, return_exceptions=True), strict=True))


async def _who_it_is(address: str, limit_s: float) -> dict[str, Any]:
    """Return its identity, and as `distributed` its version; another program may return anything, and raise so too."""
    secrets = distributed.Security().get_connection_args("client")
    remote = distributed.core.rpc(address, timeout=limit_s, connection_args=secrets)
    try:
        async with asyncio.timeout(limit_s):
            identity = await remote.identity()
            if not identity.get("type"):
                return {}
            return {**identity, "distributed": (await remote.versions())["packages"]["distributed"]}
    finally:
        await remote.close_rpc()


def _check_dask(name: str, found: Mapping[str, Any]) -> None:
    """Raise WorkloadError if a part of the cluster runs another Dask, before Dask's client has to do with it."""
    if found["distributed"] != distributed.__version__:
        raise WorkloadError(
            f"{name} runs Dask distributed {found['distributed']}, and this machine {distributed.__version__}: "
            "install one version everywhere"
        )


def _check_installed(client: distributed.Client) -> None:
    """Raise WorkloadError for a part that cannot import an actor, which would be waited for in vain.

    What is asked is of the standard library, so that every part has it. The scheduler unpacks what it passes on.
    """
    asked = "clients.agents.engine"
    found = {f"the worker {address}": spec for address, spec in client.run(find_spec, asked, on_error="return").items()}
    try:
        found["the scheduler"] = client.run_on_scheduler(find_spec, asked)
    except ImportError as error:
        found["the scheduler"] = error
    for part, spec in found.items():
        if not isinstance(spec, ModuleSpec):
            command = "dask worker" if part.startswith("the worker") else "dask scheduler"
            raise WorkloadError(
                f"{part} has no module {asked}: install the same echobench there, and start `{command}` with "
                f"PYTHONPATH={PACKAGES} (or where it is there)"
            )
