"""One trial alone: a fresh server, a load generator of its own, and the monitor, for as long as the window lasts."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bench.errors import ServerError
from bench.experiment.planning.catalog import ROOT
from bench.experiment.trial.block_generator import CONNECT_TIMEOUT_S
from bench.experiment.trial.child import Child, ChildError, bound_to
from bench.experiment.trial.monitor import Monitor, Usage
from bench.experiment.trial.ports import await_ports
from bench.experiment.trial.process import RunningServer, launch
from bench.experiment.trial.results import Judge, check_alive, failed, interval_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.experiment.model import Trial, TrialResult
    from bench.experiment.trial.agents import Agents
    from bench.experiment.trial.block_generator import BlockGenerator

    Load = Callable[[Trial, RunningServer, Judge, Path], tuple[dict[str, Any], Usage]]

RESULT_TIMEOUT_S = 30.0
START_LEAD_NS = 5_000_000
"""From the word to go to the start: for the generator to read it."""


def measure_alone(trial: Trial, judge: Judge, logs: Path, load: Load, *, stop_timeout_s: float) -> TrialResult:
    """Launch the server of a trial, have it loaded, and return what came of it."""
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    hlog = logs / f"{trial.number:04}-hlog"
    try:
        with launch(
            trial.server,
            log=logs / f"{trial.number:04}-server.log",
            seed=trial.workload.seed,
            cpus=judge.cores.server,
            stop_timeout_s=stop_timeout_s,
        ) as running:
            given, usage = _loaded(trial, running, judge, hlog, load)
    except (ServerError, ChildError) as error:
        hlog.unlink(missing_ok=True)
        return failed(trial, error, started_at)
    lines = interval_lines(hlog.read_text())
    hlog.unlink()
    return judge.result(trial, running, given, usage, started_at=started_at, hlog=lines)


def _loaded(trial: Trial, running: RunningServer, judge: Judge, hlog: Path, load: Load) -> tuple[dict[str, Any], Usage]:
    """Run the generator against the server that listens. Raise ServerDiedError or ChildError, by who failed."""
    await_ports(running.host, running.port)
    try:
        given = load(trial, running, judge, hlog)
    except ChildError:
        check_alive(running)
        raise
    if given[0]["errors"] or not given[0]["replies"]:  # else its window was whole when the server ended
        check_alive(running)
    return given


def coordinated(
    trial: Trial, running: RunningServer, judge: Judge, hlog: Path, *, workers: int
) -> tuple[dict[str, Any], Usage]:
    """Load a server with a generator of its own, of `workers` processes. Raise ChildError."""
    logs = hlog.parent
    with Child(
        generator_command(trial, running.address, hlog, workers=workers),
        log=logs / f"{trial.number:04}-client.log",
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(logs)},  # so that nothing stays if it is killed
        cpus=judge.cores.client,
        stdin=True,
        stop_signal=signal.SIGINT,
    ) as generator:
        if generator.read_line(time.monotonic() + CONNECT_TIMEOUT_S) is None:
            raise ChildError(f"the load generator did not connect; {generator.log_tail()}")
        start_ns = time.monotonic_ns() + START_LEAD_NS
        generator.write_line(f"GO {start_ns}")
        with _watched(trial, running, judge, generator.pid, start_ns) as (monitor, deadline_s):
            if (line := generator.read_line(deadline_s)) is None:
                raise ChildError(f"the load generator gave no result; {generator.log_tail()}")
            usage = monitor.result()
        generator.ended_within(RESULT_TIMEOUT_S)  # it has files of its own to remove
    return json.loads(line), usage


def forked(
    generator: BlockGenerator, trial: Trial, running: RunningServer, judge: Judge, hlog: Path
) -> tuple[dict[str, Any], Usage]:
    """Load a server with a fork of the generator that stays, which is the sooner ready. Raise ChildError."""
    asked = {
        "address": running.address,
        "tag": f"{trial.number:04}",
        "workload": trial.workload.to_json(),
        "hlog": str(hlog),
    }
    pid = generator.connect(asked)
    start_ns = time.monotonic_ns() + START_LEAD_NS
    generator.go(start_ns)
    try:
        with _watched(trial, running, judge, pid, start_ns) as (monitor, deadline_s):
            given = generator.result(deadline_s)
            return given, monitor.result()
    except BaseException:
        generator.stop()  # with the load that is under way
        raise


def carried(
    agents: Agents, trial: Trial, running: RunningServer, judge: Judge, hlog: Path
) -> tuple[dict[str, Any], Usage]:
    """Load a server by agents. Raise AgentLostError or ChildError."""
    connected = agents.connect(running.address, trial.workload, hlog=hlog, tag=f"{trial.number:04}")
    start_ns = time.monotonic_ns() + connected.lead_ns + START_LEAD_NS
    try:
        agents.go(start_ns)
        with _watched(trial, running, judge, agents.pid, start_ns) as (monitor, deadline_s):
            given = agents.result(deadline_s)
            return given, monitor.result().of_server
    except BaseException:
        agents.stop()  # with the load that is under way
        raise


@contextmanager
def _watched(
    trial: Trial, running: RunningServer, judge: Judge, generator: int, start_ns: int
) -> Iterator[tuple[Monitor, float]]:
    """Watch both sides from a start on; yield the monitor, and until when the generator has to give its result."""
    workload = trial.workload
    window_start_ns = start_ns + round(workload.warmup_s * 1e9)
    window_ns = (window_start_ns, window_start_ns + round(workload.duration_s * 1e9))
    watched = judge.cores.server + judge.cores.client
    with bound_to(judge.cores.monitor), Monitor(running.pid, generator, window_ns, watched) as monitor:
        yield monitor, window_ns[1] / 1e9 + workload.timeout_s + RESULT_TIMEOUT_S


def generator_command(trial: Trial, address: str, hlog: Path, *, workers: int = 1) -> list[str]:
    """Return the command of the load generator for a trial; a worker without a connection would have nothing to do."""
    workers = min(workers, trial.workload.connections)
    load = [address, "--workload", json.dumps(trial.workload.to_json()), "--workers", str(workers)]
    if trial.generator == "reference":
        load.append("--reference")
    out = ["--coordinated", "--json", "--hlog", str(hlog), "--tag", f"{trial.number:04}"]
    return [sys.executable, "-P", "-m", "clients", *load, *out]
