"""What `--agents tcp://…` says of a cluster that cannot be used, on real ones: `nox -s cluster` runs these."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import threading
import time

import pytest
from helpers.checkout import CHECKOUT
from helpers.dask_cluster import QUIET, scheduler, worker
from helpers.generator import clients, start_clients

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
SECONDS_MAX = 15
"""Ten seconds that a scheduler has to answer, and the start of Python and Dask."""


def test_a_scheduler_that_is_not_there_is_named(echo_server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    run = clients(echo_server.address, "--agents", f"tcp://127.0.0.1:{port}", env=QUIET)
    assert run.status == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1" in run.err


@contextlib.contextmanager
def saying(greeting: bytes):
    """Listen, and say this to whoever comes, and nothing more; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:

        def accept():
            with contextlib.suppress(OSError):  # the listener was shut down
                while True:
                    stack.enter_context(listener.accept()[0]).sendall(greeting)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("greeting", "says"),
    [(b"", r"\(it says nothing\): give the address that"), (b"SSH-2.0-OpenSSH_9.2\r\n" * 4, "is not Dask's")],
    ids=["nothing", "a banner"],
)
def test_another_program_at_the_address_is_no_scheduler(greeting, says, echo_server):
    began_s = time.monotonic()
    with saying(greeting) as address:
        run = clients(echo_server.address, "--agents", address, env=QUIET)
    assert run.status == 2, run.err
    assert re.search(rf"no Dask scheduler answers at {address} .*{says}", run.err)
    assert time.monotonic() - began_s < SECONDS_MAX


def test_an_echo_server_is_no_scheduler(echo_server):
    run = clients(echo_server.address, "--agents", f"tcp://{echo_server.address}", env=QUIET)
    assert run.status == 2
    assert "is another program, not a Dask scheduler: give the address" in run.err


def test_a_worker_that_is_stopped_before_a_load_is_named(echo_server):
    with scheduler() as address, worker(address) as stopped:
        began_s = time.monotonic()
        stopped.send_signal(signal.SIGSTOP)
        try:
            run = clients(echo_server.address, "--agents", address, env=QUIET)
        finally:
            stopped.kill()
    assert run.status == 2, run.err
    assert re.search(r"the worker tcp://127\.0\.0\.1:\d+ does not answer \(it says nothing\): it is stopped", run.err)
    assert time.monotonic() - began_s < SECONDS_MAX


def test_a_second_load_on_the_same_workers_is_refused(echo_server):
    with scheduler() as address, worker(address):
        load = (echo_server.address, "-c", 2, "-d", "60s", "--agents", address)
        first = start_clients(*load, "--coordinated", env=QUIET)
        with first:
            assert first.stdout.readline() == "CONNECTED 2 2\n"
            second = clients(*load, env=QUIET)
            first.communicate(timeout=30)  # the end of its stdin, in place of the word to go
        third = clients(*load[:4], "0.2s", *load[5:], env=QUIET)
    assert second.status == 2
    assert "is an agent of another load: wait until that has ended" in second.err
    assert third.status == 0, third.err


def test_a_scheduler_without_echobench_is_named_with_the_cure(echo_server, tmp_path):
    with scheduler(PYTHONPATH=str(tmp_path)) as address, worker(address):
        run = clients(echo_server.address, "--agents", address, env=QUIET)
    assert run.status == 2
    assert "the scheduler has no module clients.agents.engine: install the same echobench there" in run.err


def test_a_scheduler_without_workers_is_named(echo_server):
    with scheduler() as address:
        run = clients(echo_server.address, "--agents", address, env=QUIET)
    assert run.status == 2
    assert "has no workers: start `dask worker` on each machine" in run.err


def test_a_worker_without_echobench_is_named_with_the_cure(echo_server, tmp_path):
    with scheduler() as address, worker(address, PYTHONPATH=str(tmp_path)):
        run = clients(echo_server.address, "--agents", address, env=QUIET)
    assert run.status == 2
    assert "has no module clients.agents.engine: install the same echobench there" in run.err


def test_a_worker_with_another_echobench_is_refused(echo_server, tmp_path):
    shutil.copytree(CHECKOUT / "clients", tmp_path / "clients", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "clients" / "clock.py").open("a") as file:
        file.write("# changed there\n")
    with scheduler() as address, worker(address, PYTHONPATH=str(tmp_path)):
        run = clients(echo_server.address, "--agents", address, env=QUIET)
    assert run.status == 2
    assert re.search(r"the worker tcp://127\.0\.0\.1:\d+ has echobench \w{12}, and this machine \w{12}", run.err)


def test_a_cluster_with_certificates_lets_in_who_has_one(echo_server, tls_certificate):
    key, certificate = map(str, tls_certificate)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    ours = {f"{tls}CA_FILE": certificate, f"{tls}CLIENT__CERT": certificate, f"{tls}CLIENT__KEY": key}
    theirs = {
        f"{tls}{role}__{what}": path
        for role in ("SCHEDULER", "WORKER")
        for what, path in (("CERT", certificate), ("KEY", key))
    }
    load = (echo_server.address, "-c", 2, "-d", "0.3s", "--warmup", "0.1s", "--json")
    with scheduler("--protocol", "tls", **ours, **theirs) as address, worker(address, **ours, **theirs):
        assert address.startswith("tls://127.0.0.1:")
        let_in = clients(*load, "--agents", address, env={**QUIET, **ours})
        kept_out = clients(*load, "--agents", address, env=QUIET)
        unread = clients(*load, "--agents", address, env={**QUIET, **ours, f"{tls}CA_FILE": "/no/such/file"})
    assert let_in.status == 0, let_in.err
    assert let_in["sent"] == let_in["replies"] + let_in["failed"] + let_in["in_flight"]
    assert (kept_out.status, unread.status) == (2, 2)
    assert "lets in who has a certificate, and Dask's configuration names none: set DASK_DIST" in kept_out.err
    assert "cannot be read: " in unread.err
