"""Where coverage is not measured: in most child processes, and in simulations that take long.

With coverage a child takes half as long again to start, and works several times more slowly. A test runs most of these
lines in its own process too. So only the children of files marked `traced` are traced.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = "COVERAGE_PROCESS_CONFIG"  # by which coverage finds into a child


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "traced: the file's child processes run lines that no test runs itself")


@pytest.fixture(scope="module", autouse=True)
def _only_children_of_marked_files_are_traced(request: pytest.FixtureRequest) -> Iterator[None]:
    with nullcontext() if request.node.get_closest_marker("traced") else untraced():
        yield


@pytest.fixture(scope="module")
def coverage_paused() -> Iterator[None]:
    """Pause coverage in this process until the module's end: its tests repeat, many times, lines that others cover."""
    with paused():
        yield


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
    """Pause coverage in this process, if it is measured, within the block.

    Libraries get faster too: the tracer is called for each of their lines, only to pass it over.
    """
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
