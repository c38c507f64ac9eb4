"""Agents by way of Dask: a cluster is reached or made, its workers are looked over, and each starts a keeper.

The only file that imports Dask, and only when `--agents` was given. An actor is bound to its worker, is never made
anew, and is asked nothing while a load runs: what passes then goes over the keeper's own line. When a keeper is started
belongs to `session.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import secrets
import signal
import subprocess
import sys
import weakref
from contextlib import ExitStack, contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import distributed

from clients.agents.alike import check_alike, check_number
from clients.agents.keeper import PACKAGES, path_of_packages
from clients.agents.line import AgentLostError, Seat
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clients.agents.asked import Cluster

REACH_S = 10
_PROFILE = ("profile", "profile-cycle")
_NO_PROFILE = {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "10s"}


class Agent:
    """The actor: what it says of its machine, and the keeper that it starts there. It holds the keeper's stdin open."""

    def __init__(self) -> None:
        """Turn the worker's profiler off, which would wake up every 10 ms."""
        callbacks = distributed.get_worker().periodic_callbacks
        for name in _PROFILE:
            if name in callbacks:
                callbacks[name].stop()
        self._keeper: subprocess.Popen[str] | None = None
        self._token = ""

    def describe(self) -> dict[str, str]:
        """Return what has to be like ours, and which network this is."""
        return described()

    def open(self, host: str, token: str) -> int:
        """Start a keeper that listens at `host`, in place of any earlier one; return its port."""
        self.end(self._token)
        self._token = token
        self._keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "clients.agents.keeper", host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path_of_packages()},
            start_new_session=True,  # an interrupt at a terminal is the coordinator's to pass on
        )
        weakref.finalize(self, _end, self._keeper)
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(token + "\n")
        self._keeper.stdin.flush()
        return int(self._keeper.stdout.readline())

    def doctor(self) -> str:
        """Return what `echobench doctor` says of this machine, as JSON; or why it says nothing. It takes a second."""
        command = [sys.executable, "-P", "-m", "bench", "doctor", "--json"]
        env = {**os.environ, "PYTHONPATH": path_of_packages()}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)
        return done.stderr if done.returncode else done.stdout

    def end(self, token: str) -> None:
        """End the keeper of a token, if it is the present one. It has ended with its line, unless it was stopped.

        What is asked of an actor may come out of order, and the next keeper may be there already.
        """
        if self._keeper is not None and token == self._token:
            _end(self._keeper)


def _end(keeper: subprocess.Popen[str]) -> None:
    keeper.kill()
    keeper.communicate()


def described() -> dict[str, str]:
    """Return the versions that agents must share, and which network namespace of which machine this is."""
    digest = hashlib.sha256()
    for path in sorted((PACKAGES / "clients").rglob("*.py")):
        digest.update(path.read_bytes())
    boot = Path("/proc/sys/kernel/random/boot_id")
    network = Path("/proc/self/ns/net")
    return {
        "echobench": digest.hexdigest()[:12],
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Dask": distributed.__version__,
        "network": f"{boot.read_text().strip()} {network.readlink()}" if boot.exists() else platform.node(),
    }


class Worker:
    """A worker of the cluster that was looked over: its name, its host, the network it is in, and its actor."""

    def __init__(self, name: str, address: str, actor: Any) -> None:
        """Ask the actor what it is. Raise AgentLostError."""
        self.name, self.address, self.host, self._actor = name, address, _host_of(address), actor
        self._token = ""
        self.described: dict[str, str] = self._answer(self._asked("describe"))

    def opening(self) -> Callable[[], Seat]:
        """Have a keeper started there. Return what waits for it and gives its seat, or raises AgentLostError."""
        self._token = token = secrets.token_hex(16)
        asked = self._asked("open", self.host, token)
        return lambda: Seat(self.name, self.host, self._answer(asked), token)

    def doctor(self) -> str:
        """Return what its machine's doctor says, as JSON. Raise AgentLostError."""
        said: str = self._answer(self._asked("doctor"))
        return said

    def end(self) -> None:
        """Have its keeper ended, and do not wait: a worker that is stopped would not answer."""
        with contextlib.suppress(AgentLostError):  # the keeper ended with its worker
            self._asked("end", self._token)

    def _asked(self, method: str, *arguments: str) -> Any:
        with self._not_lost():
            return getattr(self._actor, method)(*arguments)

    def _answer(self, asked: Any) -> Any:
        with self._not_lost():
            return asked.result(REACH_S)

    @contextmanager
    def _not_lost(self) -> Iterator[None]:
        """Raise AgentLostError for what Dask raises of a worker that is not there any more."""
        try:
            yield
        except TimeoutError:
            raise AgentLostError(self.name, f"does not answer within {REACH_S} s: is its worker stopped?") from None
        except (OSError, ValueError, RuntimeError) as error:
            raise AgentLostError(self.name, f"lost its Dask worker ({type(error).__name__}: {error})") from error


