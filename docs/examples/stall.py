"""Who sees a pause: a server is stopped for 300 ms under a closed and under an open loop. Run it by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.stats import mean_interval  # noqa: E402 - after the path is set

LOADS = {"closed": (), "open": ("--rate", "1000")}
WAKES = 100  # a server that nobody talks to is not woken as often
PAUSE_S = 0.3
REPEATS = 5


def p99_ms(*options: str) -> float:
    """Load a fresh server for 1.5 s, stop it in the middle, and return the p99 of the response time in ms."""
    servers = [sys.executable, "-m", "servers", "coroutines"]
    with subprocess.Popen(servers, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        _, host, port = server.stdout.readline().split()
        clients = [sys.executable, "-m", "clients", f"{host}:{port}", "-c", "8", "-d", "1.5s", "--warmup", "0.2s"]
        with subprocess.Popen([*clients, *options, "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as load:
            while load.poll() is None and psutil.Process(server.pid).num_ctx_switches().voluntary < WAKES:
                time.sleep(0.01)  # until the load has begun
            time.sleep(0.6)
            server.send_signal(signal.SIGSTOP)
            time.sleep(PAUSE_S)
            server.send_signal(signal.SIGCONT)
            printed, _ = load.communicate(timeout=30)
        server.terminate()
    return float(json.loads(printed)["response_p99_ns"]) / 1e6


def main() -> None:
    """Print what each load says of the same pause."""
    print(f"{'loop':8} {'p99, ms':>8} {'[95 % interval]':>20}")
    for name, options in LOADS.items():
        found = mean_interval([p99_ms(*options) for _ in range(REPEATS)])
        print(f"{name:8} {found.value:8.1f} {f'[{found.low:.1f}, {found.high:.1f}]':>20}")


if __name__ == "__main__":
    main()
