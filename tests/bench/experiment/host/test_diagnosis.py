"""What the doctor reads from a made-up machine, and what it says about it."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import fields, replace

import pytest

from bench.experiment.host.diagnosis import CHECKS, Severity, diagnose
from bench.experiment.host.readings import Readings, cpu_shares, read_files, read_machine

QUIET = Readings(
    cores=((0,), (1,), (2,), (3,)),
    governor="performance",
    turbo=False,
    steal_share=0.0,
    busy_share=0.01,
    busiest_share=0.02,
    descriptors_hard=1_000_000,
    ports=28_232,
    ports_waiting=10,
    somaxconn=4_096,
    conntrack=(100, 262_144),
    clock_source="tsc",
    clock_read_ns=30.0,
    timer_slack_ns=50_000,
    huge_pages="madvise",
    address_randomization=2,
    hypervisor=False,
    container=False,
)
FILES = {
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0",
    "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999",
    "proc/net/sockstat": "sockets: used 20\nTCP: inuse 5 orphan 0 tw 20 alloc 7 mem 1\nUDP: inuse 0 mem 0",
    "proc/sys/net/core/somaxconn": "128",
    "proc/sys/net/netfilter/nf_conntrack_count": "7",
    "proc/sys/net/netfilter/nf_conntrack_max": "65536",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet",
    "proc/self/timerslack_ns": "50000",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
    "proc/sys/kernel/randomize_va_space": "2",
    ".dockerenv": "",
}
READ = Readings(
    turbo=True,
    ports=28_232,
    ports_waiting=20,
    somaxconn=128,
    conntrack=(7, 65_536),
    clock_source="hpet",
    timer_slack_ns=50_000,
    huge_pages="always",
    address_randomization=2,
    container=True,
)


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_files_are_read(tmp_path):
    plant(tmp_path, FILES)
    assert read_files(tmp_path) == READ


def test_what_is_not_there_is_not_known(tmp_path):
    assert read_files(tmp_path) == Readings(container=False)


@pytest.mark.parametrize(
    ("name", "text", "turbo"),
    [("cpufreq/boost", "1", True), ("cpufreq/boost", "0", False), ("intel_pstate/no_turbo", "1", False)],
)
def test_turbo_is_told_by_either_driver(tmp_path, name, text, turbo):
    plant(tmp_path, {f"sys/devices/system/cpu/{name}": text})
    assert read_files(tmp_path).turbo is turbo


def test_a_quiet_machine_has_nothing_to_do():
    assert {(finding.severity, finding.remedy) for finding in diagnose(QUIET)} == {(Severity.OK, "")}
    assert len(diagnose(QUIET)) == len(CHECKS)


def test_what_is_not_known_is_not_judged():
    assert {finding.name for finding in diagnose(Readings(cores=((0,), (1,))))} == {"cores", "smt", "quota"}


JUDGED = [
    ({"cores": ((0,),)}, "cores", "bad"),
    ({"cores": ((0, 1), (2, 3))}, "smt", "warn"),
    ({"quota_cpus": 4.0}, "quota", "ok"),
    ({"quota_cpus": 3.0}, "quota", "warn"),
    ({"quota_cpus": 1.5}, "quota", "bad"),
    ({"hypervisor": True}, "machine", "warn"),
    ({"container": True}, "machine", "ok"),
    ({"steal_share": 0.02}, "steal", "warn"),
    ({"steal_share": 0.2}, "steal", "bad"),
    ({"busiest_share": 0.1}, "load", "warn"),
    ({"busiest_share": 0.9}, "load", "bad"),
    ({"governor": "powersave"}, "governor", "warn"),
    ({"turbo": True}, "turbo", "warn"),
    ({"descriptors_hard": 4_096}, "descriptors", "warn"),
    ({"descriptors_hard": 1_024}, "descriptors", "bad"),
    ({"ports_waiting": 20_000}, "ports", "warn"),
    ({"ports_waiting": 28_000}, "ports", "bad"),
    ({"somaxconn": 1_024}, "backlog", "warn"),
    ({"somaxconn": 128}, "backlog", "bad"),
    ({"conntrack": (60_000, 100_000)}, "conntrack", "warn"),
    ({"conntrack": (95_000, 100_000)}, "conntrack", "bad"),
    ({"clock_read_ns": 600.0}, "clock", "warn"),
    ({"timer_slack_ns": 1_000_000}, "timers", "warn"),
    ({"huge_pages": "always"}, "huge pages", "warn"),
    ({"address_randomization": 0}, "layout", "warn"),
]


@pytest.mark.parametrize(("changes", "name", "severity"), JUDGED)
def test_a_reading_is_judged_alone(changes, name, severity):
    findings = {finding.name: finding for finding in diagnose(replace(QUIET, **changes))}
    assert findings.pop(name).severity == severity
    assert {finding.severity for finding in findings.values()} == {Severity.OK}


def test_every_reading_but_the_descriptive_ones_can_raise_a_finding():
    judged = {name for changes, _, _ in JUDGED for name in changes}
    assert {field.name for field in fields(Readings)} - judged == {"busy_share", "ports", "clock_source"}


@pytest.mark.parametrize("finding", diagnose(replace(READ, cores=((0, 1),))), ids=lambda finding: finding.name)
def test_what_is_wrong_comes_with_what_to_do(finding):
    assert bool(finding.remedy) == (finding.severity is not Severity.OK)
    assert finding.finding


Times = namedtuple("Times", "user system idle steal guest")  # noqa: PYI024 - as psutil makes them


def test_cpu_shares_count_stolen_time_apart_and_guest_time_once():
    before = [Times(10.0, 10.0, 100.0, 1.0, 5.0), Times(0.0, 0.0, 200.0, 0.0, 0.0)]
    after = [Times(10.3, 10.2, 100.4, 1.1, 5.3), Times(0.0, 0.0, 201.0, 0.0, 0.0)]
    steal, busy, busiest = cpu_shares(before, after)
    assert (steal, busy, busiest) == pytest.approx((0.05, 0.25, 0.5))


def test_steal_is_not_known_where_the_system_does_not_tell():
    plain = namedtuple("plain", "user idle")  # noqa: PYI024 - as psutil makes them
    assert cpu_shares([plain(0.0, 0.0)], [plain(1.0, 3.0)]) == (None, 0.25, 0.25)


def test_this_machine_can_be_examined():
    readings = read_machine(seconds=0.05)
    assert readings.cores
    assert readings.busy_share is not None
    assert 0 <= readings.busy_share <= readings.busiest_share <= 1
    assert 0 < readings.clock_read_ns < 1e6
    assert len(diagnose(readings)) >= 3
