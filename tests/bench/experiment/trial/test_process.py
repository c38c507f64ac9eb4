"""Real children: what starts, what is said when it does not, and that nothing outlives its `with`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from helpers.checkout import CHECKOUT

from bench.errors import ServerError, UsageError
from bench.experiment.model import Server
from bench.experiment.planning.address import split_address
from bench.experiment.planning.server_table import ServerTable
from bench.experiment.trial import child
from bench.experiment.trial.child import Child, ChildError
from bench.experiment.trial.child_output import HEAD_BYTES, TAIL_BYTES
from bench.experiment.trial.listening import listeners
from bench.experiment.trial.process import PADDING_NAME, free_port, launch, launch_together, layout
from bench.experiment.trial.results import ServerDiedError, check_alive
from bench.interrupts import SIGNALS

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
READY = LISTEN + "print('READY', *s.getsockname()[:2], flush=True); "
FOREVER = "time.sleep(600)"


def python(code, *arguments, **fields):
    return Server(name="mine", command=(sys.executable, "-c", code, *arguments), **fields)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "server.log"


def test_a_started_server_is_ready_and_ends_with_the_block(log):
    with launch(python(READY + FOREVER, "0"), log=log) as running:
        socket.create_connection((running.host, running.port), timeout=5).close()
        assert running.address == f"127.0.0.1:{running.port}"
        assert not running.has_died
    assert not psutil.pid_exists(running.pid)
    assert running.child.returncode == -signal.SIGTERM
    assert not running.was_killed


UNIX = """
import os, pathlib, socket, time
p, s = 'echo.sock', socket.socket(socket.AF_UNIX)
while True:
    pathlib.Path(p).unlink(missing_ok=True)
    try:
        s.bind(p)
        break
    except OSError:
        pass  # another server took the path just before
s.listen()
print('READY unix:' + p, 0, flush=True)
"""


def test_servers_that_share_an_address_are_both_refused(log, tmp_path):
    """Each takes the path of the socket away from the one before it, and then has its load too."""
    servers = [python(UNIX + FOREVER, cwd=str(tmp_path), ready="line") for _ in range(2)]
    with launch_together(servers, logs=[log, log.with_suffix(".other")]) as found:
        assert [type(one) for one in found] == [ServerError, ServerError]
        assert f"mine listens at unix:{tmp_path}/echo.sock, and so does another server" in str(found[0])


def test_the_path_of_a_socket_is_seen_from_the_servers_folder(log, tmp_path):
    with launch(python(UNIX + FOREVER, cwd=str(tmp_path), ready="line"), log=log) as running:
        assert running.address == f"unix:{tmp_path}/echo.sock"


def test_a_server_that_only_listens_is_found_without_being_its_first_client(log):
    code = LISTEN + "s.settimeout(600); s.accept(); print('a client came', file=sys.stderr, flush=True); " + FOREVER
    with launch(python(code, "{port}", ready="port"), log=log) as running:
        assert any(listeners(running.port, running.pid))
        assert "a client came" not in log.read_text()


@pytest.mark.parametrize("code", [READY + FOREVER, LISTEN + FOREVER])
def test_either_rule_takes_whichever_comes(log, code):
    with launch(python(code, "{port}", ready="either"), log=log) as running:
        assert any(listeners(running.port, running.pid))


def test_a_server_that_says_much_is_logged_and_never_blocked(log):
    code = "print('hello'); " + READY + "print('x' * 300_000, flush=True); open(sys.argv[2], 'w').close(); " + FOREVER
    done = log.with_name("done")
    with launch(python(code, "0", str(done)), log=log):
        deadline = time.monotonic() + 10
        while not done.exists() and time.monotonic() < deadline:
            os.sched_yield()
    assert done.exists()
    assert log.read_text().startswith("hello\n")
    assert log.stat().st_size > 300_000


TALKS = """
for number in range(30_000):
    print("%07d" % number + "." * 92)
    print("%07d" % number + "!" * 92, file=sys.stderr)
open(sys.argv[2], 'w').close()
"""


def test_the_log_of_a_talkative_server_keeps_head_and_tail(log):
    done = log.with_name("done")
    with launch(python(READY + TALKS + FOREVER, "0", str(done)), log=log):
        deadline = time.monotonic() + 20
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.01)  # the server is not our child's reader: its file is all that tells
    text = log.read_bytes()
    left_out = int(re.search(rb"\[(\d+) bytes left out\]", text)[1])
    assert len(text) == HEAD_BYTES + TAIL_BYTES + len(f"\n[{left_out} bytes left out]\n")
    assert len(text) + left_out - len(f"\n[{left_out} bytes left out]\n") == 2 * 30_000 * 100
    assert b"0000000" in text[:HEAD_BYTES]
    assert b"0029999" in text[-TAIL_BYTES:]


DAEMON = """
import os
told, tell = os.pipe()
if os.fork():
    os.read(told, 1)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print(os.getpid(), file=sys.stderr, flush=True)
