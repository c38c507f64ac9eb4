"""A run of blocks from a model: what a machine that wanders does to servers that are alive together. No process.

The logarithm of a slice's rate is the sum of

- the server's true speed,
- what its launch got, once for a block: normal, with a standard deviation of 1.2 %,
- what the machine did in this pass, the same for all servers: it wanders by 1.5 times within a second,
- the slice's own noise. Most slices differ by 4 %; one in twelve meets a stall and does half of its work. The standard
  deviation of both together is 25 %, and it is this mixture that a median can bear: with normal noise of 25 % no
  statistic of 25 passes would be sharp.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from helpers.tracing import paused

from bench.experiment.model import Status
from bench.experiment.schema import SCHEMA_VERSION
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LAUNCH_SD = 0.012
SLICE_SD = 0.04
STALLS = 1 / 12
STALL = (0.4, 1.3)
WANDER = 1.5
SLICE_S = 0.02
CPU_US = 14.0


@dataclass(kw_only=True)
class BlockRun:
    """The model's run: the true speed of each server, in replies per second, under each number of connections.

    A server of `solo` is measured alone, in a block of its own, within the same round. `missing` names servers whose
    trial of a block failed, by the number of the round.
    """

    speeds: Mapping[str, float]
    connections: tuple[int, ...] = (16,)
    blocks: int = 8
    passes: int = 25
    solo: tuple[str, ...] = ()
    missing: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1

    def __post_init__(self) -> None:
        """Begin the model's randomness."""
        self._random = np.random.default_rng(self.seed)
        self._trial = self._block = 0

    @paused()
    def write(self, folder: Path) -> Path:
        """Write run.json and the records into a new folder; return it."""
        (folder / "trials").mkdir(parents=True)
        for record in self.records():
            (folder / "trials" / f"{record['trial']['number']:04d}.json").write_text(json.dumps(record))
        cells = [
            {"server": server, "workload": f"c{count}", "measured": True}
            for count in self.connections
            for server in self.speeds
        ]
        facts = {
            "schema_version": SCHEMA_VERSION,
            "run": folder.name,
            "state": "complete",
            "plan": {"name": "blocks", "seed": self.seed},
            "machine": {"host": "model", "cpu_model": "Model CPU", "cpus": 2, "system": "Linux", "kernel": "6.1"},
            "interpreter": {"implementation": "CPython", "version": "3.11.9"},
            "libraries": {},
            "git": None,
            "cells": cells,
        }
        (folder / "run.json").write_text(json.dumps(facts | dict(self.info)))
        return folder

    def records(self) -> list[dict[str, Any]]:
        """Return the records of all trials, block by block."""
        together = [server for server in self.speeds if server not in self.solo]
        found = []
        for round_ in range(1, self.blocks + 1):
            for count in self.connections:
                for servers in (together, *((server,) for server in self.solo)):
                    found += self._block_of(servers, round_, count)
        return found

    def _block_of(self, servers: tuple[str, ...] | list[str], round_: int, count: int) -> list[dict[str, Any]]:
        self._block += 1
        wander = self._wandering()
        return [self._record(server, round_, count, wander, alone=len(servers) == 1) for server in servers]

    def _wandering(self) -> np.ndarray[Any, Any]:
        """Return what the machine does in each pass, shape (passes,): a swing through its range, begun anywhere."""
        phase, period = self._random.uniform(0, 2 * math.pi), self._random.uniform(5, 20)
        return math.log(WANDER) / 2 * np.sin(phase + 2 * math.pi * np.arange(self.passes) / period)

    def _record(
        self, server: str, round_: int, count: int, wander: np.ndarray[Any, Any], *, alone: bool
    ) -> dict[str, Any]:
        self._trial += 1
        launch = self._random.normal(0, LAUNCH_SD)
        stalled = self._random.random(self.passes) < STALLS
        own = self._random.normal(0, SLICE_SD, self.passes) - stalled * self._random.uniform(*STALL, self.passes)
        rates = self.speeds[server] * np.exp(launch + wander + own)
        slices = [] if alone else [self._slice(number, rate) for number, rate in enumerate(rates, start=1)]
        failed = server in self.missing.get(round_, ())
        rate, cpu_us = float(rates.mean()), CPU_US * self._speed(server) * math.exp(-launch)
        metrics = self._metrics(rate, cpu_us, count)
        asked = Workload(connections=count, duration_s=1.0, **self.workload)
        return {
            "trial": {
                "number": self._trial,
                "round": round_,
                "block": self._block,
                "server": {"name": server, "interpreter": "CPython 3.11.9"},
                "workload_name": f"c{count}",
                "workload": asked.to_json(),
            },
            "status": str(Status.SERVER_DIED if failed else Status.MEASURED),
            "detail": "exit status 1" if failed else "",
            "started_at": f"2026-11-24T16:{round_ % 60:02d}:00Z",
            "metrics": {} if failed else metrics,
            "doubts": [],
            "timeline": [],
            "samples": [],
            "slices": [] if failed else slices,
        }

    def _speed(self, server: str) -> float:
        """Return how many times as dear as the first server a server is."""
        return next(iter(self.speeds.values())) / self.speeds[server]

    def _slice(self, number: int, rate: float) -> dict[str, Any]:
        replies = max(1, round(rate * SLICE_S))
        return {
            "pass": number,
            "at_s": number * SLICE_S,
            "slice_s": replies / rate,
            "replies": replies,
            "server_cpu_s": 0.9 * replies / rate,
            "response_p50_ns": 1e9 / rate,
            "errors": 0,
        }

    def _metrics(self, rate: float, cpu_us: float, count: int) -> dict[str, Any]:
        tail = math.exp(self._random.normal(0, 0.1))
        return {
            "window_s": 1.0,
            "replies_per_s": rate,
            "replies": int(rate),
            "server_cpu_us_per_reply": cpu_us,
            "response_p50_ns": 1e9 * count / rate,
            "response_p99_ns": 3e9 * count / rate * tail,
            "server_rss_max_bytes": 20 * 2**20,
            "errors": 0,
            "throughput_is_lower_bound": False,
        }
