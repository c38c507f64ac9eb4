"""A synthetic run folder, made without a network: the numbers of its trials follow a small seeded model.

What a test expects of the numbers belongs to that test.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from helpers.tracing import paused

from bench.analysis.runs import run_folder
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status
from bench.experiment.schema import SCHEMA_VERSION
from clients.histogram import Histogram
from clients.hlog import header, line
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

ARTICLE = (
    "sequential",
    "threads",
    "generators",
    "coroutines",
    "asyncio-streams",
    "asyncio-protocol",
    "uvloop-protocol",
)
"""The article's seven servers."""

MORE = ("callbacks", "thread-pool", "processes", "socketserver", "asyncio-buffered", "trio", "gevent", "my own server")
FIFTEEN = ARTICLE + MORE
"""Fifteen names, one with spaces."""

START_S = 1_764_000_000.0

FACTS = {
    "machine": {"cpu_model": "Test CPU", "usable_cpus": [0, 1], "kernel": "6.1", "server_cpus": [0], "host": "one"},
    "interpreter": {"implementation": "CPython", "version": "3.11.9", "build": "main", "compiler": "GCC"},
    "libraries": {"uvloop": "0.21.0", "numpy": "2.4.6", "echobench": "0.1.0"},
    "workloads": [{"name": "c16", "connections": 16, "duration_s": 1.0}],
}
"""What run.json says of runs that are held against each other."""

RUN_INFO = {
    "machine": {"host": "bench-1", "cpu_model": "Test CPU", "cpus": 2, "system": "Linux", "kernel": "6.1"},
    "interpreter": {"implementation": "CPython", "version": "3.11.9"},
    "git": {"revision": "0123abcd" * 5, "dirty": False},
}
"""What run.json says of the runs that are exported."""


