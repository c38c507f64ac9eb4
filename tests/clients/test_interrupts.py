"""Runs that others steer: Ctrl-C at every moment, and the coordinated protocol."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress

import psutil
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from helpers.answering import answering, echo
from helpers.generator import clients, start_clients, wait_until
from helpers.tracing import untraced

from clients import coordination
from clients.histogram import DIGITS, HIGHEST_NS
from clients.workload import WorkloadError

MILLISECOND_NS, SECOND_NS = 1_000_000, 1_000_000_000


# ---- Ctrl-C


def ended_by(process, number, within_s=3.0):
    """Send a signal; return what was printed, how it ended and how long that took."""
    began_s = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - began_s < within_s
    return out, err


def go(process, *, lead_ns=50 * MILLISECOND_NS):
    """Start a coordinated run; return its start."""
    assert process.stdout.readline().startswith("CONNECTED ")
    start_ns = time.monotonic_ns() + lead_ns
    process.stdin.write(f"GO {start_ns}\n")
    process.stdin.flush()
    return start_ns


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_in_the_window_prints_what_was_measured(echo_server, tmp_path, workers):
    log = tmp_path / "latency.hlog"
    given = ("-c", 4, "--rate", 1_000, "-d", "50s", "--warmup", "0s", "--coordinated", "--hlog", log)
    with start_clients(echo_server.address, *given, "--workers", workers) as process:
        wait_until(go(process) + 500 * MILLISECOND_NS)
        out, err = ended_by(process, signal.SIGINT)
    result = json.loads(out)
    assert (process.returncode, err) == (0, "")
    assert result["interrupted"]
    assert result["window_s"] == pytest.approx(0.6, abs=0.4)
    assert result["replies"] == pytest.approx(1_000 * result["window_s"], rel=0.2)
    assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
    assert sum(piece["replies"] for piece in result["timeline"]) == result["replies"]
    reader, logged = HistogramLogReader(str(log), HdrHistogram(1, HIGHEST_NS, DIGITS)), 0
    while (histogram := reader.get_next_interval_histogram()) is not None:
        logged += histogram.get_total_count() if histogram.get_tag() == "load.response" else 0
    reader.close()
    assert logged == result["replies"]


def test_ctrl_c_in_the_window_for_people():
    heard = threading.Semaphore(0)

    def handler(connection):
        connection.recv(1)
        heard.release()
        while connection.recv(1 << 16):
            pass

    with (
        answering(handler) as address,
        start_clients(address, "-c", 2, "-d", "50s", "--warmup", "0s") as process,
    ):
        for _ in range(2):
            assert heard.acquire(timeout=30)
        out, err = ended_by(process, signal.SIGINT)
    assert err == ""
    assert "(interrupted)" in out
    assert f"{address}: 2 connections (2 stood)" in out


def test_ctrl_c_in_the_warm_up_prints_that_nothing_was_measured(echo_server):
    with start_clients(echo_server.address, "-c", 2, "-d", "50s", "--warmup", "50s", "--coordinated") as process:
        wait_until(go(process) + 100 * MILLISECOND_NS)
        out, err = ended_by(process, signal.SIGINT)
    result = json.loads(out)
    assert (process.returncode, err) == (4, "")
    assert (result["replies"], result["interrupted"]) == (0, True)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_while_waiting_for_the_word_to_go(echo_server, workers):
    with start_clients(echo_server.address, "-c", 2, "--coordinated", "--workers", workers) as process:
        assert process.stdout.readline() == "CONNECTED 2 2\n"
        out, err = ended_by(process, signal.SIGINT)
    assert (process.returncode, err) == (4, "")
    assert (json.loads(out)["sent"], json.loads(out)["interrupted"]) == (0, True)


def test_ctrl_c_while_workers_are_starting(echo_server):
    """Sent to all processes of the terminal, as a terminal does."""
    given = ("-c", 4, "--workers", 4, "-d", "50s", "--json")
    with untraced():
        started = start_clients(echo_server.address, *given, start_new_session=True)
    with started as process:
        while len(psutil.Process(process.pid).children()) < 4:
            pass
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=40)  # of a load of 50 s
    result = json.loads(out)
    assert (process.returncode, err) == (4, "")
    assert (result["interrupted"], result["workers_lost"], result["replies"]) == (True, 0, 0)


def test_ctrl_c_while_processes_are_started_is_heard_after_that():
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - what comes after the signal is what is tested
        with coordination.starting_deaf():
            os.kill(os.getpid(), signal.SIGINT)
            begun = subprocess.run(["sh", "-c", "kill -INT $$; echo whole"], capture_output=True, check=False)
        pytest.fail("it was forgotten")
    assert begun.stdout == b"whole\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("generator", [("-c", 300, "--timeout", "20s"), ("-c", 4, "--reference")])
def test_ctrl_c_while_connections_do_not_come_about(generator):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        full = [socket.socket() for _ in range(4)]
        for sock in full:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with start_clients(address, *generator, "--json") as process:
            while not is_connecting(process.pid):
                pass
            out, err = ended_by(process, signal.SIGINT)
        for sock in full:
            sock.close()
    assert (process.returncode, err) == (4, "")
    assert json.loads(out)["connections_established"] == 0


def is_connecting(pid):
    """Say whether the process or a child of it, which may end meanwhile, waits for a connection."""
    process = psutil.Process(pid)
    for one in (process, *process.children()):
        with suppress(psutil.NoSuchProcess):
            if any(sock.status == psutil.CONN_SYN_SENT for sock in one.net_connections("tcp")):
                return True
    return False


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("numpy", "signal.raise_signal(signal.SIGINT)\n"),
        ("sitecustomize", "import socket\nsocket.getaddrinfo = lambda *_, **__: signal.raise_signal(signal.SIGINT)\n"),
    ],
    ids=["while modules are imported", "while a name is resolved"],
)
def test_ctrl_c_before_anything_has_begun_is_no_traceback(tmp_path, module, source):
    (tmp_path / f"{module}.py").write_text(f"import signal\n{source}")
    run = clients("127.0.0.1:5433", beside=tmp_path)
    assert (run.status, run.out, run.err) == (130, "", "")


# ---- nobody reads what is printed


@pytest.mark.parametrize("arguments", [("-d", "0.1s"), ("-d", "0.1s", "--json")])
def test_a_reader_that_has_gone_ends_it_quietly(echo_server, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with start_clients(echo_server.address, "-c", 1, "--warmup", "0s", *arguments, stdout=writer) as process:
            _, err = process.communicate(timeout=30)
    finally:
        os.close(writer)
    assert (process.returncode, err) == (128 + signal.SIGPIPE, "")


# ---- the protocol of a coordinated run


@pytest.mark.parametrize("word", ["GO", "GO soon", "GO 1 2", "GO -5", f"GO {1_700_000_000 * SECOND_NS}"])
def test_a_word_to_go_without_a_time_of_this_clock_is_refused(word):
    """The last of the words is a time of another clock."""
    with pytest.raises(
        WorkloadError, match=f"^'{word}' is no word to go: write `GO start_ns`, where start_ns is a time"
    ):
        coordination._start_ns(word.split())


@pytest.mark.parametrize("generator", [(), ("--workers", 2), ("--reference",)])
def test_a_word_to_go_without_a_time_is_wrong_use(echo_server, generator):
    with start_clients(echo_server.address, "-c", 2, "--coordinated", *generator) as process:
        out, err = process.communicate("GO\n", timeout=30)
    assert (process.returncode, out) == (2, "CONNECTED 2 2\n")
    assert err.startswith("clients: 'GO' is no word to go: write `GO start_ns`, where start_ns is a time of this")
    assert err.count("\n") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_coordinated_lines_and_times(workers):
    first_bytes_ns = []

    def watches(connection):
        connection.recv(1, socket.MSG_PEEK)
        first_bytes_ns.append(time.monotonic_ns())
        echo(connection)

    with answering(watches) as address:
        given = ("-c", 3, "-d", "0.3s", "--warmup", "0.1s", "--coordinated", "--json", "--workers", workers)
        with start_clients(address, *given) as process:
            assert process.stdout.readline() == "CONNECTED 3 3\n"
            start_ns = time.monotonic_ns() + 200 * MILLISECOND_NS
            out, err = process.communicate(f"GO {start_ns}\n", timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.count("\n") == 1
    result = json.loads(out)
    assert min(first_bytes_ns) >= start_ns
    assert len(first_bytes_ns) == 3
    assert result["window_start_ns"] >= start_ns + 100 * MILLISECOND_NS
    assert result["window_end_ns"] >= start_ns + 400 * MILLISECOND_NS
    assert result["window_end_ns"] - start_ns < 2 * SECOND_NS
    assert result["replies"] > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_of_standard_input_instead_of_go_ends_the_run(echo_server, workers):
    with start_clients(echo_server.address, "-c", 2, "--coordinated", "--workers", workers) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (4, "")
    connected, result = out.splitlines()
    assert connected == "CONNECTED 2 2"
    assert json.loads(result)["replies"] == 0
