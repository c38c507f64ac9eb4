"""The load generator's ceilings on this machine, for a plan: those that are kept, or else measured briefly.

How they are measured stands in `calibrate.py`, and what they mean in `ceiling.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.experiment.drive import drive
from bench.experiment.instrument import ceiling, reference
from bench.experiment.instrument.calibrate import brief
from bench.experiment.instrument.ceiling import Ceilings
from bench.experiment.planning.catalog import catalog
from bench.experiment.trial.live import live_bench

if TYPE_CHECKING:
    from bench.experiment.model import Door
    from bench.experiment.planning.plan import Plan

BRIEF_CALIBRATION_FROM = 40
"""Trials of a plan from which a few seconds of calibration are small beside it."""


def ceilings_for(plan: Plan, door: Door = live_bench) -> Ceilings:
    """Return what the generator can do at most: calibrated on this machine, or else measured briefly now.

    A small plan is not made longer for it: then a busy generator beside an idle server is all that can be seen.
    """
    if plan.workers > 1 or plan.generator != "python" or plan.agents is not None:
        return Ceilings({})
    kept = ceiling.load(ceiling.default_path())
    if kept is not None:
        return kept
    if plan.size < BRIEF_CALIBRATION_FROM:
        return Ceilings({})
    server, _ = reference.fastest_server(catalog())
    cells = {cell for named in plan.workloads if (cell := ceiling.cell_of(named.workload)) is not None}
    with door(forks=True) as bench:
        return drive(brief(server, cells, seed=plan.seed), bench)
