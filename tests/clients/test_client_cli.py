"""`python -m clients` as programs and people use it: wrong use, raw samples, what people read."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import forked
from helpers.answering import answering
from helpers.checkout import CHECKOUT
from helpers.generator import clients, known_bad, load, start_clients

from clients.cli import main

pytestmark = pytest.mark.traced

# ---- wrong use


@pytest.fixture(scope="module")
def untouched():
    """The address of a listener that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(BlockingIOError):
            listener.accept()


WRONG = [
    # rates that cannot be
    (["--rate", "0"], "--rate is 0.0, and must be a number above 0"),
    (["--rate", "-5"], "--rate is -5.0, and must be a number above 0"),
    (["--rate=-5..10"], "--rate is '-5..10', and must be 0 or more in every part"),
    (["--rate", "nan"], "--rate is 'nan', and must be a number above 0"),
    (["--rate", "inf"], "--rate is 'inf', and must be a number above 0"),
    (["--rate", "fast"], "--rate is 'fast', and must be a number above 0"),
    (["--rate", "0..0"], "--rate is 0.0, and must be a number above 0"),
    (["--rate", "100,-1"], "--rate is '100,-1', and must be 0 or more in every part"),
    (["--rate", "1e9"], "more than 1 process(es) can keep a schedule of (1,000,000/s each)"),
    (["--arrivals", "poisson"], '--arrivals is \'poisson\', and must be "constant" or "poisson" with a rate'),
    (["--rate", "5", "--arrivals", "bursts"], "--arrivals is 'bursts', and must be"),
    (["--think", "1s", "--rate", "5"], "--think is 1.0, and must be 0 with a rate: it is the pause of a closed loop"),
    (["--rate", "1,0"], "--rate is '1,0', and must be above 0 in its last step (a decimal has a point, as in 1.0)"),
    # sizes that cannot be
    (["-s", "0"], "--message-bytes is '0', and must be a size of 1 byte or more, such as 64 or 1KiB"),
    (["-s", "-1"], "--message-bytes is '-1', and must be a size"),
    (["-s", "1.5"], "--message-bytes is '1.5', and must be a size"),
    (["-s", "9..3"], "--message-bytes is '9..3', and must be a size"),
    (["-s", "64:0"], "--message-bytes is '64:0', and must be a size"),
    (["-s", "4096MiB"], "--message-bytes is 4294967296, and must be a whole number from 1 to 1073741824"),
    (["-s", "1024MiB", "-c", "1000"], "GiB of memory"),
    # numbers of connections that cannot be
    (["-c", "0"], "--connections is 0, and must be a whole number, 1 or more"),
    (["-c", "-1"], "--connections is '-1', and must be a whole number, 1 or more; a ramp 1..64 or steps 1,8,64"),
    (["-c", "1.5"], "--connections is '1.5', and must be a whole number"),
    (["-c", "64..1"], "--connections is '64..1', and must be a number that only grows, as in 1..64 or 1,8,64"),
    (["-c", "1,64,8"], "--connections is '1,64,8', and must be a number that only grows"),
    (["-c", "0..5"], "--connections is '0..5', and must be 1 or more from the start, as in 1..64"),
    (["-c", "0,5"], "--connections is '0,5', and must be 1 or more from the start"),
    (["-c", "200000", "--workers", "4000"], "need as many local ports"),
    # the rest of a workload
    (["--pipeline", "0"], "--pipeline is 0, and must be a whole number from 1 to 10000"),
    (["--pipeline", "many"], "--pipeline is 'many', and must be a whole number from 1 to 10000"),
    (["--pipeline", "1000000"], "--pipeline is 1000000, and must be a whole number from 1 to 10000"),
    (["--pipeline", "10000", "-c", "1000", "-s", "64KiB"], "--pipeline is too large: messages of 65,536 B on 1000"),
    (["--requests-per-connection", "0"], "--requests-per-connection is 0, and must be a whole number from 1 to"),
    (["-d", "0s"], "--duration is 0.0, and must be a number of seconds above 0"),
    (["-d", "soon"], "--duration is 'soon', and must be a number of seconds, or text such as 500ms or 2min"),
    (["--timeout", "0s"], "--timeout is 0.0, and must be"),
    (["--seed", "-1"], "--seed is '-1', and must be a whole number, 0 or more"),
    (["--workers", "0"], "--workers is 0, and must be 1 or more"),
    (["--workers", "1000", "-c", "1000"], "or less: each keeps a CPU busy, and there are"),
    # a workload as JSON
    (["--workload", "{"], "the workload is not JSON"),
    (["--workload", '{"connections": 0}'], "connections is 0, and must be a whole number, 1 or more"),
    (["--workload", "{}", "-c", "4"], "--workload says all of a workload: leave the other options of it out"),
    (["--workload", "@/nonexistent.json"], "the workload file '/nonexistent.json' cannot be read"),
    (["--workers", "3", "-c", "2"], "--workers is 3, and 3 workers cannot share 2 connections"),
    # files
    (["--hlog", "/nonexistent/folder/x.hlog"], "file '/nonexistent/folder/x.hlog' cannot be written: No such file"),
    (["--samples", "/"], "file '/' cannot be written: Is a directory"),
    (["--tag", "night"], "--tag names the lines of a log: give --hlog too"),
    (["--hlog", "/dev/null", "--tag", "a,b"], "tag 'a,b' must have no comma and no space"),
    (["--reference", "--workers", "2"], "in one process without --samples: leave the other options out"),
    (["--live", "--workers", "2"], "--live tells of one process: leave out --workers"),
    # a limit of the user's own
    (["--fail-if", "p98 > 5ms"], "unknown metric 'p98': did you mean 'p99'?"),
    # TLS
    (["--insecure"], "--cafile and --insecure are about TLS: give --tls too"),
    (["--cafile", "x.pem"], "give --tls too"),
    (["--tls", "--insecure", "--cafile", "x.pem"], "--insecure trusts any certificate: leave --cafile out"),
    (["--tls", "--cafile", "/nonexistent.pem"], "certificate file '/nonexistent.pem' cannot be read"),
    # what argparse refuses
    (["--workers", "many"], "argument --workers: invalid int value: 'many'"),
    (["--no-such-option"], "unrecognized arguments: --no-such-option"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda value: " ".join(value) if value else None)
def test_wrong_use_is_one_sentence_and_exit_2_before_any_load(untouched, monkeypatch, capsys, arguments, says):
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)  # it is ours, and other tests'
    try:
        status = main([untouched, *arguments])
    except SystemExit as exit_:
        status = exit_.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()[-1]) > 20
    assert "Traceback" not in err


