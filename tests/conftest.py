"""What every test is held to: no process is left behind, and signals act. Helpers are in tests/helpers/."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.register_assert_rewrite("helpers")
pytest_plugins = ["helpers.examples", "helpers.timing", "helpers.tracing"]

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OF_PYTHON_ITSELF = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def pytest_configure() -> None:
    """Let SIGINT and SIGQUIT act, as at a terminal: a background job inherits both ignored, as would our children.

    Children multiply no large matrices. Without threads for that, numpy loads in two thirds of the CPU time.

    Bytecode is kept, also where the environment forbids it, as that of many containers does. Each worker would rewrite
    the assertions of all files again, and each child would compile what it imports.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    """Fail the module's last test if a child that was not there before is still running; and end it."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child not in before and runs(child)]
    names = [described(child) for child in left]
    for child in left:
        child.kill()
    psutil.wait_procs(left, timeout=5)
    assert not names, f"processes left behind: {'; '.join(names)}"


@pytest.fixture(autouse=True)
def _signals_act_as_before() -> Iterator[None]:
    """Fail a test that leaves a handler behind: the next one that is interrupted would wait for ever."""
    before = [signal.getsignal(number) for number in ENDINGS]
    yield
    after = [signal.getsignal(number) for number in ENDINGS]
    for number, handler in zip(ENDINGS, before, strict=True):
        signal.signal(number, handler)
    assert after == before, f"handlers of {[number.name for number in ENDINGS]} were {before}, and are {after}"


def runs(child: psutil.Process) -> bool:
    """Say whether the child is alive and ours: not a zombie, no helper of multiprocessing."""
    try:
        command = " ".join(child.cmdline())
        return child.status() != psutil.STATUS_ZOMBIE and not any(name in command for name in OF_PYTHON_ITSELF)
    except psutil.NoSuchProcess:
        return False


def described(child: psutil.Process) -> str:
    """Return the pid and command of a child, as far as it can still be read."""
    try:
        return f"{child.pid} {' '.join(child.cmdline())}"
    except psutil.NoSuchProcess:
        return f"{child.pid} (ended meanwhile)"
