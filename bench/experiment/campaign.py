"""A run from its plan to the last trial: looked over, recorded, measured, and taken up again if it was interrupted.

Everything that must be known before the first trial is found out here; how trials are measured is not.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.experiment.drive import drive
from bench.experiment.host import machine
from bench.experiment.inspection import looked_over
from bench.experiment.instrument import ceiling, reference
from bench.experiment.instrument.calibrate import brief
from bench.experiment.instrument.ceiling import Ceilings
from bench.experiment.planning.catalog import ROOT, catalog
from bench.experiment.planning.plan_file import check_plan
from bench.experiment.planning.selection import resolve
from bench.experiment.precision import Measured
from bench.experiment.rounds import rounds
from bench.experiment.store import Store
from bench.experiment.trial.live import live_bench

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.experiment.drive import Watcher
    from bench.experiment.model import Door
    from bench.experiment.planning.plan import Plan
    from bench.experiment.rounds import Tally

BRIEF_CALIBRATION_FROM = 40
"""Trials of a plan from which a few seconds of calibration are small beside it."""

REFUSED = "refused (--anyway measures it all the same): it failed `bench check`"


@dataclass(slots=True)
class Campaign:
    """A run that is ready to be measured, or to be continued; `began_s` is when it began to be made ready."""

    plan: Plan
    store: Store
    ceilings: Ceilings
    began_s: float

    def measure(self, watcher: Watcher, door: Door = live_bench) -> Tally:
        """Measure what is not measured yet, keep each trial as it ends, and record how the run ended."""
        done = self.store.done()
        for gap in self.plan.gaps():
            if gap.trial.number not in done:
                self.store.save(gap)
                watcher.ended(gap)
        with door(
            logs=self.store.logs,
            workers=self.plan.workers,
            nonconforming=self.plan.nonconforming,
            ceiling_per_s=self.ceilings.of,
        ) as bench:
            limit_s = None if self.plan.minutes is None else 60 * self.plan.minutes
            tally = drive(
                rounds(self.plan, done, self._earlier()), bench, keep=self.store.save, watcher=watcher, limit_s=limit_s
            )
        spent = {"wall_s": time.monotonic() - self.began_s, "windows_s": tally.window_s}
        so_far = {name: seconds + self.store.info.get(name, 0.0) for name, seconds in spent.items()}
        self.store.finish(complete=not tally.was_interrupted, **so_far)
        return tally

    def _earlier(self) -> list[list[Measured]]:
        """Return what is known from the blocks that were measured before, for a run that waits for precision."""
        if self.plan.until is None:
            return []
        blocks: dict[tuple[int, int], list[Measured]] = {}
        for kept in self.store.records():
            trial = kept["trial"]
            if kept["slices"]:
                one = Measured(trial["workload_name"], trial["server"]["name"], kept["slices"])
                blocks.setdefault((trial["round"], trial["block"]), []).append(one)
        return list(blocks.values())


def begin(plan: Plan, out: Path, *, anyway: bool = False, command: Sequence[str] = ()) -> Campaign:
    """Look a plan over and open its run folder in `out`. Raises UsageError for what would make it fail later.

    A server that fails the basic conformance cases is refused, or with `anyway` measured and marked. `command` is what
    a person typed, which is kept with the run.
    """
    began_s = time.monotonic()
    seen = looked_over(plan, out, anyway=anyway)
    ceilings = _ceilings(seen)
    store = Store.create(out, seen.name, {"command": list(command), "anyway": anyway, **_facts(seen)})
    return Campaign(seen, store, ceilings, began_s)


def resume(path: Path, more: Mapping[str, Any] | None = None) -> Campaign:
    """Take up an interrupted run, or with `more` add to any: `trials` a cell, or trials for `minutes` or `until`.

    Raises UsageError if it cannot be, or if what its numbers rest on has changed.
    """
    began_s = time.monotonic()
    store = Store.open(path, even_complete=more is not None)
    try:
        plan = resolve(check_plan(store.info["plan"], f"{path}/run.json"))
        if more is not None:
            plan = _extended(plan, store.done(), more)
            store.info["plan"] = plan.source
        seen = looked_over(plan, path.resolve().parent, anyway=store.info["anyway"])
        _check_same(store, _facts(seen))
        ceilings = _ceilings(seen)
    except BaseException:
        store.close()
        raise
    store.restart()
    return Campaign(seen, store, ceilings, began_s)


def _extended(plan: Plan, done: Collection[int], more: Mapping[str, Any]) -> Plan:
    """Return the plan with more rounds behind those that are done."""
    last = max(done, default=0)
    begun = itertools.takewhile(lambda trial: trial.number <= last, plan.trials())
    rounds = max((trial.round for trial in begun), default=0)
    given = {name: value for name, value in more.items() if value is not None} or {"trials": rounds}
    if "trials" in given:
        given["trials"] += rounds
    source = {name: value for name, value in plan.source.items() if name not in {"trials", "minutes", "until"}}
    return resolve(check_plan({**source, **given}, "--more"))


def _check_same(store: Store, now: Mapping[str, Any]) -> None:
    """Raise UsageError if the rest of a run would not be measured as its beginning was."""
    for name in ("machine", "interpreter", "interpreters", "libraries", "git", "cells"):
        if store.info[name] != now[name]:
            changed = _changed(store.info[name], now[name]) or name
            raise UsageError(f"{store.path} cannot be resumed: {changed} is not what it was; start a new run")


def _ceilings(plan: Plan, door: Door = live_bench) -> Ceilings:
    """Return what the generator can do at most: calibrated on this machine, or else measured briefly now.

    A small plan is not made longer for it: then a busy generator beside an idle server is all that can be seen.
    """
    if plan.workers > 1 or plan.generator != "python":
        return Ceilings({})
    kept = ceiling.load(ceiling.default_path())
    if kept is not None:
        return kept
    if sum(1 for _ in itertools.islice(plan.trials(), BRIEF_CALIBRATION_FROM)) < BRIEF_CALIBRATION_FROM:
        return Ceilings({})
    server, _ = reference.fastest_server(catalog())
    cells = {cell for named in plan.workloads if (cell := ceiling.cell_of(named.workload)) is not None}
    with door() as bench:
        return drive(brief(server, cells, seed=plan.seed), bench)


def _facts(plan: Plan) -> dict[str, Any]:
    """Return what run.json says about a run before its first trial."""
    gaps = {gap.trial.cell for gap in plan.gaps()}
    return {
        "plan": plan.source,
        "servers": [dataclasses.asdict(server) for server in plan.servers],
        "workloads": [{"name": named.name, **named.workload.to_json()} for named in plan.workloads],
        "cells": [
            {"server": server.name, "workload": named.name, "measured": (server.name, named.name) not in gaps}
            for server, named in plan.cells()
        ],
        "machine": machine.facts(machine.cores(plan.workers)),
        "interpreter": machine.interpreter_facts(),
        "interpreters": plan.interpreters,
        "libraries": {**machine.library_versions(), **catalog().libraries},
        "git": machine.git_facts(ROOT if (ROOT / ".git").exists() else Path.cwd()),
    }


def _changed(before: object, now: object) -> str:
    """Name the fields in which two facts differ."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ""
    return ", ".join(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))
