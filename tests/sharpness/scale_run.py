"""The run that `nox -s scale` measures: many trials of made-up numbers, kept by the real store. Measures nothing."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.experiment.model import Server, Status, Trial, TrialResult
from bench.experiment.store import Store
from clients.histogram import Histogram
from clients.hlog import line
from clients.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = tuple(f"server-{number:02}" for number in range(20))
CONNECTIONS = (1, 16, 64, 256, 1000)
START_S = 1_764_000_000.0
STRETCHES = 10
"""Of a trial's timeline, and passes of its block."""

REPLIES = 1000
"""Of a trial's histogram."""

_SAMPLES = 5


def make(out: Path, trials: int) -> Path:
    """Keep a complete run of so many trials in a new folder of `out`, and return that folder."""
    dice = random.Random(1)
    cells = [{"server": server, "workload": f"c{count}"} for count in CONNECTIONS for server in SERVERS]
    store = Store.create(out, "scale", {"plan": {"name": "scale", "seed": 1}, "cells": cells})
    for number in range(1, trials + 1):
        store.save(_result(number, dice))
    store.finish(complete=True)
    return store.path


def _result(number: int, dice: random.Random) -> TrialResult:
    block, place = divmod(number - 1, len(SERVERS))
    round_, load = divmod(block, len(CONNECTIONS))
    workload = Workload(connections=CONNECTIONS[load], duration_s=1.0)
    trial = Trial(
        number=number,
        round=round_ + 1,
        block=block + 1,
        server=Server(name=SERVERS[place], command=("true",)),
        workload_name=f"c{workload.connections}",
        workload=workload,
    )
    rate = (20_000 + 500 * place) * dice.lognormvariate(0, 0.03)
    p50_ns = 1e9 * workload.connections / rate
    histogram = Histogram()
    histogram.add(np.random.default_rng(number).lognormal(math.log(p50_ns), 0.3, REPLIES).astype(np.int64))
    return TrialResult(
        trial=trial,
        status=Status.MEASURED,
        started_at="2025-11-24T16:00:00Z",
        metrics=_metrics(rate, p50_ns),
        timeline=tuple(_stretch(at, rate, p50_ns, dice) for at in range(STRETCHES)),
        samples=tuple(_sample(at) for at in range(_SAMPLES)),
        slices=tuple(_slice(at, rate, p50_ns, dice) for at in range(STRETCHES)),
        hlog=line(f"{number}.response", START_S + number, 1.0, histogram),
    )


def _metrics(rate: float, p50_ns: float) -> dict[str, Any]:
    times = {"p50": 1.0, "p90": 1.5, "p99": 3.0}
    return {
        "window_s": 1.0,
        "replies_per_s": rate,
        "offered_per_s": rate,
        "replies": int(rate),
        "errors": 0,
        **{f"{kind}_{name}_ns": p50_ns * by for kind in ("response", "service") for name, by in times.items()},
        "server_cpu_s": 0.9,
        "server_cpu_us_per_reply": 9e5 / rate,
        "server_rss_max_bytes": 20 << 20,
        "server_uss_max_bytes": 16 << 20,
        "throughput_is_lower_bound": False,
    }


def _stretch(at: int, rate: float, p50_ns: float, dice: random.Random) -> dict[str, Any]:
    noise = dice.lognormvariate(0, 0.05)
    times = {"response_p50_ns": p50_ns * noise, "response_p99_ns": 3 * p50_ns * noise}
    return {"at_s": at / STRETCHES, "slice_s": 1 / STRETCHES, "replies": int(rate / STRETCHES), "errors": 0, **times}


def _slice(at: int, rate: float, p50_ns: float, dice: random.Random) -> dict[str, Any]:
    replies = int(rate / STRETCHES * dice.lognormvariate(0, 0.05))
    whole = {"pass": at, "at_s": at / STRETCHES, "slice_s": 1 / STRETCHES, "replies": replies}
    return {**whole, "server_cpu_s": 0.9 / STRETCHES, "response_p50_ns": p50_ns, "errors": 0}


def _sample(at: int) -> dict[str, Any]:
    held = {"rss_bytes": 20 << 20, "threads": 1, "fds": 9}
    return {"at_s": at / _SAMPLES, "process": "server", "cpu_s": 0.9 * at / _SAMPLES, **held}
