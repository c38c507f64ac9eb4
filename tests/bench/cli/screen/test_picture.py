"""The screen of a run as text: what it shows of the state, and what gives way in a narrow or a low terminal."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime

import pytest
from rich.console import Console

from bench.cli.screen.picture import Size, picture
from bench.cli.screen.seen import Seen
from bench.experiment.doubts import Doubt
from bench.experiment.model import Block, Server, Status, Trial, TrialResult
from bench.experiment.planning.extent import Extent
from bench.experiment.precision import Measured
from clients.workload import Workload

SPEEDS = {"asyncio-protocol": 50_000.0, "coroutines": 60_000.0, "threads": 25_000.0}
LOAD = Workload(connections=64, warmup_s=0.5, duration_s=1.5)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Says the time that it was set to."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def trials(number, speeds=SPEEDS, workload="c64-1KiB"):
    return tuple(
        Trial(
            number=len(speeds) * number + place,
            round=number,
            block=number,
            server=Server(name=name),
            workload_name=workload,
            workload=LOAD,
        )
        for place, name in enumerate(speeds)
    )


def measured(trial, rate, *, doubts=(), errors=0):
    """A trial whose slices say the same as its metrics."""
    metrics = {
        "replies_per_s": rate,
        "server_cpu_us_per_reply": 5e5 / rate,
        "response_p99_ns": 6e10 / rate,
        "errors": errors,
    }
    one = {"replies": rate / 50, "slice_s": 0.02, "server_cpu_s": 0.01, "response_p50_ns": 3e10 / rate}
    slices = tuple({"pass": number, **one} for number in range(5))
    return TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics, doubts=doubts, slices=slices)


def seen(speeds=SPEEDS, *, blocks=6, clock=None, limit_s=None, doubts=(), earlier=()):
    """What was seen once so many of ten blocks have ended and the next one has begun."""
    clock = clock or Clock()
    count = 10 * len(speeds)
    extent = Extent(
        servers={"c64-1KiB": list(speeds)},
        trials=count,
        loads_s=2.0 * count,
        expected_s=3.0 * count,
        limit_s=limit_s,
    )
    found = Seen(extent, clock, baseline=next(iter(speeds)), earlier=earlier)
    for number in range(1, blocks + 1):
        block = trials(number, speeds)
        found.began(Block(trials=block))
        for trial in block:
            found.ended(measured(trial, speeds[trial.server.name] * (1 + number / 100), doubts=doubts))
    clock.now_s = 5.0 * blocks
    found.began(Block(trials=trials(blocks + 1, speeds)))
    return found


def text_of(found, width=80, height=24, **console):
    file = io.StringIO()
    drawn = picture(found, Size(width, height), NOON, ends="q or Ctrl-C")
    Console(file=file, width=width, **console).print(drawn)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_it_shows_ratios_last_values_and_the_time_left():
    assert text_of(seen(doubts=(Doubt.STEAL,))) == [
        "round 7, block 7: c64-1KiB, ratios to asyncio-protocol",
        "18 of 30 trials, about 20 s left, until 12:00:20",
        "                                        Server CPU per       p99",
        "server                   Throughput              reply  response  Errors",
        "asyncio-protocol           baseline           baseline",
        "  6 trials          ▁▂▂▃▄▅ 53,000/s            9.43 µs   1.13 ms       0",
        "coroutines        1.20 [1.20, 1.20]  0.83 [0.83, 0.83]",
        "  6 trials          ▁▂▂▃▄▅ 63,600/s            7.86 µs    943 µs       0",
        "threads           0.50 [0.50, 0.50]  2.00 [2.00, 2.00]",
        "  6 trials          ▁▂▂▃▄▅ 26,500/s            18.9 µs   2.26 ms       0",
        "threads: steal (6 trials)",
        "coroutines: steal (6 trials)",
        "asyncio-protocol: steal (6 trials)",
        "q or Ctrl-C ends it and keeps what is measured",
    ]


MANY = {f"a-server-with-quite-a-long-name-{number}": 1e4 * number for number in range(1, 25)}


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
@pytest.mark.parametrize("speeds", [SPEEDS, MANY], ids=["three", "many"])
def test_no_number_or_word_is_broken_however_narrow(width, speeds):
    """Every word of a narrow screen is one of a wide one, and every line and the whole fit."""
    wide = {word for line in text_of(seen(speeds), 400, 200) for word in line.split()}
    narrow = text_of(seen(speeds), width, color_system=None)
    words = {word for line in narrow if "more in" not in line for word in line.split() if "…" not in word}
    assert max(map(len, narrow)) <= width
    assert len(narrow) <= 24
    assert words - wide == {"higher", "terminal"} & words


def test_columns_give_way_from_the_right():
    def headers(width):
        return {word for line in text_of(seen(), width)[:6] for word in line.split()}

    assert "Errors" in headers(80)
    assert "Errors" not in headers(70)
    assert not {"CPU", "p99"} & headers(40)
    assert "Throughput" in headers(40)


def test_a_low_terminal_shows_fewer_servers_and_says_so():
    low = text_of(seen(MANY, doubts=(Doubt.STEAL,)), 80, 14)
    assert len(low) <= 14
    assert any("more in a higher terminal" in line for line in low)
    assert sum("steal" in line for line in low) >= 1


def test_rows_are_short_where_there_is_no_room_for_whole_ones():
    fifteen = {f"server-{number:02}": 1e4 * number for number in range(1, 16)}
    lines = text_of(seen(fifteen, doubts=(Doubt.STEAL,)))
    assert len(lines) == 24
    assert lines[4].split() == ["server-01", "10,600/s", "47.2", "µs", "5.66", "ms", "0"]
    assert lines[18].split()[:4] == ["server-15", "15.00", "[15.00,", "15.00]"]
    assert not [line for line in lines if "more in" in line]


def test_before_the_first_block_ends_there_are_no_numbers():
    first = text_of(seen(blocks=0))
    assert first[1] == "0 of 30 trials, about 2 min left, until 12:01:30"
    assert first[5].split() == ["asyncio-protocol", "baseline", "baseline"]
    assert first[6].split() == ["0", "trials", "-", "-", "-", "0"]


def test_a_ratio_counts_the_blocks_of_a_resumed_run():
    earlier = [Measured.of(measured(one, SPEEDS[one.server.name]) for one in trials(number)) for number in range(6)]
    assert any("1.20 [1.20, 1.20]" in line for line in text_of(seen(blocks=0, earlier=earlier)))


def test_the_time_left_is_what_ends_the_run_first():
    assert seen(limit_s=40.0).left_s() == pytest.approx(10.0)
    assert seen(limit_s=400.0).left_s() == pytest.approx(20.0)
    assert seen(limit_s=10.0).left_s() == 0.0
    assert Seen(Extent(), Clock()).left_s() is None


def test_a_failed_trial_counts_and_leaves_the_numbers_before():
    found = seen(blocks=1)
    trial = trials(2)[0]
    found.ended(TrialResult(trial=trial, status=Status.SERVER_DIED, detail="it died"))
    cell = found.cells[trial.cell]
    assert cell.trials == 2
    assert cell.last["replies_per_s"] == pytest.approx(50_500)
    assert found.precision is not None
    ratio = found.precision.ratio("c64-1KiB", "threads", "replies_per_s")
    assert ratio is not None
    assert ratio.value == pytest.approx(0.5)
    assert math.isnan(ratio.low)
