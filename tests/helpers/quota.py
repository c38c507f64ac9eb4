"""A cgroup with a CPU quota, where this machine lets us make one. What runs in it belongs to the tests."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def group_with_quota(share: float) -> Iterator[Path]:
    """Yield the file to which a process writes itself to get this share of a CPU. Skip where no group can be made."""
    for base, limits in (
        (Path("/sys/fs/cgroup/cpu"), {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": f"{share * 20000:.0f}"}),
        (Path("/sys/fs/cgroup"), {"cpu.max": f"{share * 20000:.0f} 20000"}),
    ):
        folder = base / f"echobench-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if all((folder / name).exists() for name in (*limits, "cpu.stat")):
                for name, text in limits.items():
                    (folder / name).write_text(text)
                yield folder / "cgroup.procs"
                return
        finally:
            folder.rmdir()
    pytest.skip("no cgroup with a CPU quota can be made here")
