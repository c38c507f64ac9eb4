"""The live `model.Measure`: it measures blocks on this machine. `live_bench` is the only place that makes one.

A block of one trial is measured alone, a block of several together. What goes wrong with a trial is its status, not an
exception. Only an interrupt and a fault of our own are raised. How a trial is measured belongs to `solo.py` and
`together.py`.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.host import machine
from bench.experiment.trial import lifeline
from bench.experiment.trial.block_generator import BlockGenerator
from bench.experiment.trial.child import STOP_TIMEOUT_S
from bench.experiment.trial.early import EarlyLaunch
from bench.experiment.trial.results import Judge
from bench.experiment.trial.solo import carried, coordinated, forked, measure_alone
from bench.experiment.trial.together import measure_together
from bench.scratch import scratch
from clients.histogram import CAN_ENCODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.experiment.host.machine import Cores
    from bench.experiment.model import Block, Results, Trial
    from bench.experiment.trial.agents import Agents
    from bench.experiment.trial.solo import Load
    from clients.workload import Workload


def _not_calibrated(_workload: Workload) -> float | None:
    return None


@contextmanager
def live_bench(
    *,
    logs: Path | None = None,
    workers: int = 1,
    agents: Agents | None = None,
    nonconforming: frozenset[str] = frozenset(),
    ceiling_per_s: Callable[[Workload], float | None] = _not_calibrated,
    forks: bool = False,
) -> Iterator[LiveBench]:
    """Yield the bench of this machine: the door of every command that measures.

    Its cores are what the affinity, the SMT siblings and the quota of the cgroup leave to each side. Without `logs` the
    logs of the trials go into a folder that is removed at the end, because the results quote what matters of them. The
    `agents` outlast it: who looked the plan over has reached them already.

    Raises UsageError where the distributions of a trial could not be written.
    """
    if not CAN_ENCODE:
        raise UsageError(
            "nothing can be measured without the package hdrhistogram, which has no wheel for this Python or machine:"
            " build it with a C compiler (python -m pip install hdrhistogram); servers run without it"
        )
    cores = machine.cores(workers if agents is None else max(workers, agents.made_here))
    with scratch() as folder:
        lifeline.leave_nothing(folder)
        kept = logs or folder
        with ExitStack() as stack:
            generator = stack.enter_context(BlockGenerator(log=kept / "block-generator.log", cpus=cores.client))
            early = stack.enter_context(EarlyLaunch(logs=kept, cpus=cores.server))
            if agents is not None:
                agents.log_to(kept / "agents.log")
                if not agents.made_here:  # it runs where it was started, which may be beside the server
                    cores = replace(cores, client=(), shared=not agents.is_networked)
            yield LiveBench(
                logs=kept,
                cores=cores,
                generator=generator,
                early=early,
                agents=agents,
                workers=workers,
                nonconforming=nonconforming,
                ceiling_per_s=ceiling_per_s,
                forks=forks,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBench:
    """Measures blocks: `bench(block)` is their results. Each trial leaves its logs in the folder `logs`.

    `generator` loads the blocks of several trials, and `early` launches their servers. With `agents`, these make all
    loads, and no block has several. `ceiling_per_s` tells what the generator can do at most under a workload, in
    replies/s, where that was calibrated. `nonconforming` names the servers that failed their conformance check and are
    measured all the same. A server has `stop_timeout_s` to end when it is told to. With `forks`, the load of a single
    server is made by a fork of the generator that stays, which need not start: for many short loads.
    """

    logs: Path
    cores: Cores
    generator: BlockGenerator | None = None
    early: EarlyLaunch | None = None
    agents: Agents | None = None
    workers: int = 1
    ceiling_per_s: Callable[[Workload], float | None] = _not_calibrated
    nonconforming: frozenset[str] = frozenset()
    stop_timeout_s: float = STOP_TIMEOUT_S
    forks: bool = False

    def __call__(self, block: Block) -> Results:
        """Measure the trials of a block."""
        judge = Judge(cores=self.cores, ceiling_per_s=self.ceiling_per_s, nonconforming=self.nonconforming)
        if len(block.trials) == 1:
            if self.early is not None:
                self.early.abandon()  # nothing else is alive
            (trial,) = block.trials
            load = self._load_of(trial)
            alone = measure_alone(trial, judge, self.logs, load, stop_timeout_s=self.stop_timeout_s)
            return (alone,)
        assert self.generator is not None, "a block of several trials needs the generator that stays"
        assert self.early is not None, "and who launches its servers"
        return measure_together(block, judge, self.generator, self.early, stop_timeout_s=self.stop_timeout_s)

    def _load_of(self, trial: Trial) -> Load:
        """Return what makes the load of a trial alone. A fork makes only what one process of ours can."""
        if self.agents is not None:
            return partial(carried, self.agents)
        if self.forks and self.generator is not None and (trial.generator, self.workers) == ("python", 1):
            return partial(forked, self.generator)
        return partial(coordinated, workers=self.workers)
