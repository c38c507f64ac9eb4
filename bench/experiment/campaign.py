"""A run from its plan to the last trial: looked over, recorded, measured, and taken up again if it was interrupted.

Everything that must be known before the first trial is found out here; how trials are measured is not.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.experiment.drive import drive
from bench.experiment.inspection import looked_over
from bench.experiment.planning.extent import Extent
from bench.experiment.planning.plan_file import plan_of
from bench.experiment.planning.selection import resolve
from bench.experiment.precision import Measured
from bench.experiment.rounds import rounds
from bench.experiment.store import Store
from bench.experiment.trial.agents import reached
from bench.experiment.trial.live import live_bench
from clients.workload import Workload, WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.experiment.drive import Watcher
    from bench.experiment.instrument.ceiling import Ceilings
    from bench.experiment.model import Door, Trial
    from bench.experiment.planning.plan import Plan
    from bench.experiment.planning.plan_file import PlanFile
    from bench.experiment.rounds import Tally
    from bench.experiment.trial.agents import Agents


@dataclass(slots=True)
class Campaign:
    """A run that is ready to be measured, or to be continued.

    `began_s` is when it began to be made ready, and `done` are the numbers of the trials that were kept before. What
    their blocks say of the ratios is in `earlier`. The `agents` of its plan, if there are any, have been reached; what
    they need is let go at the end of `held`.
    """

    plan: Plan
    store: Store
    ceilings: Ceilings
    began_s: float
    done: frozenset[int] = frozenset()
    agents: Agents | None = None
    held: ExitStack = field(default_factory=ExitStack)
    earlier: Sequence[Sequence[Measured]] = ()

    @property
    def extent(self) -> Extent:
        """How much is to be measured yet."""
        return Extent.of(self.plan, self.done)

    def measure(self, watcher: Watcher, door: Door = live_bench) -> Tally:
        """Measure what is not measured yet, keep each trial as it ends, and record how the run ended.

        The statuses that are returned are those of the whole run, whichever call measured a trial.
        """
        with (
            self.held,
            door(
                logs=self.store.logs,
                workers=self.plan.workers,
                nonconforming=self.plan.nonconforming,
                ceiling_per_s=self.ceilings.of,
                agents=self.agents,
            ) as bench,
        ):
            experiment, limit_s = rounds(self.plan, self.done, self.earlier), self.extent.limit_s
            tally = drive(experiment, bench, keep=self.store.save, watcher=watcher, limit_s=limit_s, overrun=0.5)
        spent = {"wall_s": time.monotonic() - self.began_s, "windows_s": tally.window_s}
        so_far = {name: seconds + self.store.info.get(name, 0.0) for name, seconds in spent.items()}
        self.store.finish(complete=not (tally.was_interrupted or self.store.lost()), **so_far)
        return dataclasses.replace(tally, statuses=Counter(self.store.kept.values()))


def begin(plan: Plan, out: Path, *, anyway: bool = False, command: Sequence[str] = ()) -> Campaign:
    """Look a plan over and open its run folder in `out`. Raises UsageError for what would make it fail later.

    A server that fails the basic conformance cases is refused, or with `anyway` measured and marked. `command` is what
    a person typed, which is kept with the run.
    """
    began_s = time.monotonic()
    with ExitStack() as held:
        agents = held.enter_context(reached(plan.agents))
        seen = looked_over(plan, out, anyway=anyway, agents=None if agents is None else agents.found)
        asked = {"command": list(command), "anyway": anyway}
        store = Store.create(out, plan.name, {**asked, **seen.plan.to_json(), **seen.surroundings})
        return Campaign(seen.plan, store, seen.ceilings, began_s, agents=agents, held=held.pop_all())


def resume(path: Path, more: Mapping[str, Any] | None = None) -> Campaign:
    """Take up an interrupted run, or with `more` add to any: `trials` a cell, or trials for `minutes` or `until`.

    Raises UsageError if it cannot be, or if what its numbers rest on has changed.
    """
    began_s = time.monotonic()
    store = Store.open(path, even_complete=more is not None)
    with ExitStack() as held:
        lock = held.enter_context(ExitStack())
        lock.callback(store.close)
        if lacking := {"plan", "anyway"} - store.info.keys():
            raise UsageError(f"{path} cannot be resumed: its run.json lacks {', '.join(sorted(lacking))}")
        file = plan_of(store.info["plan"], f"{path}/run.json") if more is None else _extended(store, more)
        plan = resolve(file)
        agents = held.enter_context(reached(plan.agents))
        found = None if agents is None else agents.found
        seen = looked_over(plan, path.resolve().parent, anyway=store.info["anyway"], agents=found)
        store.info["plan"] = seen.plan.source
        _check_same(store, {**seen.plan.to_json(), **seen.surroundings})
        _check_kept(store, seen.plan)
        store.restart()
        lock.pop_all()  # which the end of the run lets go
        earlier = _earlier(store)
        return Campaign(seen.plan, store, seen.ceilings, began_s, store.done(), agents, held.pop_all(), earlier)


def _earlier(store: Store) -> list[list[Measured]]:
    """Return what the blocks that were measured before say of the ratios."""
    blocks: dict[tuple[int, int], list[Measured]] = {}
    for kept in store.records():
        trial = kept["trial"]
        if kept["slices"]:
            one = Measured(trial["workload_name"], trial["server"]["name"], kept["slices"])
            blocks.setdefault((trial["round"], trial["block"]), []).append(one)
    return list(blocks.values())


def _extended(store: Store, more: Mapping[str, Any]) -> PlanFile:
    """Return the plan of a run with more rounds behind those that are done."""
    rounds = store.last_round()
    given = {name: value for name, value in more.items() if value is not None} or {"trials": rounds}
    if "trials" in given:
        given["trials"] += rounds
    source = {name: value for name, value in store.info["plan"].items() if name not in {"trials", "minutes", "until"}}
    return plan_of({**source, **given}, "--more")


def _check_same(store: Store, now: Mapping[str, Any]) -> None:
    """Raise UsageError if the rest of a run would not be measured as its beginning was."""
    for name in ("machine", "interpreter", "interpreters", "libraries", "git", "echobench_git", "load", "cells"):
        if name in store.info and (before := store.info[name]) != now[name]:
            changed = " ".join(filter(None, (name, _changed(before, now[name]))))
            cure = "go to the folder where it was begun, or start a new run" if name == "git" else "start a new run"
            raise UsageError(f"{store.path} cannot be resumed: {changed} is not what it was; {cure}")


def _check_kept(store: Store, plan: Plan) -> None:
    """Raise UsageError if a trial that was kept is another one than the plan has of its number.

    A plan whose seed or times were changed by hand has the same cells, and none of what was measured is its own.
    """
    kept = {one["trial"]["number"]: one["trial"] for one in store.records()}
    trials = itertools.chain((gap.trial for gap in plan.gaps()), plan.trials())
    for trial in itertools.islice(trials, max(kept, default=0)):
        if trial.number in kept and not _is_same(trial, kept[trial.number]):
            raise UsageError(
                f"{store.path} cannot be resumed: its plan is not that of trial {trial.number}, which is"
                " measured; start a new run"
            )


def _is_same(trial: Trial, kept: Mapping[str, Any]) -> bool:
    """Whether a trial of a plan is the one that was kept. A setting that came later has its default there."""
    try:
        workload = Workload.from_json(kept["workload"])
    except WorkloadError:
        return False
    cell = (kept["server"].get("name"), kept["workload_name"], kept["round"], workload)
    return cell == (trial.server.name, trial.workload_name, trial.round, trial.workload)


def _changed(before: object, now: object) -> str:
    """Name the fields in which two facts differ."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ""
    return ", ".join(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))
