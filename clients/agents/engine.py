"""Agents by way of Dask: the workers of a cluster are looked over, and each starts a keeper.

Only this file and `reach.py`, which reaches the cluster, import Dask, and only when `--agents` was given. An actor is
bound to its worker, is never made anew, and is asked nothing while a load runs: what passes then goes over the keeper's
own line. When a keeper is started belongs to `session.py`.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import distributed

from clients.agents.alike import check_alike, check_free, check_number
from clients.agents.alive import KEEP_ALIVE_S, SILENCE_NS
from clients.agents.keeper import PACKAGES, path_of_packages
from clients.agents.line import IS_SILENT, AgentLostError, Seat
from clients.agents.reach import REACH_S, check_workers, client_of, host_of
from clients.clock import now_ns
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clients.agents.asked import Cluster

_PROFILE = ("profile", "profile-cycle")
_HEALTH = ("tick", "monitor")
_HEALTH_MS = 1000
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": f"{_HEALTH_MS}ms",
    "distributed.admin.tick.interval": f"{_HEALTH_MS}ms",
}
"""For what is started here: Dask's own habits wake a process up to a hundred times a second."""

_agents: weakref.WeakSet[Agent] = weakref.WeakSet()
"""Those of this process, which is a worker: a second one belongs to another coordinator."""


class Agent:
    """The actor: what it says of its machine, and the keeper that it starts there. It holds the keeper's stdin open."""

    def __init__(self) -> None:
        """Turn the worker's profiler off, which would wake up every 10 ms, and have it look at itself less often."""
        self._is_alone = not _agents
        _agents.add(self)
        weakref.finalize(self, _quieten(distributed.get_worker())).atexit = False
        self._keeper: subprocess.Popen[str] | None = None
        self._token = ""

    async def here(self) -> None:
        """Answer, also while another method runs: one that is `async` runs in the worker's own loop."""

    def is_alone(self) -> bool:
        """Return whether no other coordinator held this worker when this one came."""
        return self._is_alone

    def describe(self) -> dict[str, str]:
        """Return what has to be like ours, and which network this is."""
        return described()

    def open(self, host: str, token: str) -> int:
        """Start a keeper that listens at `host`, in place of any earlier one; return its port.

        It stays in the worker's session: Linux shares a core out between sessions first (sched_autogroup), and a load
        that has one of its own waits for the core otherwise than the processes of `--workers` do.
        """
        self.end(self._token)
        self._token = token
        self._keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "clients.agents.keeper", host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path_of_packages()},
            process_group=0,  # an interrupt at a terminal is the coordinator's to pass on
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


def _quieten(worker: distributed.Worker) -> Callable[[], None]:
    """Have a worker wake up less often; return what makes it as it was."""
    callbacks = worker.periodic_callbacks
    stopped = [callbacks[name] for name in _PROFILE if name in callbacks and callbacks[name].is_running()]
    slowed = {callbacks[name]: callbacks[name].callback_time for name in _HEALTH if name in callbacks}
    for one in stopped:
        one.stop()
    for one, every_ms in slowed.items():
        one.callback_time = max(every_ms, _HEALTH_MS)

    def undo() -> None:
        for one, every_ms in slowed.items():
            one.callback_time = every_ms
        for one in stopped:
            worker.loop.add_callback(one.start)

    return undo


def _end(keeper: subprocess.Popen[str]) -> None:
    if keeper.poll() is None:  # it leads a group, and its load may be stopped before it can end with its parent
        os.killpg(keeper.pid, signal.SIGKILL)
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
        self.name, self.address, self.host, self._actor = name, address, host_of(address), actor
        self._token = ""
        self.described: dict[str, str] = self._answer(self._asked("describe"))
        self.is_alone: bool = self._answer(self._asked("is_alone"))

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
        """Return what was asked for. Meanwhile the worker is asked once a second whether it is there."""
        until_ns = now_ns() + REACH_S * 1_000_000_000
        with self._not_lost():
            while now_ns() < until_ns:
                beat = self._actor.here()
                with contextlib.suppress(TimeoutError):
                    return asked.result(KEEP_ALIVE_S)
                try:
                    beat.result(SILENCE_NS / 1e9)
                except TimeoutError:
                    raise AgentLostError(self.name, IS_SILENT) from None
        raise AgentLostError(self.name, f"does not do within {REACH_S} s what it was asked for: is its machine busy?")

    @contextmanager
    def _not_lost(self) -> Iterator[None]:
        """Raise AgentLostError for what Dask raises of a worker that is not there any more."""
        try:
            yield
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
        stack.enter_context(dask.config.set(_QUIET))
        client = stack.enter_context(client_of(stack, cluster))
        addresses = list(client.nthreads())  # `scheduler_info` of some versions tells of five workers only
        check_number(len(addresses), cluster)
        check_workers(client, addresses)
        found = [
            Worker(f"{number}@{host_of(address)}", address, _actor(client, address))
            for number, address in enumerate(addresses)
        ]
        check_alike({worker.address: worker.described for worker in found}, described())
        check_free({worker.address: worker.is_alone for worker in found})
        yield found


def _actor(client: distributed.Client, address: str) -> Any:
    """Have an actor made on a worker: one of ours, also where another coordinator has one."""
    key = f"agent-{address}-{client.id}"
    asked = client.submit(
        Agent, actor=True, workers=[address], allow_other_workers=False, retries=0, pure=False, key=key
    )
    try:
        return asked.result(REACH_S)
    except TimeoutError as error:
        raise WorkloadError(
            f"the worker {address} does not answer within {REACH_S} s: is it busy or stopped?"
        ) from error
