"""What the tests of the load generator share: time moved by hand, misbehaving servers, and runs of `python -m clients`.

A server of `answering` lives in threads of the test's own process, one of `serving` in a process of its own. No test
here waits for luck: a clock is a `ManualClock`, or a wait ends with what is waited for.
"""

from __future__ import annotations

import heapq
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from clients.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")

POLL_NS = 1_000
"""How far a `FakePoller` moves the clock when it is polled."""

POLLS_MAX = 100_000


ATTEMPTS = 5


def pytest_configure(config):
    config.addinivalue_line("markers", f"timing: passes if one of {ATTEMPTS} attempts does")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Give a test marked `timing` several attempts.

    Such a test claims that the instrument can measure something to within a bound. A busy machine may spoil an attempt,
    but nothing can make one good by chance.
    """
    if pyfuncitem.get_closest_marker("timing") is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for _ in range(ATTEMPTS - 1):
        with suppress(AssertionError):
            pyfuncitem.obj(**arguments)
            return True
    pyfuncitem.obj(**arguments)
    return True


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class FakePoller:
    """Readiness by script; waiting moves the clock. Obeys `clients.clock.Poller`, and holds the kernel to it."""

    clock: ManualClock
    wants_write: dict[int, bool] = field(default_factory=dict)
    waits_ns: list[int] = field(default_factory=list)
    is_closed: bool = False
    _script: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)

    def at(self, when_ns: int, *fds: int) -> None:
        """Let descriptors become ready, in this order in one batch, at a time."""
        heapq.heappush(self._script, (when_ns, len(self._script), fds))

    def register(self, fd: int) -> None:
        assert fd not in self.wants_write, f"descriptor {fd} is registered twice"
        self.wants_write[fd] = False

    def want_write(self, fd: int, *, wanted: bool) -> None:
        assert fd in self.wants_write, f"descriptor {fd} is not registered"
        self.wants_write[fd] = wanted

    def unregister(self, fd: int) -> None:
        del self.wants_write[fd]

    def poll(self) -> list[tuple[int, int]]:
        return self.wait(0)

    def wait(self, timeout_ns: int) -> list[tuple[int, int]]:
        self.waits_ns.append(timeout_ns)
        assert len(self.waits_ns) < POLLS_MAX, "the kernel waits without end"
        end_ns = self.clock.now_ns + max(timeout_ns, POLL_NS)
        ready = []
        while self._script and self._script[0][0] <= end_ns:
            when_ns, _, fds = heapq.heappop(self._script)
            end_ns = max(self.clock.now_ns, when_ns)
            ready += [(fd, 1) for fd in fds if fd in self.wants_write]
            if ready:
                break
        self.clock.now_ns = end_ns
        return ready

    def close(self) -> None:
        self.is_closed = True


class World:
    """A kernel, its clock and its poller, none of which knows the real time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.poller = FakePoller(self.clock)
        self.kernel = Kernel(clock=self.clock, poller=self.poller)


@pytest.fixture(scope="session")
def new_world():
    """Return a function that makes a World; a property test makes one for each example."""
    return World


@pytest.fixture
def world():
    return World()


# ---- servers


@pytest.fixture(scope="session")
def answering():
    """Return a context manager: `handler(connection)` in a thread for each connection; yields the address."""
    return serve_in_threads


@contextmanager
def serve_in_threads(handler: Callable[[socket.socket], Any], listener: socket.socket | None = None) -> Iterator[str]:
    """See `answering`. An OSError of the handler's ends its connection, as its return does."""
    connections: list[socket.socket] = []

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            handler(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was shut: the test is over
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=run, args=(connection,)))
                threads[-1].start()

    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
    threads = [threading.Thread(target=accept, args=(listener,))]
    threads[0].start()
    try:
        yield address_of(listener)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        listener.close()
        assert not any(thread.is_alive() for thread in threads), "a handler does not end"


def address_of(listener: socket.socket) -> str:
    """Return a listener's address as `python -m clients` takes it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


@pytest.fixture(scope="session")
def echo():
    """Return a handler that is right."""

    def handler(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)

    return handler


@dataclass(frozen=True)
class Served:
    """A server process and where it listens."""

    process: subprocess.Popen[str]
    address: str


@pytest.fixture(scope="session")
def serving(checkout):
    """Return a context manager: `python -m servers NAME`, ready, and ended with the block."""

    @contextmanager
    def start(name: str, *arguments: str) -> Iterator[Served]:
        command = [sys.executable, "-P", "-m", "servers", str(name), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(checkout)) as process:
            try:
                word, host, port = process.stdout.readline().split()
                assert word == "READY"
                yield Served(process, f"{host}:{port}")
            finally:
                process.kill()

    return start


@pytest.fixture(scope="session")
def known_bad(checkout, serving):
    """Return a context manager: the known-bad server of a name."""
    return lambda name: serving(checkout / "tests" / "known_bad" / f"{name}.py")


@pytest.fixture(scope="module")
def echo_server(serving):
    """A correct server in a process of its own."""
    with serving("coroutines") as served:
        yield served


@pytest.fixture(scope="session")
def tls_certificate(tmp_path_factory):
    """A throwaway key and certificate for localhost and 127.0.0.1, which is its own authority."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    make = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=echobench test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    subprocess.run([*make, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return key, cert


# ---- the load generator


def environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout), "PYTHONWARNINGS": "error"}


@dataclass(frozen=True)
class Run:
    """How `python -m clients` ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object; the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])

    def __getitem__(self, key: str) -> Any:
        return self.result[key]


@pytest.fixture(scope="session")
def start_clients(checkout):
    """Return a function that starts `python -m clients` with pipes; the caller ends it."""

    def start(*arguments: str, beside: Path | None = None, **options: Any) -> subprocess.Popen[str]:
        """Modules in the folder `beside` come before all others."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-P", "-m", "clients", *map(str, arguments)]
        env = environment(checkout)
        if beside is not None:
            env["PYTHONPATH"] = f"{beside}{os.pathsep}{checkout}"
        return subprocess.Popen(command, text=True, env=env, **{**pipes, **options})

    return start


@pytest.fixture(scope="session")
def clients(start_clients):
    """Return a function that runs `python -m clients` to its end."""

    def run(*arguments: str, **options: Any) -> Run:
        with start_clients(*arguments, **options) as process:
            try:
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        return Run(process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def load(clients):
    """Return a function that puts load on an address without warm-up and returns its result as JSON.

    What holds for every result is asserted for each, and that nothing was written to standard error.
    """

    def run(address: str, *arguments: str, **options: Any) -> Run:
        run = clients(address, "--json", "--warmup", "0s", *arguments, **options)
        assert run.out, run.err
        assert not run.err
        check_result(run.result)
        return run

    return run


def check_result(result: dict[str, Any]) -> None:
    """Assert what every result must keep."""
    assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
    assert all(count > 0 for count in result["errors"].values())
    assert sum(interval["replies"] for interval in result["timeline"]) == result["replies"]
    errors = sum(interval["errors"] for interval in result["timeline"])
    assert errors <= sum(result["errors"].values())
    assert result["replies_per_s"] == pytest.approx(result["replies"] / result["window_s"])
    assert (result["response_max_ns"] is None) == (result["replies"] == 0)


@pytest.fixture(scope="session")
def wait_until():
    """Return a function that waits for a moment of the monotonic clock: for what must happen in mid-run."""
    never = threading.Event()
    return lambda moment_ns: never.wait(max(0, moment_ns - time.monotonic_ns()) / 1e9)
