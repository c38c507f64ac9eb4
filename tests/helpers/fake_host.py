"""A host that answers from a noise model: the whole check runs on it, in no time and without a process.

The model of trials that are measured one after the other is multiplicative: a drift of the host (Ornstein-Uhlenbeck),
the noise of a launch, outliers, sometimes a step, and a second trial of a pair that comes out a little slower. A host
that has `slices` answers a block of two from the model in `fake_slices`.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from helpers import fake_slices
from scipy.special import binom

from bench.experiment.drive import drive
from bench.experiment.model import Block, Results, Server, Status, Trial, TrialResult
from bench.regress.planner import Knowledge, PairedCell
from bench.regress.session import Compared, Question, session
from bench.verdict.pairs import Arm
from bench.verdict.rules import Rule
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

RPS = Rule(metric="replies_per_s", title="throughput", larger_is_better=True)
CPU = Rule(metric="server_cpu_us_per_reply", title="server CPU per reply")
P50 = Rule(metric="response_p50_ns", title="median response time", budget=0.10)

NOTHING_KNOWN = Knowledge(pair_sd={}, trial_s={})

SLOT_S = 3.0
"""Wall time of a trial on the fake host."""


@dataclass(frozen=True)
class Host:
    """How noisy a host is: standard deviations on the log scale, chances per trial or session."""

    drift_sd: float = 0.05
    drift_tau_s: float = 120.0
    trial_sd: float = 0.05
    outlier_chance: float = 0.02
    step_chance: float = 0.0
    second_place: float = 0.01
    slices: fake_slices.Slices | None = None


QUIET = Host()
NOISY = Host(drift_sd=0.07, trial_sd=0.08, outlier_chance=0.04, step_chance=0.3)
STILL = Host(drift_sd=0.0, trial_sd=0.0, outlier_chance=0.0, second_place=0.0)
SLICED = Host(slices=fake_slices.QUIET)


@dataclass
class FakeHost:
    """A `Measure` whose numbers come from a `Host`. `slower` is the candidate's true slowdown, per cell or for all.

    `disturb` gives the log slowdown of the host at a time, besides its drift; `change` may replace any result.
    """

    host: Host = QUIET
    seed: int = 0
    slower: float | dict[str, float] = 0.0
    trials: int = 200
    disturb: Callable[[float], float] = lambda _: 0.0
    change: Callable[[TrialResult, Arm, int], TrialResult] | None = None
    now_s: float = 0.0
    seen: dict[tuple[str, Arm], int] = field(default_factory=lambda: defaultdict(int))
    calls: list[Trial] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self):
        draw = np.random.default_rng(self.seed)
        host, n = self.host, self.trials
        keep = math.exp(-SLOT_S / host.drift_tau_s)
        shocks = draw.normal(size=n) * host.drift_sd
        fresh = (math.sqrt(1 - keep * keep) * shocks).tolist()
        drift = [float(shocks[0])]
        for i in range(1, n):
            drift.append(keep * drift[-1] + fresh[i])
        noise = draw.normal(size=n) * host.trial_sd + math.log(1.3) * (draw.random(n) < host.outlier_chance)
        self.step_at = int(draw.integers(n)) if draw.random() < host.step_chance else n
        step = math.log(1.15) * (np.arange(n) >= self.step_at)
        self.log_slowdown = (drift + noise + step).tolist()
        self.draw = np.random.default_rng([self.seed, 1])

    def clock(self) -> float:
        return self.now_s

    def __call__(self, block: Block) -> Results:
        self.blocks.append(block)
        if self.host.slices is None or len(block.trials) == 1:
            return tuple(map(self.trial, block.trials))
        slower, workload = tuple(self.log_slower(trial) for trial in block.trials), block.trials[0].workload
        found = fake_slices.measure(self.host.slices, self.draw, workload, slower, self.now_s)
        self.now_s += fake_slices.block_s(workload)
        return tuple(
            self.told(TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics, slices=slices))
            for trial, (metrics, slices) in zip(block.trials, found, strict=True)
        )

    def log_slower(self, trial: Trial) -> float:
        name, arm = named(trial)
        slower = self.slower.get(name, 0.0) if isinstance(self.slower, dict) else self.slower
        return math.log1p(slower) if arm is Arm.CANDIDATE else 0.0

    def trial(self, trial: Trial) -> TrialResult:
        log = self.log_slowdown[len(self.calls)] + self.disturb(self.now_s)
        log += math.log1p(self.host.second_place) * (len(self.calls) % 2)
        factor = math.exp(log + self.log_slower(trial))
        metrics = {
            "replies_per_s": 1e4 / factor,
            "server_cpu_us_per_reply": 20 * factor,
            "response_p50_ns": 1e6 * factor,
        }
        self.now_s += SLOT_S
        return self.told(TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics))

    def told(self, result: TrialResult) -> TrialResult:
        name, arm = named(result.trial)
        self.calls.append(result.trial)
        count = self.seen[name, arm]
        self.seen[name, arm] += 1
        return result if self.change is None else self.change(result, arm, count)


def named(trial: Trial) -> tuple[str, Arm]:
    name, _, folder = trial.server.name.partition("@")
    return name, Arm.CANDIDATE if folder == "head" else Arm.BASELINE


def with_metrics(result: TrialResult, **metrics: Any) -> TrialResult:
    return replace(result, metrics={**result.metrics, **metrics})


def failed(result: TrialResult, status: Status, detail: str) -> TrialResult:
    return replace(result, status=status, detail=detail, metrics={})


def cell(name: str = "threads", *, port: int | None = None, **workload: Any) -> PairedCell:
    """Make a cell; servers with a fixed port cannot be alive together."""
    folders = {Arm.BASELINE: "base", Arm.CANDIDATE: "head"}
    servers = {arm: Server(name=f"{name}@{folder}", port=port) for arm, folder in folders.items()}
    return PairedCell(name=name, servers=servers, workload_name="c64", workload=Workload(**workload))


def ask(**fields: Any) -> Question:
    """Ask about one cell and its throughput, unless told otherwise; one look unless told otherwise."""
    fields = {"cells": (cell(),), "rules": (RPS,), "seed": 0, "machine": "fake", **fields}
    if "pairs" in fields:
        fields = {"looks": (fields["pairs"],), **fields}
    return Question(**fields)


def run(host: FakeHost, question: Question, knowledge: Knowledge = NOTHING_KNOWN, **fields: Any) -> Compared:
    """Ask the question on a host; a time limit runs on its clock."""
    return drive(session(question, knowledge), host, limit_s=question.seconds, clock=host.clock, **fields)


def most(of: int, chance: float, tail: float = 0.001) -> int:
    """Return the largest count that a checker of this error rate exceeds with less than the probability `tail`."""
    hits = np.arange(of + 1)
    mass = binom(of, hits) * chance**hits * (1 - chance) ** (of - hits)
    return int(np.flatnonzero(mass[::-1].cumsum()[::-1] < tail)[0]) - 1


def over_seeds(comparison: Callable[[int], Any], sessions: int) -> list[Any]:
    """Return what each of the seeds 0, 1, … gives. All cores share them; forks, so `comparison` may be any function."""

    def work(seeds: range, end: Connection) -> None:
        end.send([comparison(seed) for seed in seeds])

    cores, fork = len(os.sched_getaffinity(0)), multiprocessing.get_context("fork")
    here, *elsewhere = [range(core, sessions, cores) for core in range(cores)]
    found, children = {}, []
    for seeds in elsewhere:
        reader, writer = fork.Pipe(duplex=False)
        children.append((seeds, reader, fork.Process(target=work, args=(seeds, writer), daemon=True)))
        with warnings.catch_warnings():  # Python 3.12 warns of threads: none here holds a lock that a comparison needs
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            children[-1][2].start()
        writer.close()
    found |= {seed: comparison(seed) for seed in here}
    for seeds, reader, child in children:
        with reader:
            found |= zip(seeds, reader.recv(), strict=True)  # EOFError from a child that failed, and printed why
        child.join()
    return [found[seed] for seed in range(sessions)]
