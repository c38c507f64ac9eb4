"""What a calibration is measured with: the C generator, built if need be, and the fastest server that is here."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.experiment.planning.catalog import ROOT
from bench.experiment.trial.child import Child

if TYPE_CHECKING:
    from pathlib import Path

    from bench.experiment.model import Server
    from bench.experiment.planning.catalog import Catalog

_BUILD_TIMEOUT_S = 30.0
_FALLBACKS = ("uvloop-protocol", "coroutines")


def build_reference(log: Path) -> str | None:
    """Compile the reference generator; return None, or why there is none."""
    with Child(
        [sys.executable, "-P", "-m", "clients.reference"], log=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as compiler:
        compiler.ended_within(_BUILD_TIMEOUT_S)
        if compiler.returncode == 0:
            return None
    return log.read_text().strip() or "the reference generator could not be built"


def fastest_server(known: Catalog, no_generator: str | None = None) -> tuple[Server, str | None]:
    """Return the C reference server and None, or the best other server and why the reference cannot be had.

    Raises UsageError if nothing can be calibrated against.
    """
    reference = known.server("reference")
    missing = no_generator or reference.gap
    if missing is None:
        return reference, None
    for name in _FALLBACKS:
        server = known.server(name)
        if server.gap is None:
            return server, missing
    raise UsageError(f"there is no server to calibrate against: {missing}")
