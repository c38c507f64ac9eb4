"""Why a server is not measured: it fails a basic case. The cases, and how they run, are in the other files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.conformance import START, Outcome, basic

if TYPE_CHECKING:
    from bench.experiment.model import Server

REFUSED = "refused (--anyway measures it all the same): it failed `bench check`"


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