os.write(tell, b".")
"""


def daemon_has_ended(log):
    """Say whether the process that a server in the background said it is has ended, or ends soon."""
    pid = int(log.read_text().split()[0])
    return not psutil.pid_exists(pid) or is_gone(psutil.Process(pid))


@pytest.mark.parametrize(("code", "ready"), [(FOREVER, "line"), (LISTEN + FOREVER, "port"), (READY + FOREVER, "line")])
def test_a_server_in_the_background_is_told_so_and_ended(log, code, ready):
    code = "import sys, time\n" + DAEMON + code
    server = python(code, "{port}", ready=ready)
    with pytest.raises(ServerError) as caught, launch(server, log=log, stop_timeout_s=0.1):
        pytest.fail("what was started has ended")
    assert "mine ended with status 0 before it was ready; processes of it are still running" in str(caught.value)
    assert "must be told to stay in front; its log" in str(caught.value)
    assert daemon_has_ended(log)


def test_a_server_that_goes_into_the_background_later_is_ended(log):
    code = READY + "line = 1\n" + DAEMON + FOREVER
    with launch(python(code, "0"), log=log, stop_timeout_s=0.1) as running:
        assert running.child.ended_within(10)
        with pytest.raises(ServerDiedError, match="status 0 in mid-trial; processes of it are still running"):
            check_alive(running)
    assert daemon_has_ended(log)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('no such loop')", ["mine ended with status 1 before it was ready", "| no such loop"]),
        ("pass", ["mine ended with status 0 before it was ready (its standard input is empty"]),
        ("import os; os.abort()", ["mine was ended by SIGABRT before it was ready", "its log is empty"]),
        ("import time; time.sleep(600)", ["did not print READY HOST PORT within 0.3 s"]),
        ("import os, time; os.close(1); time.sleep(600)", ["did not print READY HOST PORT within 0.3 s"]),
        ("print('READY or not', flush=True); import time; time.sleep(600)", ["printed 'READY or not', not READY HOST"]),
        ("print('READY 127.0.0.1 0', flush=True); import time; time.sleep(600)", ["printed 'READY 127.0.0.1 0', not"]),
        ("print('READY unix:@x 0', flush=True); import time; time.sleep(600)", ["with an address that can be used"]),
        ("print('READY a..b 7', flush=True); import time; time.sleep(600)", ["with an address that can be used"]),
    ],
)
def test_a_server_that_does_not_get_ready_says_why(log, code, words):
    with pytest.raises(ServerError) as caught, launch(python(code, ready_timeout_s=0.3), log=log):
        pytest.fail("it is not ready")
    for word in words:
        assert word in str(caught.value)


def test_a_command_that_cannot_be_started_is_named(log):
    with (
        pytest.raises(ServerError, match="cannot start /no/such/thing: No such file"),
        launch(Server(name="mine", command=("/no/such/thing",)), log=log),
    ):
        pytest.fail("it does not exist")


def test_a_server_that_ignores_its_stop_signal_is_killed(log):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + FOREVER
    with launch(python(code, "0"), log=log, stop_timeout_s=0.2) as running:
        pass
    assert running.was_killed
    assert not psutil.pid_exists(running.pid)


def test_the_stop_signal_can_be_chosen(log):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + FOREVER
    with launch(python(code, "0", stop_signal="SIGQUIT"), log=log) as running:
        pass
    assert not running.was_killed
    assert running.child.returncode == -signal.SIGQUIT


def is_gone(process):
    """Say whether a process that was killed is no more; the kernel may need a moment to end it."""
    deadline = time.monotonic() + 5
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)  # no event tells of the end of a process that is not our child
    return True


GRANDCHILD = """
import subprocess, sys
p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session={apart})
print(p.pid, file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("apart", [False, True])
def test_children_of_a_server_end_with_it_even_in_other_sessions(log, apart):
    code = GRANDCHILD.format(apart=apart) + READY + FOREVER
    with launch(python(code, "0"), log=log, stop_timeout_s=0.3) as running:
        grandchild = psutil.Process(int(log.read_text()))
    assert not psutil.pid_exists(running.pid)
    assert is_gone(grandchild)
    assert running.was_killed == apart  # out of the group it does not hear the stop signal


def test_an_exception_in_the_block_still_ends_the_server(log):
    with pytest.raises(KeyboardInterrupt), launch(python(READY + FOREVER, "0"), log=log) as running:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(running.pid)


def test_a_server_that_dies_in_the_middle_is_seen(log):
    with launch(python(READY + FOREVER, "0"), log=log) as running:
        os.kill(running.pid, signal.SIGKILL)
        assert running.child.ended_within(5)
        assert running.has_died


def test_a_target_is_not_started_and_not_stopped(log):
    with Child([sys.executable, "-c", "import time; " + FOREVER], log=log) as theirs:
        with launch(ServerTable(name="theirs", target="[::1]:5433", pid=theirs.pid).server(), log=log) as running:
            assert (running.address, running.pid, running.child) == ("[::1]:5433", theirs.pid, None)
        assert theirs.returncode is None


@pytest.mark.skipif(sys.platform != "linux", reason="processes can be bound to CPUs on Linux only")
def test_a_child_is_bound_and_its_parent_is_not(log):
    before = os.sched_getaffinity(0)
    with launch(python(READY + FOREVER, "0"), log=log, cpus={min(before)}) as running:
        assert os.sched_getaffinity(running.pid) == {min(before)}
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(sys.platform != "linux", reason="processes can be bound to CPUs on Linux only")
def test_a_server_that_binds_itself_is_told_its_cpus_and_not_bound(log):
    allowed = os.sched_getaffinity(0)
    server = python("import sys; print(*sys.argv[2:], file=sys.stderr); " + READY + FOREVER, "0", binds_itself=True)
    with launch(server, log=log, cpus={max(allowed), min(allowed)}) as running:
        assert os.sched_getaffinity(running.pid) == allowed
        assert log.read_text() == f"--cpus {','.join(map(str, sorted({max(allowed), min(allowed)})))}\n"


def test_the_layout_varies_with_the_seed_and_only_with_it():
    sizes = {len(layout(seed)[PADDING_NAME]) for seed in range(50)}
    assert layout(1) == layout(1)
    assert len(sizes) > 40
    assert max(sizes) <= 4095
    assert len({layout(seed)["PYTHONHASHSEED"] for seed in range(50)}) == 50


def test_the_layout_and_the_environment_reach_the_server(log):
    code = f"import os, sys; print(len(os.environ['{PADDING_NAME}']), os.environ['MINE'], file=sys.stderr); " + READY
    with launch(python(code + FOREVER, "0", env={"MINE": "yes"}), log=log, seed=7):
        assert log.read_text().split() == [str(len(layout(7)[PADDING_NAME])), "yes"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:7", "127.0.0.1", 7), ("[::1]:65535", "::1", 65535), ("unix:/run/echo", "unix:/run/echo", 0)],
)
def test_addresses(text, host, port):
    assert split_address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "7", ":7", "host", "host:", "host:0", "host:65536", "::1:7", "[::1]", "host:x"])
