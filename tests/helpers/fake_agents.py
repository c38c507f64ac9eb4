"""Speaks the protocol of `clients.agents` without Dask: `python fake_agents.py STARTS FILE CLUSTER`.

STARTS is JSON: for each start a number of agents, or the word that it ends with, and a word for each load. FILE counts
the starts. A load that ends in RESULT is made by one process of the load generator here, which reports as all of the
agents.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


def say(word: str, what: object) -> None:
    """Print a line of the protocol."""
    print(word, json.dumps(what), flush=True)


def carry(asked: dict, agents: list[str]) -> None:
    """Make a load here, and report it as shared equally, the first agent taking what is left over."""
    words = [asked["address"], "--workload", json.dumps(asked["workload"]), "--coordinated", "--json"]
    words += ["--hlog", asked["hlog"], "--tag", asked["tag"]]
    command = [sys.executable, "-P", "-m", "clients", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        print(load.stdout.readline().strip(), 5_000_000, flush=True)
        load.stdin.write(sys.stdin.readline())
        load.stdin.flush()
        result = json.loads(load.stdout.readline())
    rows = []
    for number, name in enumerate(agents):
        part = {key: result[key] // len(agents) + (result[key] % len(agents)) * (not number) for key in COUNTED}
        rows.append({"agent": name, **part, **{key: result[key] for key in TIMES}, **CLOCK})
    doubts = {"agents-differ": f"agent {agents[-1]} made 0.40 times as many requests"}
    say("RESULT", {**result, "agents": rows, "agent_doubts": doubts})


REFUSALS = {
    "REFUSED": "the cluster has no workers: start `dask worker` on each machine",
    "LOST": "agent 1@127.0.0.1 lost its Dask worker",
}
SIGNALS = {"STOPPED": signal.SIGSTOP, "KILLED": signal.SIGKILL}
COUNTED = ("sent", "replies")
TIMES = ("replies_per_s", "response_p50_ns", "response_p99_ns", "lateness_p99_ns", "client_cpu_s")
CLOCK = {"connections": 1, "agent_offset_ns": -7, "agent_clock_error_ns": 900}


def main(starts: str, file: str, _cluster: str) -> None:
    """Do what is told of this start; without a word for a load, end."""
    path = Path(file)
    number = len(path.read_text()) if path.exists() else 0
    path.write_text("x" * (number + 1))
    how_many, *loads = json.loads(starts)[number]
    if how_many == "DEAF":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("DEAF", flush=True)
        signal.pause()
    if how_many in REFUSALS:
        say(how_many, {"said": REFUSALS[how_many]})
        return
    agents = [f"{place}@127.0.0.1" for place in range(how_many)]
    print("a word of the cluster", file=sys.stderr, flush=True)
    say("AGENTS", {"agents": agents, "is_networked": False})
    for word in loads:
        asked = json.loads(sys.stdin.readline() or "null")
        if asked is None:
            return
        if word == "RESULT":
            carry(asked, agents)
        elif word == "GONE":
            return
        elif word in SIGNALS:
            os.kill(os.getpid(), SIGNALS[word])
        else:
            say(word, {"said": f"agent {agents[1]} hung up", "agent": agents[1]})
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