@contextmanager
def workers_of(cluster: Cluster) -> Iterator[list[Worker]]:
    """Yield the workers of a cluster, each like this machine. Raise WorkloadError for a cluster that cannot be used.

    At the end the actors are let go, and with them their keepers; a cluster that was made here is ended.
    """
    for name in ("distributed", "asyncio"):  # what they have to say of a lost worker, we say
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_NO_PROFILE))
        client = stack.enter_context(_client(stack, cluster))
        addresses = list(client.scheduler_info()["workers"])
        check_number(len(addresses), cluster)
        _check_dask(client)
        _check_installed(client)
        found = [
            Worker(f"{number}@{_host_of(address)}", address, _actor(client, address))
            for number, address in enumerate(addresses)
        ]
        check_alike({worker.address: worker.described for worker in found}, described())
        yield found


def _client(stack: ExitStack, cluster: Cluster) -> distributed.Client:
    if not cluster.is_local:
        _check_certificate(cluster.address)
        try:
            return distributed.Client(cluster.address, timeout=REACH_S)
        except (OSError, ValueError, TypeError) as error:
            raise WorkloadError(
                f"no Dask scheduler answers at {cluster.address} ({type(error).__name__}: {error}): start one with "
                "`dask scheduler`, and `dask worker` on each machine"
            ) from error
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # its processes inherit this: Ctrl-C is ours to pass on
    try:
        local = distributed.LocalCluster(
            n_workers=cluster.agents,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            worker_dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        stack.enter_context(local)
        return distributed.Client(local)
    finally:
        signal.signal(signal.SIGINT, before)


def _check_certificate(address: str) -> None:
    """Raise WorkloadError if a cluster asks for a certificate, and Dask's configuration names none for us."""
    if not address.startswith("tls://"):
        return
    try:
        has_one = distributed.Security().get_connection_args("client").get("ssl_context") is not None
    except OSError as error:
        raise WorkloadError(f"Dask's certificate for {address} cannot be read: {error}") from error
    if not has_one:
        names = ", ".join(f"DASK_DISTRIBUTED__COMM__TLS__{name}" for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY"))
        raise WorkloadError(
            f"{address} lets in who has a certificate, and Dask's configuration names none: set {names} to its files"
        )


def _host_of(address: str) -> str:
    return address.partition("://")[2].rpartition(":")[0].strip("[]")


def _check_dask(client: distributed.Client) -> None:
    """Raise WorkloadError if a part of the cluster runs another Dask, before anything is asked of it."""
    found = client.get_versions()
    mine = found["client"]["packages"]["distributed"]
    for name, one in {"scheduler": found["scheduler"], **found["workers"]}.items():
        theirs = one["packages"]["distributed"]
        if theirs != mine:
            raise WorkloadError(
                f"{name} runs Dask distributed {theirs}, and this machine {mine}: install one version everywhere"
            )


def _check_installed(client: distributed.Client) -> None:
    """Raise WorkloadError for a worker that cannot import this file, which an actor would wait for in vain."""
    found = client.run(find_spec, __name__, on_error="return")  # of the standard library, so that every worker has it
    for address, spec in found.items():
        if not isinstance(spec, ModuleSpec):
            raise WorkloadError(
                f"the worker {address} has no module {__name__}: install the same echobench there, and start "
                f"`dask worker` with PYTHONPATH={PACKAGES} (or where it is there)"
            )


def _actor(client: distributed.Client, address: str) -> Any:
    asked = client.submit(
        Agent, actor=True, workers=[address], allow_other_workers=False, retries=0, pure=False, key=f"agent-{address}"
    )
    try:
        return asked.result(REACH_S)
    except TimeoutError as error:
        raise WorkloadError(
            f"the worker {address} does not answer within {REACH_S} s: is it busy or stopped?"
        ) from error
