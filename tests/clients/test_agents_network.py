"""Agents in network namespaces of their own, joined by veth: as near to several machines as one machine comes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
from helpers.checkout import CHECKOUT
from helpers.elsewhere import ENV, PYTHON, Network

from clients.histogram import Counted, Histogram

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


def ended(command):
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=60, check=False)


@pytest.fixture(scope="module")
def network():
    with ExitStack() as stack:
        yield Network(stack)


def test_merged_histograms_equal_the_pooled_ones_over_a_network(network):
    script = str(CHECKOUT / "tests" / "helpers" / "pooled_load.py")
    done = ended(network.hub.inside(sys.executable, "-P", script, network.server, network.cluster))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    shares, result = found["shares"], found["result"]
    assert found["is_networked"]
    assert len(shares) == len(found["agents"]) == 3
    for kind, counts in found["counts"].items():
        pooled = np.sum([share["counts"][kind] for share in shares], axis=0)
        assert counts == pooled.tolist(), kind
    assert sum(found["counts"]["response"]) == result["replies"] == sum(share["replies"] for share in shares)
    assert result["sent"] == sum(share["sent"] for share in shares)
    assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
    assert result["replies"] == pytest.approx(3_000 * 1.5, rel=0.15)  # Poisson, 4,500 expected
    assert sum(one["replies"] for one in result["timeline"]) == result["replies"]
    pooled = Histogram()
    counts = np.array(found["counts"]["response"])
    pooled.add_counted(Counted(counts, 0, 0, result["response_max_ns"]))
    assert result["response_p99_ns"] == pooled.percentile_ns(0.99)
    assert all(abs(one["agent_offset_ns"]) <= one["agent_clock_error_ns"] for one in found["agents"])


def test_a_cluster_elsewhere_needs_tls_or_a_word(network):
    refused = ended(network.hub.inside(*PYTHON, "clients", network.server, "--agents", network.cluster))
    assert refused.returncode == 2
    assert "give --insecure-cluster on a network that you trust" in refused.stderr


def test_a_target_that_only_the_hub_reaches_is_refused(network):
    refused = ended(network.command("127.0.0.1:5433", "-c", 6))
    assert refused.returncode == 2
    assert "is on another machine, where 127.0.0.1:5433 is not this one" in refused.stderr


def test_an_agent_with_too_few_ports_is_named(network):
    setting = "/proc/sys/net/ipv4/ip_local_port_range"
    machine = network.agents[1]
    before = subprocess.check_output(machine.inside("cat", setting), text=True).strip()
    machine.run("sh", "-c", f"echo 40000 40049 > {setting}")
    try:
        refused = ended(network.command(network.server, "-c", 180, "-d", "0.2s"))
    finally:
        machine.run("sh", "-c", f"echo '{before}' > {setting}")
    assert refused.returncode == 2
    assert f"@{machine.address} cannot carry its share: 60 connections to one address need as many" in refused.stderr


def loads(network):
    """Return the loads that run on the agents."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            if "--share" in (command := process.cmdline()) and network.server in command:
                found.append(process)
    return found


def test_an_agent_whose_network_is_gone_in_the_window_is_lost(network):
    command = network.command(network.server, "-c", 6, "-d", "40s", "--warmup", "0s", "--coordinated")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    machine = network.agents[2]
    with subprocess.Popen(command, text=True, env=ENV, **pipes) as process:
        try:
            assert process.stdout.readline() == "CONNECTED 6 6\n"
            process.stdin.write(f"GO {time.monotonic_ns() + 400_000_000}\n")
            process.stdin.flush()
            left = loads(network)
            machine.run("ip", "link", "set", "eth0", "down")
            began_s = time.monotonic()
            _, said = process.communicate(timeout=40)
            took_s = time.monotonic() - began_s
        finally:
            process.kill()
            machine.run("ip", "link", "set", "eth0", "up")
    assert f"agent-lost: agent 2@{machine.address}" in said
    assert process.returncode == 4
    assert took_s < 12  # 4 s of keep-alive, 3 s for us, and Dask's own end
    assert psutil.wait_procs(left, timeout=10)[1] == []
    assert len(left) == 3
