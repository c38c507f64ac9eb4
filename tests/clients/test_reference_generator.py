"""The reference generator through `python -m clients --reference`: the same form, the same numbers, its limits said."""

from __future__ import annotations

import json
import shutil
import signal

import pytest
from hdrh.histogram import HdrHistogram
from helpers import forked
from helpers.answering import answering
from helpers.generator import clients, known_bad, load, start_clients

from clients import reference

pytestmark = [
    pytest.mark.traced,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH"),
]


@pytest.mark.parametrize("load_model", [(), ("--rate", 5_000)])  # enough for a p99 also on a busy machine
def test_the_reference_result_has_the_form_of_ours(echo_server, load_model):
    run = forked.load(echo_server.address, "-c", 8, "-d", "200ms", "--reference", *load_model)
    ours = forked.load(echo_server.address, "-c", 8, "-d", "200ms", *load_model)
    assert set(run.result) == set(ours.result)
    measured = [{name for name, value in given.items() if value is not None} for given in (run.result, ours.result)]
    assert measured[0] ^ measured[1] <= {f"connect_{name}_ns" for name in ("mean", "p50", "p90", "max")}


def test_the_reference_closed_loop_fills_the_window(echo_server):
    run = forked.load(echo_server.address, "-c", 8, "-d", "700ms", "--reference")
    assert run.status == 0
    assert run["errors"] == {}
    assert (run["connections_requested"], run["connections_established"], run["in_flight"]) == (8, 8, 8)
    assert run["window_s"] == pytest.approx(0.7, abs=0.2)
    assert 0 < run["client_cpu_s"] <= run["window_s"] + 0.05
    assert len(run["timeline"]) >= 5
    assert sum(piece["slice_s"] for piece in run["timeline"]) == pytest.approx(run["window_s"])


def test_littles_law_holds_for_its_durations(echo_server):
    """In a closed loop connections = throughput x mean response time (Little, Operations Research 9, 1961)."""
    run = forked.load(echo_server.address, "-c", 16, "-d", "500ms", "--reference")
    cut_off = run["response_max_ns"] / (1e9 * run["window_s"])  # by an edge of the window, at most
    assert run["replies_per_s"] * run["response_mean_ns"] / 1e9 == pytest.approx(16, rel=0.05 + cut_off)
    assert run["response_p50_ns"] <= run["response_p90_ns"] <= run["response_p99_ns"] <= run["response_max_ns"]


@pytest.mark.timing
def test_the_reference_open_loop_offers_its_rate_on_time(echo_server):
    run = forked.load(echo_server.address, "-c", 8, "-d", "700ms", "--reference", "--rate", 5_000)
    assert run["offered_per_s"] == pytest.approx(5_000, rel=0.01)
    assert run["replies"] + run["in_flight"] == pytest.approx(3_500, rel=0.05)
    assert run["service_p50_ns"] <= run["response_p50_ns"]
    assert run["lateness_p50_ns"] < 1_000_000
    assert 0 < run["client_spin_s"] < run["client_cpu_s"]


def test_the_reference_open_loop_counts_waiting_for_a_connection():
    """One connection to a server of 5 ms serves 200/s; of 400/s offered, half wait, ever longer."""
    with known_bad("fixed_delay") as served:
        run = load(served.address, "-c", 1, "-d", "600ms", "--reference", "--rate", 400)
    assert run["replies_per_s"] < 200
    assert run["offered_per_s"] == pytest.approx(400, rel=0.05)
    assert run["service_p50_ns"] >= 5_000_000
    assert run["response_max_ns"] > 150_000_000
    assert run["response_mean_ns"] == pytest.approx(run["service_mean_ns"] + run["lateness_mean_ns"])


@pytest.mark.timing
def test_the_reference_open_loop_begins_its_window_on_time(echo_server):
    run = forked.load(echo_server.address, "-c", 1, "-d", "290ms", "--warmup", "50ms", "--reference", "--rate", 10)
    assert run["window_s"] == pytest.approx(0.29, abs=0.03)


@pytest.mark.parametrize("size", [64, 5])
def test_what_a_server_says_unasked_in_an_open_loop_is_no_echo(size):
    def greets(connection):
        connection.sendall(b"hello")
        while data := connection.recv(65_536):
            connection.sendall(data)

    with answering(greets) as address:
        run = clients(address, "--json", "-c", 4, "-s", size, "-d", "0.3s", "--reference", "--rate", 40)
    assert run.status == 4
    assert "without a request" in run.err


@pytest.mark.timing
def test_a_delay_of_5_ms_is_measured_as_5_ms():
    with known_bad("fixed_delay") as served:
        run = forked.load(served.address, "-c", 2, "-d", "300ms", "--reference")
    assert 5_000_000 <= run["response_p50_ns"] <= 6_500_000


def test_the_reference_log_gives_its_percentiles(echo_server, tmp_path):
    log = tmp_path / "reference.hlog"
    run = load(echo_server.address, "-d", "300ms", "--reference", "--hlog", log)
    (line,) = [line for line in log.read_text().splitlines() if line.startswith("Tag=load.response,")]
    histogram = HdrHistogram.decode(line.rsplit(",", 1)[1])
    assert histogram.get_total_count() == run["replies"]
    assert histogram.get_value_at_percentile(50) == pytest.approx(run["response_p50_ns"], rel=0.001)


def test_a_wrong_echo_is_counted_and_is_no_reply():
    with known_bad("wrong_byte") as served:
        run = forked.clients(served.address, "--json", "-c", 2, "--warmup", "0s", "-d", "300ms", "--reference")
    assert run.status == 4
    assert run.result["errors"]["mismatch"] == run.result["failed"] > 0
    assert run.result["sent"] == run.result["replies"] + run.result["failed"] + run.result["in_flight"]


def test_a_server_that_goes_away_is_an_error_in_words():
    with known_bad("early_close") as served:
        run = clients(served.address, "--json", "-c", 2, "--warmup", "0s", "-d", "300ms", "--reference")
    assert run.status == 4
    assert "the reference generator gave no result" in run.err
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "100..200"),
        ("--rate", 100, "--arrivals", "poisson"),
        ("--pipeline", 2),
        ("--think", "1ms"),
        ("-s", "64:1,128:1"),
        ("-c", "1..8"),
        ("--requests-per-connection", 5),
        ("--workers", 2),
    ],
)
def test_the_reference_generator_refuses_loads_that_it_does_not_know(echo_server, options):
    run = forked.clients(echo_server.address, "--reference", *options)
    assert (run.status, run.out) == (2, "")
    assert reference.LIMITS in run.err


def test_without_a_compiler_it_says_what_to_install(echo_server, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = clients(echo_server.address, "--reference")
    assert run.status == 2
    assert "there is no C compiler" in run.err


def test_without_a_home_it_says_where_to_keep_what_it_compiles(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.raises(reference.CompilerError, match="set XDG_CACHE_HOME"):
        reference.binary()


def test_an_interrupt_ends_the_window(echo_server):
    with start_clients(echo_server.address, "-d", "20s", "--reference", "--coordinated") as process:
        assert process.stdout.readline() == "CONNECTED 64 64\n"
        process.stdin.write("GO 1\n")
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert err == ""
    assert json.loads(out)["interrupted"] is True


def test_an_interrupt_while_waiting_for_the_word_to_go(echo_server):
    with start_clients(echo_server.address, "-c", 2, "--reference", "--coordinated") as process:
        assert process.stdout.readline() == "CONNECTED 2 2\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (4, "")
    assert (json.loads(out)["sent"], json.loads(out)["interrupted"]) == (0, True)
