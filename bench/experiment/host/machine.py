"""What this machine is, and which of its CPUs each side of a measurement gets. Reads; changes nothing.

A fact that cannot be read is None, and never guessed.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import bench
from bench.experiment.host.cgroups import cpu_quota

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

OURS = "echobench"
LIBRARIES = (OURS, "hdrhistogram", "msgspec", "numpy", "psutil")
"""What the measuring side is made of."""
_CPU_FOLDER = Path("/sys/devices/system/cpu")
_GIT_TIMEOUT_S = 10.0
_SIDES = 2
_SPARE_FROM = 4
"""With so many cores, one is left to the bench itself and to the rest of the machine."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The CPUs of each side; `shared` if there is only one core for both. `spare` are those left to the bench."""

    server: tuple[int, ...]
    client: tuple[int, ...]
    shared: bool
    spare: tuple[int, ...] = ()

    @property
    def monitor(self) -> tuple[int, ...]:
        """The CPUs of a monitor. On the generator's, each sample would be a pause in which requests fall due."""
        return self.spare or self.server


def plan_cores(cores: Sequence[Collection[int]], workers: int = 1, quota: float | None = None) -> Cores:
    """Give the generator one core per worker, from the end, and the server the others. Pure.

    `cores` holds the CPUs of each physical core that we may use. Of a core with several (SMT siblings) only the first
    is used, so that no side slows itself or the other. A `quota` of less than two CPUs is shared whatever the cores.
    """
    cpus = [min(core) for core in cores]
    if len(cpus) < _SIDES:
        return Cores(tuple(cpus), tuple(cpus), shared=True)
    spare = 1 if len(cpus) >= _SPARE_FROM + workers - 1 else 0
    clients = max(1, min(workers, len(cpus) - 1 - spare))
    split = len(cpus) - clients
    shared = workers > clients or (quota or _SIDES) < _SIDES
    return Cores(tuple(cpus[spare:split]), tuple(cpus[split:]), shared=shared, spare=tuple(cpus[:spare]))


def cores(workers: int = 1) -> Cores:
    """Return the CPUs of each side on this machine, for a load of so many worker processes."""
    return plan_cores(allowed_cores(), workers, cpu_quota())


def allowed_cores() -> list[tuple[int, ...]]:
    """Return the CPUs that this process may use, grouped by physical core, in order."""
    allowed = set(usable_cpus())
    groups = {tuple(sorted(allowed & set(_siblings(cpu)))) for cpu in allowed}
    return sorted(groups)


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may use: those of its affinity, or of its cgroup."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _siblings(cpu: int) -> list[int]:
    text = _read(_CPU_FOLDER / f"cpu{cpu}/topology/thread_siblings_list")
    return [cpu] if text is None else parse_cpu_list(text)


def parse_cpu_list(text: str) -> list[int]:
    """Read the kernel's notation for sets of CPUs: `0,2-3` is [0, 2, 3]."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def facts(cores: Cores) -> dict[str, Any]:
    """Return what can change a measurement, as plain JSON types."""
    return {
        "host": socket.gethostname(),
        "cpu_model": _cpu_model(),
        "cpus": os.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "usable_cpus": usable_cpus(),
        "smt_siblings": [list(core) for core in allowed_cores() if len(core) > 1],
        "hypervisor": _has_cpu_flag("hypervisor"),
        "cgroup_cpu_quota": cpu_quota(),
        "governor": _read(_CPU_FOLDER / "cpu0/cpufreq/scaling_governor"),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "server_cpus": list(cores.server),
        "client_cpus": list(cores.client),
        "cores_shared": cores.shared,
    }


def interpreter_facts() -> dict[str, Any]:
    """Return the Python that runs the bench and the load generator."""
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "build": " ".join(platform.python_build()).strip(),
        "compiler": platform.python_compiler(),
        "executable": sys.executable,
    }


def library_versions(names: Collection[str] = LIBRARIES) -> dict[str, str | None]:
    """Return the installed version of each distribution; None if it is not installed.

    Ours is that of the code that runs, which may be a checkout.
    """
    return {name: bench.__version__ if name == OURS else _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_facts(folder: Path) -> dict[str, Any] | None:
    """Return revision and whether there are changes that are not committed; None outside a repository."""
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the person uses
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "cpu model"}:
            return value.strip()
    return platform.processor() or None


def _has_cpu_flag(flag: str) -> bool | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return flag in value.split()
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def join_cpus(cpus: Collection[int]) -> str | None:
    """Write CPUs for a table: `0,2`; None if a process was not bound."""
    return ",".join(map(str, sorted(cpus))) or None
