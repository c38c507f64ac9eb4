"""The interval log of a run, in the text format that the HdrHistogram tools read (version 1.3 of the format).

One line per second and kind of duration, in nanoseconds, tagged `TAG.KIND`. Start times are seconds since the epoch, so
that logs of several runs can be joined. Intervals that several workers wrote are merged by start time and tag.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from clients.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


def header(start_s: float) -> str:
    """Return the lines that open a log that begins at `start_s` seconds since the epoch."""
    date = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(start_s))
    return (
        "#[Logged with echobench]\n"
        "#[Histogram log format version 1.3]\n"
        "#[UNITS: values in nanoseconds, Interval_Max in milliseconds, times in seconds since the epoch]\n"
        f"#[StartTime: {start_s:.3f} (seconds since epoch), {date}]\n"
        f"{LEGEND}\n"
    )


def line(tag: str, start_s: float, length_s: float, histogram: Histogram) -> str:
    """Return one interval of one kind."""
    longest_ms = (histogram.max_ns or 0) / 1e6
    return f"Tag={tag},{start_s:.3f},{length_s:.3f},{longest_ms:.3f},{histogram.encode()}\n"


class IntervalLog:
    """Writes the distributions of one stretch after another; keeps none of them."""

    def __init__(self, stream: TextIO, tag: str) -> None:
        """Write to an open text file; the caller writes the header and closes it."""
        self._stream = stream
        self._tag = tag

    def write(self, start_s: float, length_s: float, distributions: dict[str, Histogram]) -> None:
        """Write one interval of every kind that has any durations."""
        for kind, histogram in distributions.items():
            if histogram.count:
                self._stream.write(line(f"{self._tag}.{kind}", start_s, length_s, histogram))
        self._stream.flush()


def merge(parts: Iterable[Path], stream: TextIO) -> None:
    """Join the logs that workers wrote about the same seconds into one.

    Intervals of a tag belong together if they began within half an interval of each other. What a worker that was
    killed left of a line is passed over.
    """
    merged: dict[str, list[_Interval]] = defaultdict(list)
    for tag, interval in sorted(_intervals(parts), key=lambda pair: pair[1].start_s):
        known = merged[tag]
        if known and interval.start_s - known[-1].start_s < max(known[-1].length_s, interval.length_s) / 2:
            known[-1].histogram.merge(interval.histogram)
            known[-1].length_s = max(known[-1].length_s, interval.length_s)
        else:
            known.append(interval)
    lines = [(interval.start_s, tag, interval) for tag, known in merged.items() for interval in known]
    for start_s, tag, interval in sorted(lines, key=lambda item: item[:2]):
        stream.write(line(tag, start_s, interval.length_s, interval.histogram))


@dataclass(slots=True)
class _Interval:
    start_s: float
    length_s: float
    histogram: Histogram


def _intervals(parts: Iterable[Path]) -> Iterator[tuple[str, _Interval]]:
    for part in parts:
        for text in part.read_text().splitlines(keepends=True):
            if text.startswith("Tag=") and text.endswith("\n"):
                tag, start, length, _, payload = text.removeprefix("Tag=").rstrip().split(",", 4)
                yield tag, _Interval(float(start), float(length), Histogram.decode(payload))
