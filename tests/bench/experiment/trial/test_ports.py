"""A load waits for the local ports that the last one to the same address has used up. On a /proc of the test's own."""

from __future__ import annotations

import pytest

from bench.experiment.trial import ports
from bench.experiment.trial.ports import POLL_S, REUSE_S, TIME_WAIT_S, await_ports, held

PORT = 0x1538
ROW = "   0: 0100007F:{local:04X} 0100007F:{remote:04X} {state} 00000000:00000000 03:00000A1B 00000000\n"


class Proc:
    """A folder like /proc with 1,000 local ports; `sleep` counts, and the ports come free after so many seconds."""

    def __init__(self, folder, reuse=0, timestamps=1):
        self.folder, self.slept_s, self.free_after_s = folder, 0.0, 1e9
        settings = {"ip_local_port_range": "40000 40999", "tcp_tw_reuse": reuse, "tcp_timestamps": timestamps}
        (folder / "sys/net/ipv4").mkdir(parents=True)
        (folder / "net").mkdir()
        for name, value in settings.items():
            (folder / "sys/net/ipv4" / name).write_text(f"{value}\n")

    def hold(self, number, remote=PORT, state="06"):
        rows = "".join(ROW.format(local=40_000 + one, remote=remote, state=state) for one in range(number))
        (self.folder / "net/tcp").write_text(f"  sl  local_address rem_address   st\n{rows}")

    def sleep(self, seconds):
        self.slept_s += seconds
        if self.slept_s >= self.free_after_s:
            self.hold(0)

    def waited_s(self, host="127.0.0.1"):
        await_ports(host, PORT, proc=self.folder, sleep=self.sleep)
        return self.slept_s


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [({"number": 7}, 7), ({"number": 7, "remote": PORT + 1}, 0), ({"number": 7, "state": "01"}, 0)],
)
def test_ports_are_held_by_connections_that_are_over(proc, rows, expected):
    proc.hold(**rows)
    assert held(PORT, proc.folder) == expected


def test_a_load_begins_when_the_ports_of_the_last_are_free(proc):
    proc.hold(900)
    proc.free_after_s = 5.0
    assert proc.waited_s() == pytest.approx(5.0)


def test_few_ports_that_are_held_are_not_waited_for(proc):
    proc.hold(100)
    assert proc.waited_s() == 0.0


@pytest.mark.parametrize(
    ("reuse", "timestamps", "host", "expected"),
    [
        (0, 1, "127.0.0.1", TIME_WAIT_S),
        (1, 1, "192.0.2.1", REUSE_S),
        (2, 1, "192.0.2.1", TIME_WAIT_S),
        (2, 1, "127.0.0.1", REUSE_S),
        (2, 1, "::1", REUSE_S),
        (2, 1, "localhost", REUSE_S),
        (2, 0, "127.0.0.1", TIME_WAIT_S),
    ],
)
def test_the_wait_is_as_long_as_the_kernel_keeps_them(tmp_path, reuse, timestamps, host, expected):
    proc = Proc(tmp_path, reuse, timestamps)
    proc.hold(900)
    assert proc.waited_s(host) == pytest.approx(expected, abs=POLL_S)


def test_where_there_is_no_such_table_nothing_is_waited_for(tmp_path):
    await_ports("127.0.0.1", PORT, proc=tmp_path, sleep=lambda _: pytest.fail("it waited"))


def test_the_table_of_this_machine_can_be_read():
    assert ports.held(1) == 0
