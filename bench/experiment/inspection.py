"""A plan is looked over before it is measured: what would make it fail, and what its numbers rest on.

It starts servers for their conformance check, and may start a load to learn the generator's ceilings. It measures no
trial of the plan.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.experiment.conformance.refusal import nonconformance
from bench.experiment.host import machine, network
from bench.experiment.instrument import reference
from bench.experiment.instrument.ceilings_here import ceilings_for
from bench.experiment.planning import preflight
from bench.experiment.planning.catalog import ROOT, catalog
from bench.scratch import scratch

if TYPE_CHECKING:
    from bench.experiment.instrument.ceiling import Ceilings
    from bench.experiment.model import AgentsReached
    from bench.experiment.planning.plan import Plan


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found when a plan was looked over.

    The `plan` names the servers that are refused, or marked. `ceilings` are the load generator's, and `surroundings` is
    what run.json says of the machine and the software on it, as plain JSON types.
    """

    plan: Plan
    ceilings: Ceilings
    surroundings: dict[str, Any]


def looked_over(
    plan: Plan, out: Path | None = None, *, anyway: bool = False, agents: AgentsReached | None = None
) -> Inspection:
    """Look at everything that a plan rests on. Refuse the servers that are no echo servers, or with `anyway` mark them.

    `out` is the folder that its results will go to, if there will be one. `agents` are those of the plan, if it has
    any: they must have been reached. Raises UsageError for what would make the plan fail later.
    """
    preflight.check(plan, out, agents)
    load = network.load_facts(plan.servers, agents)
    if plan.generator == "reference":
        _check_reference_generator()
    broken = {server.name: why for server in plan.servers if (why := nonconformance(server)) is not None}
    found = {"nonconforming": frozenset(broken)} if anyway else {"refused": broken}
    seen = dataclasses.replace(plan, **found)
    return Inspection(
        plan=seen,
        ceilings=ceilings_for(seen),
        surroundings={
            "machine": machine.facts(machine.cores(plan.processes)),
            "interpreter": machine.interpreter_facts(),
            "load": load,
            "libraries": {**machine.library_versions(), **catalog().libraries},
            **_revisions(Path.cwd(), ROOT),
        },
    )


def _revisions(here: Path, ours: Path) -> dict[str, Any]:
    """Return the revision of the folder where the command was given, and that of echobench if it is a checkout.

    The first is what a run is about: exports keep their history by it. An echobench that is installed into somebody's
    repository is not in that repository.
    """
    return {
        "git": machine.git_facts(here),
        "echobench_git": machine.git_facts(ours) if (ours / ".git").exists() else None,
    }


def _check_reference_generator() -> None:
    """Raise UsageError if the reference generator cannot be built here."""
    with scratch() as logs:
        why = reference.build_reference(logs / "build.log")
    if why is not None:
        raise UsageError(why)
