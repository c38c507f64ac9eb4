"""Why a server is not measured: it fails a basic case. The cases, and how they run, are in the other files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.conformance import START, Outcome, basic

if TYPE_CHECKING:
    from bench.experiment.model import Server

REFUSED = "refused (--anyway measures it all the same)"


def nonconformance(server: Server) -> str | None:
    """Say which basic conformance case a server did not pass, and why; None if it passes them, or cannot run here.

    A case that could not be tried was not passed.

    A server that does not start has not failed a case: its trials will say so. But a server file that does not start
    is wrong use. Raises UsageError then.
    """
    bad = (Outcome.FAILED, Outcome.UNTRIED)
    first = next((result for result in basic(server) if result.outcome in bad), None)
    if first is None:
        return None
    if first.outcome is Outcome.UNTRIED:
        return f"{REFUSED}: `echobench check` cannot say whether it echoes: {first.case} {first.detail}"
    if first.case == START:
        if server.interpreter is not None:
            raise UsageError(first.detail)
        return None
    return f"{REFUSED}: it failed `echobench check`: {first.case}: {first.detail}"