IN_A_PROCESS = {
    "rate 0": ["{target}", "--rate", "0"],
    "more connections than descriptors": ["{target}", "-c", "100"],
    "a host that does not resolve": ["no-such-host.invalid:5433"],
    "an IPv6 address without brackets": ["::1:5433"],
}


@pytest.fixture(scope="module")
def ended(untouched):
    """What each of IN_A_PROCESS printed; the processes run side by side."""

    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    started = {}
    for name, arguments in IN_A_PROCESS.items():
        limited = {"preexec_fn": few_descriptors} if "descriptors" in name else {}
        started[name] = start_clients(*(argument.format(target=untouched) for argument in arguments), **limited)
    outcomes = {}
    for name, process in started.items():
        with process:
            outcomes[name] = (*process.communicate(timeout=60), process.returncode)
    return outcomes


@pytest.mark.parametrize("name", IN_A_PROCESS)
def test_bad_input_in_a_process_of_its_own(ended, name):
    out, err, status = ended[name]
    assert (status, out) == (2, "")
    assert err.startswith("clients: ")
    assert err.count("\n") == 1


# ---- raw samples


@pytest.mark.parametrize(
    ("load", "arguments"), [(load, ()), (forked.load, ("--rate", 2_000)), (load, ("--workers", 2))]
)
def test_samples_have_a_row_for_each_reply(echo_server, tmp_path, load, arguments):
    path = tmp_path / "samples.parquet"
    run = load(echo_server.address, "-c", 4, *arguments, "--warmup", "0.1s", "-d", "0.25s", "--samples", path)
    table = pq.read_table(path)
    assert table.num_rows == run["replies"] > 0
    due_ns, sent_ns, done_ns = (table[name].to_numpy() for name in ("due_ns", "sent_ns", "done_ns"))
    assert np.all(due_ns <= sent_ns)
    assert np.all(sent_ns < done_ns)
    assert np.all(np.diff(done_ns) >= 0)
    assert np.all((done_ns >= run["window_start_ns"]) & (done_ns <= run["window_end_ns"]))
    assert (done_ns - due_ns).mean() == pytest.approx(run["response_mean_ns"])
    assert (done_ns - sent_ns).mean() == pytest.approx(run["service_mean_ns"])
    p99_ns = np.quantile(done_ns - due_ns, 0.99, method="inverted_cdf")
    assert p99_ns <= run["response_p99_ns"] <= p99_ns * 1.001


