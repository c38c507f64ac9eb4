"""The gates of a comparison, asked of real trials: none may wait for a number that only a fake ever had."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
from helpers import fake_host as fakes

from bench.experiment.host.cgroups import CgroupClock
from bench.experiment.model import Block, Status, Trial
from bench.experiment.planning.catalog import catalog
from bench.experiment.trial.live import live_bench
from bench.metrics import THROTTLED
from bench.regress.validity import SAME_IN_BOTH_ARMS, CellPairs, cell_problem, host_problem
from bench.verdict.pairs import Arm
from clients.workload import Workload

WORKLOAD = Workload(connections=2, rate_per_s=4000.0, arrivals="constant", warmup_s=0.04, duration_s=0.3)


class Listening(dict):
    """Metrics that note which of them are asked for."""

    asked: ClassVar[set[str]] = set()

    def get(self, name, default=None):
        self.asked.add(name)
        return super().get(name, default)


@pytest.mark.parametrize("together", [True, False])
def test_no_gate_asks_for_what_no_trial_has(together):
    """A gate on a metric that nobody measures never closes: so equal code passed under two Pythons."""
    terms = {"round": 1, "block": 1, "server": catalog().server("coroutines"), "workload_name": "w"}
    trials = tuple(Trial(number=number, workload=WORKLOAD, **terms) for number in (1, 2)[: 1 + together])
    with live_bench() as bench:
        results = bench(Block(trials=trials))
    assert {result.status for result in results} == {Status.MEASURED}
    Listening.asked.clear()
    pairs = CellPairs()
    arms = zip(Arm, (results[0], results[-1]), strict=True)
    pairs.add({arm: replace(one, metrics=Listening(one.metrics)) for arm, one in arms})
    cell_problem(pairs, [fakes.RPS], same_interpreter=True)
    host_problem([pairs])
    known = {name for result in results for name, value in result.metrics.items() if value is not None}
    nobody_has = {"server_idle_cpu_share"} if not together else set()  # who is alone has nobody to disturb
    if CgroupClock().read() is None:
        nobody_has.add(THROTTLED.column)
    assert Listening.asked >= set(SAME_IN_BOTH_ARMS)
    assert Listening.asked - known <= nobody_has
