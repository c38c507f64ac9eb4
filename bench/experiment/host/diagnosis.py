"""What the doctor makes of its readings: one pure function per question, each with what to do about the answer.

A reading that is not known gives no finding. The limits are the doctor's of `bench.limits`; none is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bench import limits
from bench.units import count, duration, plural, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.experiment.host.readings import Readings


class Severity(StrEnum):
    """How much a finding blurs what is measured."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination; `remedy` is empty where nothing is wrong."""

    name: str
    severity: Severity
    finding: str
    remedy: str = ""


def diagnose(readings: Readings) -> list[Finding]:
    """Judge the readings, in the order in which a person would look."""
    return [finding for check in CHECKS if (finding := check(readings)) is not None]


def _graded(name: str, finding: str, remedy: str, *, warn: bool, bad: bool = False) -> Finding:
    severity = Severity.BAD if bad else Severity.WARN if warn else Severity.OK
    return Finding(name, severity, finding, remedy if warn or bad else "")


def _cores(readings: Readings) -> Finding:
    cores = len(readings.cores)
    return _graded(
        "cores",
        plural(cores, "usable core"),
        "Give this job two cores: with one, server and load generator share it, and throughput measures both.",
        warn=False,
        bad=cores < limits.CPUS.doctor_bad,
    )


def _siblings(readings: Readings) -> Finding:
    shared = [core for core in readings.cores if len(core) > 1]
    return _graded(
        "smt",
        f"{len(shared)} cores run two threads each" if shared else "no two usable CPUs share a core",
        "Only one thread of a core is given work; keep the other idle, or switch SMT off: "
        "echo off | sudo tee /sys/devices/system/cpu/smt/control",
        warn=bool(shared),
    )


def _quota(readings: Readings) -> Finding:
    quota, cpus = readings.quota_cpus, sum(len(core) for core in readings.cores)
    return _graded(
        "quota",
        "no CPU quota" if quota is None else f"a quota of {quota:g} CPUs for {cpus} usable ones",
        "Raise the container's CPU limit to its CPUs: a group that has used up its quota is stopped for the rest of "
        "each period, which looks like a slow server.",
        warn=quota is not None and quota < cpus,
        bad=quota is not None and quota < limits.CPUS.doctor_bad,
    )


def _virtual(readings: Readings) -> Finding | None:
    if readings.hypervisor is None:
        return None
    return _graded(
        "machine",
        ("a virtual machine" if readings.hypervisor else "a physical machine")
        + (", in a container" if readings.container else ""),
        "Other guests of the host take time that cannot be seen from here: compare only what was measured in turn, "
        "as run and regress do.",
        warn=readings.hypervisor,
    )


def _steal(readings: Readings) -> Finding | None:
    steal = readings.steal_share
    if steal is None:
        return None
    return _graded(
        "steal",
        f"the hypervisor takes {share(steal)} of the CPU time now",
        "Wait until the host is quieter, or use a dedicated machine.",
        warn=steal > limits.STEAL.doctor_warns,
        bad=steal > limits.STEAL.doctor_bad,
    )


def _foreign(readings: Readings) -> Finding | None:
    busy, busiest = readings.busy_share, readings.busiest_share
    if busy is None or busiest is None:
        return None
    return _graded(
        "load",
        f"other processes use {share(busy)} of the CPUs now, {share(busiest)} of the busiest",
        "Stop what else runs here; `top` shows it.",
        warn=busiest > limits.FOREIGN_CPU.doctor_warns,
        bad=busiest > limits.FOREIGN_CPU.doctor_bad,
    )


def _governor(readings: Readings) -> Finding | None:
    if readings.governor is None:
        return None
    return _graded(
        "governor",
        f"frequency governor {readings.governor}",
        "Fix the frequency while measuring: sudo cpupower frequency-set -g performance",
        warn=readings.governor != "performance",
    )


def _turbo(readings: Readings) -> Finding | None:
    if readings.turbo is None:
        return None
    return _graded(
        "turbo",
        f"turbo frequencies {'on' if readings.turbo else 'off'}",
        "The clock rate depends on how many cores are busy and how warm they are. Switch turbo off: "
        "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, "
        "or echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
        warn=readings.turbo,
    )


def _descriptors(readings: Readings) -> Finding | None:
    hard = readings.descriptors_hard
    if hard is None:
        return None
    return _graded(
        "descriptors",
        f"up to {count(hard)} descriptors for a process",
        f"A connection is a descriptor on either side. Raise the hard limit: ulimit -Hn "
        f"{limits.DESCRIPTORS.doctor_warns:.0f}, or LimitNOFILE= of the service.",
        warn=hard < limits.DESCRIPTORS.doctor_warns,
        bad=hard < limits.DESCRIPTORS.doctor_bad,
    )


