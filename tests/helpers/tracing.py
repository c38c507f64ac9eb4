"""Where coverage is not measured: in child processes that are held to a time, and in simulations that take long."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = "COVERAGE_PROCESS_CONFIG"  # by which coverage finds into a child


@contextmanager
def untraced() -> Iterator[None]:
    """Start child processes without coverage within the block: what is held to a time must not be slowed down."""
    config = os.environ.pop(CONFIG, None)
    try:
        yield
    finally:
        if config is not None:
            os.environ[CONFIG] = config


@contextmanager
def paused() -> Iterator[None]:
    """Pause coverage in this process, if it is measured, within the block."""
    coverage = sys.modules.get("coverage")  # there only if it measures; not every environment has it
    current = coverage and coverage.Coverage.current()
    if not current:
        yield
        return
    current.stop()
    try:
        yield
    finally:
        current.start()
