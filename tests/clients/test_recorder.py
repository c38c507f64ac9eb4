"""What is recorded belongs to one slice only."""

from __future__ import annotations

from clients.faults import Failure
from clients.recorder import RawRecorder, Recorder


def test_drain_returns_what_was_recorded_since_the_last_one():
    recorder = Recorder(open_loop=True)
    slices = [recorder.drain()]
    for due_ns in (100, 200):
        recorder.reply(due_ns, due_ns + 7, due_ns + 1000)
        recorder.connect.append(due_ns)
        recorder.failures[Failure.RESET] += due_ns
        slices.append(recorder.drain())
    slices.append(recorder.drain())
    kinds = ("response", "service", "lateness", "connect")
    assert [[one.durations(kind).tolist() for kind in kinds] for one in slices] == [
        [[], [], [], []],
        [[1000], [993], [7], [100]],
        [[1000], [993], [7], [200]],
        [[], [], [], []],
    ]
    assert [dict(one.failures) for one in slices] == [{}, {Failure.RESET: 100}, {Failure.RESET: 200}, {}]


def test_a_closed_loop_records_no_lateness():
    recorder = Recorder(open_loop=False)
    recorder.reply(100, 100, 1100)
    taken = recorder.drain()
    assert taken.durations("response").tolist() == [1000]
    assert taken.durations("service").size == taken.durations("lateness").size == 0


def test_raw_rows_are_kept_beyond_a_slice():
    recorder = RawRecorder(open_loop=True)
    recorder.reply(1, 2, 3)
    recorder.drain()
    recorder.reply(4, 5, 6)
    assert list(zip(recorder.due_ns, recorder.sent_ns, recorder.done_ns, strict=True)) == [(1, 2, 3), (4, 5, 6)]
