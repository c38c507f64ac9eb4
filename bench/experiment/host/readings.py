"""What on this machine will blur a measurement: the readings. `diagnosis.py` judges them.

A reading that the system does not offer is None, never a guess. Nothing here changes a setting. What a run records
too is read by `machine.py`.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.experiment.host import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CLOCK_READS = 1_000
_CLOCK_BATCHES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What was read; None is not known. `cores` are the usable CPUs by physical core.

    The shares are of the usable CPUs' time in the sample: `steal_share` and `busy_share` of all of them together,
    `busiest_share` of the busiest one. `conntrack` holds the entries in use and the most there may be.
    """

    cores: Sequence[Sequence[int]] = ()
    quota_cpus: float | None = None
    governor: str | None = None
    turbo: bool | None = None
    steal_share: float | None = None
    busy_share: float | None = None
    busiest_share: float | None = None
    descriptors_hard: int | None = None
    ports: int | None = None
    ports_waiting: int | None = None
    somaxconn: int | None = None
    conntrack: tuple[int, int] | None = None
    clock_source: str | None = None
    clock_read_ns: float | None = None
    timer_slack_ns: int | None = None
    huge_pages: str | None = None
    address_randomization: int | None = None
    hypervisor: bool | None = None
    container: bool | None = None


def read_machine(seconds: float = 1.0) -> Readings:
    """Read this machine; takes `seconds` of watching its CPUs."""
    cores = machine.allowed_cores()
    facts = machine.facts(machine.cores())
    before = _cpu_times()
    time.sleep(seconds)
    steal_share, busy_share, busiest_share = cpu_shares(before, _cpu_times())
    return replace(
        read_files(Path("/")),
        cores=cores,
        quota_cpus=facts["cgroup_cpu_quota"],
        governor=facts["governor"],
        hypervisor=facts["hypervisor"],
        steal_share=steal_share,
        busy_share=busy_share,
        busiest_share=busiest_share,
        descriptors_hard=_descriptors_hard(),
        clock_read_ns=clock_read_ns(),
    )


def read_files(root: Path) -> Readings:
    """Read what the kernel says in files under `root`."""
    net = root / "proc/sys/net"
    return Readings(
        turbo=_turbo(root / "sys/devices/system/cpu"),
        ports=_ports(net / "ipv4/ip_local_port_range"),
        ports_waiting=_ports_waiting(root / "proc/net/sockstat"),
        somaxconn=_number(net / "core/somaxconn"),
        conntrack=_conntrack(net / "netfilter"),
        clock_source=_text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        timer_slack_ns=_number(root / "proc/self/timerslack_ns"),
        huge_pages=_chosen(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        address_randomization=_number(root / "proc/sys/kernel/randomize_va_space"),
        container=any((root / marker).exists() for marker in (".dockerenv", "run/.containerenv")),
    )


def _cpu_times() -> list[Any]:
    """Return psutil's times of each CPU that we may use."""
    usable = machine.usable_cpus()
    return [times for cpu, times in enumerate(psutil.cpu_times(percpu=True)) if cpu in usable]


def cpu_shares(before: Sequence[Any], after: Sequence[Any]) -> tuple[float | None, float, float]:
    """Return the share of time stolen, busy over all CPUs, and busy on the busiest; from psutil's times per CPU.

    Time stolen is neither busy nor idle. The first is None where the system does not tell.
    """
    spent = [_difference(one, other) for one, other in zip(before, after, strict=True)]
    totals = [max(sum(times.values()), 1e-9) for times in spent]
    idle = [sum(times.get(name, 0.0) for name in ("idle", "iowait", "steal")) for times in spent]
    busy = [1 - rest / total for rest, total in zip(idle, totals, strict=True)]
    known = all("steal" in times for times in spent)
    steal = sum(times["steal"] for times in spent) / sum(totals) if known else None
    return steal, 1 - sum(idle) / sum(totals), max(busy)


def _difference(before: Any, after: Any) -> dict[str, float]:
    """Return the seconds spent per kind; guest time is left out, because the kernel counts it as user time too."""
    return {
        name: max(0.0, getattr(after, name) - getattr(before, name))
        for name in before._fields
        if not name.startswith("guest")
    }


def clock_read_ns() -> float:
    """Return what one reading of the clock costs, in ns: the smallest mean of several batches, as noise only adds."""
    now = time.monotonic_ns
    fastest = min(_batch(now) for _ in range(_CLOCK_BATCHES))
    return fastest / _CLOCK_READS


def _batch(now: Callable[[], int]) -> int:
    start = time.perf_counter_ns()
    for _ in range(_CLOCK_READS):
        now()
    return time.perf_counter_ns() - start


def _descriptors_hard() -> int | None:
    """Return to how many descriptors a process may raise its own limit; None if there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def _turbo(cpu: Path) -> bool | None:
    """Say whether a core may exceed its base frequency: intel_pstate says no to turbo, cpufreq says yes to boost."""
    no_turbo, boost = _number(cpu / "intel_pstate/no_turbo"), _number(cpu / "cpufreq/boost")
    if no_turbo is not None:
        return no_turbo == 0
    return None if boost is None else boost == 1


def _ports(path: Path) -> int | None:
    words = (_text(path) or "").split()
    return int(words[1]) - int(words[0]) + 1 if words else None


def _ports_waiting(sockstat: Path) -> int | None:
    """Return the connections in TIME_WAIT from the line `TCP: inuse 5 orphan 0 tw 20 alloc 7 mem 1`."""
    for line in (_text(sockstat) or "").splitlines():
        words = line.split()
        if words[0] == "TCP:" and "tw" in words:
            return int(words[words.index("tw") + 1])
    return None


def _conntrack(folder: Path) -> tuple[int, int] | None:
    count, most = _number(folder / "nf_conntrack_count"), _number(folder / "nf_conntrack_max")
    return None if count is None or most is None else (count, most)


def _chosen(path: Path) -> str | None:
    """Return the word in brackets of a line such as `always [madvise] never`."""
    return next((word.strip("[]") for word in (_text(path) or "").split() if word.startswith("[")), None)


def _number(path: Path) -> int | None:
    text = _text(path)
    return None if text is None else int(text)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