def test_what_is_not_an_address_says_how_to_write_one(text):
    with pytest.raises(UsageError, match="write HOST:PORT"):
        split_address(text)


def test_a_host_that_is_not_here_is_said():
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1"):
        free_port("192.0.2.1")


def test_child_reads_lines_until_end_of_file_or_the_deadline(log):
    code = "import sys; print('one\\ntw', end='', flush=True); input(); print('o', flush=True)"
    with Child([sys.executable, "-c", code], log=log, stdin=True) as talker:
        assert talker.read_line(time.monotonic() + 10) == "one"
        assert talker.read_line(time.monotonic() + 0.05) is None
        talker.write_line("go on")
        assert talker.read_line(time.monotonic() + 10) == "two"
        assert talker.read_line(time.monotonic() + 10) is None
        assert talker.ended_within(10)
        with pytest.raises(ChildError, match="closed its stdin"):
            talker.write_line("anybody there?")


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_while_a_child_is_being_started_does_not_lose_it(log, monkeypatch, number):
    pids = []
    popen = subprocess.Popen

    def interrupted(*args, **kwargs):
        process = popen(*args, **kwargs)
        pids.append(process.pid)
        os.kill(os.getpid(), number)  # it comes before the caller knows of the process
        return process

    monkeypatch.setattr(child.subprocess, "Popen", interrupted)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Child([sys.executable, "-c", "import time; " + FOREVER], log=log)
    finally:
        signal.signal(number, before)
    assert len(pids) == 1
    assert not psutil.pid_exists(pids[0])


def test_children_end_with_the_process_that_started_them(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bench.experiment.trial.child import Child\n"
        "print(Child(['sleep', '600'], log=Path(sys.argv[1])).pid)"
    )
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    arguments = [sys.executable, "-c", code, str(tmp_path / "log")]
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, check=True, timeout=30)
    assert not psutil.pid_exists(int(done.stdout))
