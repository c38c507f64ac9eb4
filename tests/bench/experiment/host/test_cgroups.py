"""What a cgroup allows, and how often it stopped us, from the files of both versions and from a group with a quota."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.checkout import CHECKOUT
from helpers.quota import group_with_quota

from bench.experiment.host.cgroups import CgroupClock, Stops, cpu_quota, stopped


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "membership", "quota"),
    [
        ({}, "0::/\n", None),
        ({"cpu.max": "150000 100000"}, "0::/\n", 1.5),
        ({"a/b/cpu.max": "max 100000"}, "0::/a/b\n", None),
        # the tightest limit on the way up is the one that holds
        ({"a/cpu.max": "100000 100000", "a/b/cpu.max": "300000 100000"}, "0::/a/b\n", 1.0),
        (
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            "4:cpu,cpuacct:/\n",
            0.5,
        ),
        ({"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, "4:cpu:/x\n3:cpuset:/\n0::/\n", None),
    ],
)
def test_the_quota_of_the_cgroup_is_found(tmp_path, files, membership, quota):
    for name, text in files.items():
        write(tmp_path / "fs" / name, text)
    write(tmp_path / "cgroup", membership)
    assert cpu_quota(tmp_path / "fs", tmp_path / "cgroup") == quota


def test_a_quota_that_cannot_be_read_is_none(tmp_path):
    assert cpu_quota(tmp_path, tmp_path / "nosuch") is None


V2 = "usage_usec 9\nnr_periods 40\nnr_throttled {times}\nthrottled_usec {us}\nnr_bursts 0\n"
V1 = "nr_periods 40\nnr_throttled {times}\nthrottled_time {ns}\nnr_bursts 0\n"


@pytest.mark.parametrize(
    ("files", "membership", "stops"),
    [
        ({"a/cpu.stat": V2.format(times=3, us=250_000)}, "0::/a\n", Stops(3, 0.25)),
        ({"cpu,cpuacct/cpu.stat": V1.format(times=2, ns=5 * 10**8)}, "4:cpu,cpuacct:/\n0::/\n", Stops(2, 0.5)),
        # a quota further up stops us too
        (
            {"cpu.stat": V2.format(times=1, us=10**6), "a/cpu.stat": V2.format(times=2, us=10**6)},
            "0::/a\n",
            Stops(3, 2.0),
        ),
        # a group that has no quota, and one that cannot be read
        ({"a/cpu.stat": "usage_usec 9\nuser_usec 5\nsystem_usec 4\n"}, "0::/a\n", None),
        ({"cpuset/cpu.stat": V1.format(times=2, ns=5)}, "3:cpuset:/\n", None),
        ({}, "0::/a\n", None),
    ],
)
def test_the_stops_of_a_cgroup_are_read_in_both_versions(tmp_path, files, membership, stops):
    for name, text in files.items():
        write(tmp_path / "fs" / name, text)
    write(tmp_path / "cgroup", membership)
    assert CgroupClock(tmp_path / "fs", tmp_path / "cgroup").read() == stops


def test_stops_become_a_count_and_a_share_of_the_time_between():
    assert stopped(Stops(3, 0.5), Stops(5, 0.9), 2.0) == {
        "machine_throttled": 2,
        "machine_throttled_share": pytest.approx(0.2),
    }


@pytest.mark.parametrize(("before", "after"), [(None, Stops(1, 1.0)), (Stops(1, 1.0), None), (None, None)])
def test_stops_that_were_not_read_twice_are_not_known(before, after):
    assert stopped(before, after, 1.0) == {}


INSIDE = """
import sys, time
from bench.experiment.host.cgroups import CgroupClock, cpu_quota
open(sys.argv[1], "w").write("0")
clock = CgroupClock()
before, until = clock.read(), time.process_time() + 0.05
while time.process_time() < until:
    pass
after = clock.read()
print(cpu_quota(), after.times - before.times, after.cpu_s - before.cpu_s)
"""


@pytest.mark.live
def test_a_quota_of_the_kernel_is_seen_to_stop_a_process():
    with group_with_quota(0.25) as procs:
        command = [sys.executable, "-c", INSIDE, str(procs)]
        done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=60)
    quota, times, cpu_s = map(float, done.stdout.split())
    assert quota == 0.25
    assert times >= 5, "50 ms of CPU are ten times what a period allows"
    assert cpu_s > 0
