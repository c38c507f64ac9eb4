"""What our cgroup allows us: how much CPU time, and how often it stopped us for having used that up. Reads only.

Versions 1 and 2 are read. What cannot be read is None, and never guessed. The cgroup is that of this process, which is
that of all it starts. A server that was started elsewhere may be in another one, which is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


class Stops(NamedTuple):
    """What the quotas on the way up to the root have done so far: stops, and the CPU seconds that these took.

    The kernel adds the seconds up over the CPUs, and adds a stop's when the stop is over.
    """

    times: int
    cpu_s: float


class CgroupClock:
    """Reads how often, and for how long, the quotas of our cgroup have stopped it."""

    def __init__(self, root: Path = ROOT, membership: Path = MEMBERSHIP) -> None:
        """Find the groups that this process is in now."""
        self._files = [folder / "cpu.stat" for folder, _ in _groups(root, membership)]

    def read(self) -> Stops | None:
        """Return the sums over the groups; None if none of them tells."""
        found = [stops for path in self._files if (stops := _stops(_read(path))) is not None]
        return Stops(sum(one.times for one in found), sum(one.cpu_s for one in found)) if found else None


def stopped(before: Stops | None, after: Stops | None, elapsed_s: float) -> dict[str, float]:
    """Return the metrics of what quotas stopped between two readings; nothing that was not read twice."""
    if before is None or after is None:
        return {}
    return {
        "machine_throttled": after.times - before.times,
        "machine_throttled_share": (after.cpu_s - before.cpu_s) / elapsed_s,
    }


def cpu_quota(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """Return how many CPUs' worth of time our cgroup may use; None if that is not limited, or not known."""
    quotas = [(_quota_v2 if is_unified else _quota_v1)(folder) for folder, is_unified in _groups(root, membership)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _groups(root: Path, membership: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders from our groups up to the root that may limit CPU time, and whether each is of version 2."""
    for line in (_read(membership) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers
        group = base / path.lstrip("/")
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(base))):
            yield folder, not controllers


def _quota_v2(folder: Path) -> float | None:
    words = (_read(folder / "cpu.max") or "max").split()
    return None if words[0] == "max" else int(words[0]) / int(words[1])


def _quota_v1(folder: Path) -> float | None:
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def _stops(text: str | None) -> Stops | None:
    """Read a cpu.stat, whose times are in µs in version 2 and in ns in version 1; None for a group without limits."""
    told = dict(words for line in (text or "").splitlines() if len(words := line.split()) == 2)  # noqa: PLR2004 - a pair
    for name, per_s in (("throttled_usec", 1e6), ("throttled_time", 1e9)):
        if name in told and "nr_throttled" in told:
            return Stops(int(told["nr_throttled"]), int(told[name]) / per_s)
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return None
