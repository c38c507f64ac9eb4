"""A plan is looked over before it is measured: what would make it fail later, and which servers are no echo servers.

It starts servers for their conformance check and measures nothing.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.conformance import START, Outcome, basic
from bench.experiment.instrument import reference
from bench.experiment.planning import preflight

if TYPE_CHECKING:
    from bench.experiment.model import Server
    from bench.experiment.planning.plan import Plan

REFUSED = "refused (--anyway measures it all the same): it failed `bench check`"


def looked_over(plan: Plan, out: Path | None = None, *, anyway: bool = False) -> Plan:
    """Return the plan with what was found: the servers that it refuses, or with `anyway` those that it will mark.

    `out` is the folder that its results will go to, if there will be one. Raises UsageError for what would make the
    plan fail later.
    """
    preflight.check(plan, out)
    if plan.generator == "reference":
        _check_reference_generator()
    broken = {server.name: why for server in plan.servers if (why := nonconformance(server)) is not None}
    if anyway:
        return dataclasses.replace(plan, nonconforming=frozenset(broken))
    return dataclasses.replace(plan, refused=broken)


def _check_reference_generator() -> None:
    """Raise UsageError if the reference generator cannot be built here."""
    with tempfile.TemporaryDirectory(prefix="echobench-") as logs:
        why = reference.build_reference(Path(logs) / "build.log")
    if why is not None:
        raise UsageError(why)


def nonconformance(server: Server) -> str | None:
    """Say which basic conformance case a server fails, and how; None if it passes them, or cannot run here.

    A server that does not start has not failed a case: its trials will say so. But a server file that does not start
    is wrong use. Raises UsageError then.
    """
    failed = [result for result in basic(server) if result.outcome is Outcome.FAILED]
    if not failed:
        return None
    first = failed[0]
    if first.case == START:
        if server.interpreter is not None:
            raise UsageError(first.detail)
        return None
    return f"{REFUSED}: {first.case}: {first.detail}"