def test_a_package_that_is_missing_is_named(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    run = clients("127.0.0.1:5433", beside=tmp_path)
    assert (run.status, run.out) == (2, "")
    assert run.err == "clients: the package numpy is not installed: python3 -m pip install -e .\n"


def test_without_the_encoder_only_the_log_of_a_load_is_refused(echo_server, tmp_path):
    """As on a Python or a machine that it has no wheels for."""
    (tmp_path / "hdrh").mkdir()
    (tmp_path / "hdrh/__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'hdrh'\", name='hdrh')")
    load = (echo_server.address, "-c", 2, "--warmup", "0s", "-d", "0.1s", "--json")
    made = clients(*load, beside=tmp_path)
    assert (made.status, made.err) == (0, "")
    assert made["replies"] > 0
    refused = clients(*load, "--hlog", tmp_path / "log", beside=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert "--hlog writes HDR histograms, and needs hdrhistogram: python -m pip install hdrhistogram" in refused.err


def test_where_nothing_listens_it_says_so():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    run = clients(f"127.0.0.1:{port}", "-d", "20s", "--warmup", "20s", timeout_s=15)
    assert (run.status, run.out) == (4, "")
    assert run.err == f"clients: nothing accepts connections at 127.0.0.1:{port}: start the server first\n"


ONLY_ECHO = "only a server that echoes what it gets can be measured"


@pytest.mark.parametrize(("clients", "workers"), [(forked.clients, 1), (clients, 2)], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", f"answered with other bytes than it was sent: {ONLY_ECHO}"),
        (b"", f"accepted connections and hung up without a reply: wait until it serves; {ONLY_ECHO}"),
    ],
)
def test_what_is_no_echo_server_ends_the_load_with_a_sentence(answer, says, clients, workers):
    def answers(connection):
        connection.recv(65_536)
        connection.sendall(answer)

    with answering(answers) as address:
        run = clients(address, "-c", 4, "-d", "20s", "--warmup", "20s", "--workers", workers, timeout_s=15)
    assert (run.status, run.out, run.err) == (4, "", f"clients: {address} {says}\n")


def test_what_sends_no_reply_is_told_of_at_its_timeout():
    with answering(lambda connection: connection.recv(65_536) and connection.recv(65_536)) as address:
        run = clients(address, "-c", 4, "-d", "20s", "--warmup", "20s", "--timeout", "0.2s", timeout_s=15)
    says = f"accepted connections and sent no reply in time (--timeout, --duration): {ONLY_ECHO}"
    assert (run.status, run.out, run.err) == (4, "", f"clients: {address} {says}\n")


def test_a_server_that_closes_after_each_reply_is_told_the_option():
    def answers_once(connection):
        connection.sendall(connection.recv(65_536))

    with answering(answers_once) as address:
        told = clients(address, "-c", 2, "-d", "0.4s", "--warmup", "0s")
        followed = forked.clients(address, "-c", 2, "-d", "0.4s", "--warmup", "0s", "--requests-per-connection", 1)
    remark = "the server closes each connection after a reply: give --requests-per-connection 1"
    assert remark in told.out
    assert remark not in followed.out
    assert "failed" not in followed.out


def test_a_load_that_was_not_made_is_not_fine():
    with known_bad("fixed_delay") as served:
        run = forked.load(served.address, "-c", 1, "--rate", 2_000, "-d", "0.2s")
    assert run["replies"] > 0
    assert run["errors"]["unsent"] > 0
    assert run.status == 4


def test_a_rate_that_is_not_kept_comes_with_what_to_do():
    with known_bad("fixed_delay") as served:
        run = clients(served.address, "-c", 1, "--rate", 2_000, "-d", "0.2s", "--warmup", "0s")
    assert "the rate was not kept: lower it" in run.out
    assert "of the load was not made, so this is not what was asked for: exit status 4" in run.out
    assert run.status == 4


def test_report_for_people_names_units_and_warns_of_closed_loops(echo_server):
    run = forked.clients(echo_server.address, "-c", 2, "-d", "0.2s", "--warmup", "0s")
    assert (run.status, run.err) == (0, "")
    assert "closed loop: a slow server is asked less often" in run.out
    assert " us" in run.out or " ms" in run.out


def test_a_workload_may_be_given_as_the_json_of_a_result(echo_server, tmp_path):
    """By a file, and by the text itself; the seed and the profile come along."""
    first = forked.load(echo_server.address, "-c", 2, "--rate", "100..300", "--warmup", "0s", "-d", "0.2s", "--seed", 5)
    asked = first["workload"]
    assert (asked["rate_profile"], asked["seed"]) == ([[1.0, 100.0, 300.0]], 5)
    file = tmp_path / "workload.json"
    file.write_text(json.dumps(asked))
    for given in (f"@{file}", json.dumps(asked)):
        again = forked.clients(echo_server.address, "--json", "--workload", given)
        assert json.loads(again.out)["workload"] == asked


def test_workers_are_told_the_workload_that_was_asked_for(echo_server):
    given = ("-c", "1,3", "-s", "8..64", "--pipeline", 2, "--requests-per-connection", 7, "--timeout", "1500ms")
    run = load(echo_server.address, *given, "--workers", 2, "--warmup", "0s", "-d", "0.3s")
    assert run.status == 0
    assert run["workload"]["message_sizes"] == "8..64"
    assert run["connections_established"] == 3


def test_the_module_runs_from_a_checkout_and_its_help_has_examples():
    command = [sys.executable, "-m", "clients", "--help"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "python -m clients 127.0.0.1:5433" in done.stdout
    assert done.stderr == ""


def test_a_load_that_keeps_no_samples_makes_no_temporary_folder(tmp_path, monkeypatch):
    """One that is made stays if the generator is killed, as the bench kills it when it is killed itself."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nosuch"))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the command is not the last one of this process
    with answering(answer) as address:
        assert main([address, "-c", "1", "-d", "20ms", "--warmup", "0s", "--json"]) == 0


def test_a_result_that_a_full_disk_does_not_take_is_a_sentence():
    command = ["/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "clients"]
    with answering(answer) as address:
        load_of_it = [*command, address, "-c", "1", "-d", "20ms", "--warmup", "0s"]
        ended = subprocess.run(load_of_it, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (4, "clients: the result cannot be written: No space left on device\n")


def answer(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