def _ports(readings: Readings) -> Finding | None:
    if readings.ports is None:
        return None
    waiting = readings.ports_waiting or 0
    return _graded(
        "ports",
        f"{count(readings.ports)} ephemeral ports, {count(waiting)} connections in TIME_WAIT",
        "A client's connections to one address need a port each: "
        "sudo sysctl net.ipv4.ip_local_port_range='1024 65535', and wait a minute after runs with churn.",
        warn=readings.ports - waiting < limits.PORTS.doctor_warns,
        bad=readings.ports - waiting < limits.PORTS.doctor_bad,
    )


def _backlog(readings: Readings) -> Finding | None:
    if readings.somaxconn is None:
        return None
    return _graded(
        "backlog",
        f"a listening socket holds {count(readings.somaxconn)} waiting connections",
        "Beyond that a connection attempt is dropped and repeated after a second: "
        f"sudo sysctl net.core.somaxconn={limits.BACKLOG.doctor_warns:.0f}",
        warn=readings.somaxconn < limits.BACKLOG.doctor_warns,
        bad=readings.somaxconn < limits.BACKLOG.doctor_bad,
    )


def _conntrack(readings: Readings) -> Finding | None:
    if readings.conntrack is None:
        return None
    used, most = readings.conntrack
    return _graded(
        "conntrack",
        f"the firewall tracks {count(used)} of at most {count(most)} connections",
        "When the table is full, packets are dropped: sudo sysctl net.netfilter.nf_conntrack_max="
        f"{4 * most}, or exempt the loopback interface.",
        warn=used > limits.CONNTRACK.doctor_warns * most,
        bad=used > limits.CONNTRACK.doctor_bad * most,
    )


def _clock(readings: Readings) -> Finding | None:
    if readings.clock_read_ns is None:
        return None
    source = f"clock source {readings.clock_source}, " if readings.clock_source else ""
    return _graded(
        "clock",
        f"{source}{duration(readings.clock_read_ns)} at most to read it",
        "Reading the clock is a system call here and adds to every request. Try clocksource=tsc on the kernel's "
        "command line, or another instance type.",
        warn=readings.clock_read_ns > limits.CLOCK_READ_NS.doctor_warns,
    )


def _timer_slack(readings: Readings) -> Finding | None:
    slack = readings.timer_slack_ns
    if slack is None:
        return None
    return _graded(
        "timers",
        f"the kernel may end a sleep {duration(slack)} late",
        "Start the bench from a shell with the usual slack: more of it makes the waits of a server coarser.",
        warn=slack > limits.TIMER_SLACK_NS.doctor_warns,
    )


def _huge_pages(readings: Readings) -> Finding | None:
    if readings.huge_pages is None:
        return None
    return _graded(
        "huge pages",
        f"transparent huge pages: {readings.huge_pages}",
        "Memory then comes in 2 MiB pieces, so resident sizes jump: "
        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        warn=readings.huge_pages == "always",
    )


def _layout(readings: Readings) -> Finding | None:
    level = readings.address_randomization
    if level is None:
        return None
    return _graded(
        "layout",
        "addresses differ from launch to launch" if level else "every launch has the same addresses",
        "The speed of a program depends on where it lies, and all trials would share one lucky or unlucky layout: "
        "sudo sysctl kernel.randomize_va_space=2",
        warn=level == 0,
    )


CHECKS = (
    _cores,
    _siblings,
    _quota,
    _virtual,
    _steal,
    _foreign,
    _governor,
    _turbo,
    _descriptors,
    _ports,
    _backlog,
    _conntrack,
    _clock,
    _timer_slack,
    _huge_pages,
    _layout,
)

_OF_SERVERS = {"backlog", "huge pages", "layout"}


def diagnose_agents(agents: Sequence[Mapping[str, Any]], here: str) -> dict[str, list[Finding]]:
    """Judge by name what `python -m clients.agents --survey` says of agents; `here` is the network of this machine."""
    machines = [here.partition(" ")[0], *(one["network"].partition(" ")[0] for one in agents)]
    return {one["agent"]: _diagnose_agent(one, machines) for one in agents}


def _diagnose_agent(agent: Mapping[str, Any], machines: Sequence[str]) -> list[Finding]:
    """Judge one; of what its own doctor says, what is asked of servers is left out, and one core will do."""
    error_ns, is_shared = agent["agent_clock_error_ns"], machines.count(agent["network"].partition(" ")[0]) > 1
    said = [Finding(**{**one, "severity": Severity(one["severity"])}) for one in agent["findings"]]
    own = [one for one in said if one.name not in _OF_SERVERS]
    return [
        _graded(
            "agent clock",
            f"known to {duration(error_ns)}; the longest round trip took {duration(agent['slowest_trip_ns'])}",
            "Read no moment of a timeline more finely, or use a machine that is nearer.",
            warn=error_ns > limits.AGENT_CLOCK_NS.doctor_warns,
        ),
        _graded(
            "neighbours",
            "shares its machine" if is_shared else "none",
            "Give each agent, and the server, a machine of its own: they take each other's cores.",
            warn=is_shared,
        ),
        Finding("versions", Severity.OK, ", ".join(f"{name} {version}" for name, version in agent["versions"].items())),
        *(replace(one, severity=Severity.OK, remedy="") if one.name == "cores" else one for one in own),
    ]