class Builder:
    """Writes the records of a run: servers x connections x rounds, with a say over any trial before it is saved."""

    def __init__(self, folder: Path, *, seed: int = 1) -> None:
        self.folder = folder
        self.random = np.random.default_rng(seed)
        self.samples_ns: dict[int, np.ndarray[Any, Any]] = {}
        self._log: list[str] = [header(START_S)]

    @paused()
    def run(
        self,
        servers: tuple[str, ...] = ("coroutines", "threads"),
        connections: tuple[int, ...] = (1, 16, 128, 1000),
        rounds: int = 3,
        *,
        spread: float = 0.03,
        change: Callable[[dict[str, Any]], None] = lambda record: None,
        skip: Callable[[str, int], bool] = lambda server, connections: False,
        workload: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the run and return its folder. `change` may alter a record in place; `skip` drops a whole cell."""
        (self.folder / "trials").mkdir(parents=True)
        cells = [(server, count) for server in servers for count in connections if not skip(server, count)]
        number = 0
        for round_ in range(1, rounds + 1):
            for index in self.random.permutation(len(cells)):
                number += 1
                server, count = cells[index]
                asked = Workload(connections=count, duration_s=1.0, **(workload or {}))
                record = self._record(number, round_, server, asked, rank=servers.index(server), spread=spread)
                change(record)
                self._save(record)
        (self.folder / "latency.hlog").write_text("".join(self._log))
        facts = {
            "schema_version": SCHEMA_VERSION,
            "run": "a-run",
            "state": "complete",
            "started_at": "2025-11-24T16:00:00Z",
            "ended_at": "2025-11-24T16:04:00Z",
            "plan": {"name": "synthetic", "seed": 7, "trials": rounds, "servers": list(servers)},
            "machine": {
                "cpu_model": "Test CPU",
                "cpus": 2,
                "kernel": "Linux 6.1",
                "memory_bytes": 8 * 2**30,
                "governor": None,
            },
            "interpreter": {"implementation": "CPython", "version": "3.11.9"},
            "libraries": {"numpy": "2.4.6", "trio": None},
            "cells": [{"server": server, "workload": f"c{count}", "measured": True} for server, count in cells],
            "git": {"revision": "0123abcd", "dirty": False},
        }
        (self.folder / "run.json").write_text(json.dumps(facts | dict(info or {})))
        return self.folder

    def _save(self, record: dict[str, Any]) -> None:
        number = record["trial"]["number"]
        if record["status"] != Status.MEASURED:
            record |= {"metrics": {}, "timeline": [], "samples": []}
        elif (values := self.samples_ns.get(number)) is not None:
            histogram = Histogram()
            histogram.add(values)
            self._log.append(line(f"{number}.response", START_S + number, 1.0, histogram))
        (self.folder / "trials" / f"{number:04d}.json").write_text(json.dumps(record))

    def _record(
        self, number: int, round_: int, server: str, asked: Workload, *, rank: int, spread: float
    ) -> dict[str, Any]:
        noise = lambda: math.exp(self.random.normal(0, spread))  # noqa: E731 - one line, used below only
        speed = (8 + 45 * math.exp(-0.25 * rank)) * 1000
        rate = (
            speed * asked.connections / (asked.connections + 1.7) * (1 - 0.06 * math.log10(asked.connections)) * noise()
        )
        median = asked.connections / rate * 1e9
        latencies = np.exp(self.random.normal(math.log(median), 0.25 + 0.02 * rank, 3000))
        slow = self.random.random(latencies.size) < 0.004
        latencies[slow] *= 6
        values = latencies.astype(np.int64)
        self.samples_ns[number] = values
        replies = int(rate)
        cpu_us = 1e6 / speed * 0.8 * noise()
        p = dict(zip(("p50", "p90", "p99"), np.percentile(values, (50, 90, 99)).tolist(), strict=True))
        rss = int((11 + rank + 0.02 * asked.connections * (1 + rank % 3)) * 2**20)
        return {
            "trial": {
                "number": number,
                "round": round_,
                "server": {"name": server, "interpreter": "CPython 3.11.9"},
                "workload_name": f"c{asked.connections}",
                "workload": asked.to_json(),
            },
            "status": str(Status.MEASURED),
            "detail": "",
            "started_at": f"2025-11-24T16:{number // 60:02d}:{number % 60:02d}Z",
            "metrics": {
                "window_s": 1.0,
                "replies_per_s": rate,
                "offered_per_s": rate,
                "sent": replies + 1,
                "replies": replies,
                "in_flight": 1,
                **{f"{kind}_{name}_ns": value for kind in ("response", "service") for name, value in p.items()},
                "connections_requested": asked.connections,
                "connections_established": asked.connections,
                "errors": 0,
                "server_cpu_s": cpu_us * rate / 1e6,
                "server_cpu_us_per_reply": cpu_us,
                "server_rss_max_bytes": rss,
                "server_uss_max_bytes": rss - 4 * 2**20,
                "client_cpu_s": 0.7,
                "throughput_is_lower_bound": False,
            },
            "doubts": [],
            "timeline": [
                {
                    "at_s": at / 10,
                    "slice_s": 0.1,
                    "replies": int(rate / 10 * noise()),
                    "errors": 0,
                    "response_p50_ns": p["p50"] * noise(),
                    "response_p99_ns": p["p99"] * noise() ** 4,
                }
                for at in range(10)
            ],
            "samples": [
                {"at_s": at / 5, "process": "server", "cpu_s": at / 5 * 0.8, "rss_bytes": rss, "threads": 1, "fds": 9}
                for at in range(5)
            ],
        }


def saturated(record: dict[str, Any]) -> None:
    """Mark a trial as one in which the generator was the limit."""
    record["metrics"]["throughput_is_lower_bound"] = True
    record["doubts"].append(str(Doubt.GENERATOR_SATURATED))


def failed(record: dict[str, Any], status: Status = Status.SERVER_DIED) -> None:
    """Let a trial fail, with a log's tail that would be markup if it were not escaped."""
    record |= {"status": str(status), "detail": "exit status 1\n<OSError>: too many open files & more"}


def mishaps(record: dict[str, Any]) -> None:
    """Let some trials of the article's run fail, saturate or drift."""
    server, connections = record["trial"]["server"]["name"], record["trial"]["workload"]["connections"]
    if (server, connections) == ("generators", 1000):
        failed(record)
    if (server, connections, record["trial"]["round"]) == ("threads", 1000, 1):
        failed(record, Status.NO_REPLIES)
    if server == "uvloop-protocol" and connections >= 128:
        saturated(record)
    if (server, connections) == ("threads", 1):
        record["doubts"].append(str(Doubt.NOT_STEADY))


def texts(figure: Figure) -> list[str]:
    """Return every text of a figure."""
    own = [text for axes in figure.axes for text in axes.texts]
    ticks = [label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in (*figure.texts, *own, *ticks)]


def assemble(folder: Path) -> None:
    """Write the parquet files of a run from its records, as `echobench run` does when it has measured."""
    run_folder.write_tables(run_folder.load(folder, from_records=True))
