"""What a server's processes hold at a moment: memory, descriptors, CPU time. Reads, never signals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from bench.experiment.conformance.case import BrokenError
from bench.experiment.trial.kinship import descendants
from bench.experiment.trial.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.experiment.conformance.wire import Deadline

POLL_S = 0.02
_ENDED = (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError)
"""What psutil and /proc raise for a process that has ended. Other errors are ours, and say nothing about the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Sums over a process and its descendants. A process that has ended but was not waited for counts as one."""

    rss_bytes: int
    descriptors: int
    processes: int
    cpu_s: float


def has_ended(pid: int) -> bool:
    """Say whether the process has ended, waited for or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def measure(pid: int) -> Footprint:
    """Sum over a process and its descendants as they stand. Raise BrokenError if the server has ended.

    Raises OSError or psutil.AccessDenied if we cannot look.
    """
    try:
        vitals = Tree(pid).vitals()
        processes = [psutil.Process(pid), *descendants(pid)]
        return Footprint(
            rss_bytes=vitals.rss_bytes,
            descriptors=sum(map(_open_descriptors, processes)),
            processes=len(processes),
            cpu_s=vitals.cpu.total_s,
        )
    except _ENDED:
        raise BrokenError("the server's process has ended") from None


def _open_descriptors(process: psutil.Process) -> int:
    """Count those that are open, one by one: the kernel's own count includes the one that a blocked accept reserves."""
    try:
        return process.num_fds()
    except _ENDED:
        return 0
    except psutil.AccessDenied:  # what a zombie says to all but root
        if has_ended(process.pid):
            return 0
        raise


def wait_until(holds: Callable[[], bool], *, within_s: float) -> bool:
    """Ask again and again until the condition holds; return False if it does not in time."""
    give_up_at = time.monotonic() + within_s
    while not holds():
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(POLL_S)
    return True


def wait_released(pid: int, before: Footprint, *, deadline: Deadline, within_s: float) -> Footprint:
    """Wait until no more descriptors and processes are held than before; return what is held then.

    Raises BrokenError when some are left behind.
    """
    seen: list[Footprint] = []

    def released() -> bool:
        seen[:] = [measure(pid)]
        return seen[0].descriptors <= before.descriptors and seen[0].processes <= before.processes

    patience_s = min(within_s, deadline.remaining_s())
    if wait_until(released, within_s=patience_s):
        return seen[0]
    left = [
        f"{count} {noun}"
        for count, noun in (
            (seen[0].descriptors - before.descriptors, "descriptors"),
            (seen[0].processes - before.processes, "processes"),
        )
        if count > 0
    ]
    raise BrokenError(
        f"{' and '.join(left)} more than before are still held {patience_s:.3g} s after the clients had gone"
    )
