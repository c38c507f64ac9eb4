"""The interval log, opened with the HdrHistogram library's own reader."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from helpers.forked import load
from hypothesis import given
from hypothesis import strategies as st

from clients import hlog
from clients.histogram import DIGITS, HIGHEST_NS, Histogram

START_S = 1_700_000_000.0


def filled(values):
    histogram = Histogram()
    histogram.add(np.array(values, dtype=np.int64))
    return histogram


@pytest.fixture(scope="session")
def read_log(tmp_path_factory):
    """Return a function that reads a log with the library: a list of histograms with their tags and times."""

    def read(text):
        path = tmp_path_factory.mktemp("hlog") / "latency.hlog"
        path.write_text(text)
        reader = HistogramLogReader(str(path), HdrHistogram(1, HIGHEST_NS, DIGITS))
        histograms = []
        while (histogram := reader.get_next_interval_histogram()) is not None:
            histograms.append(histogram)
        reader.close()
        return histograms

    return read


def written(intervals, *, tag="load", start_s=START_S):
    """Return a log of (start, length, {kind: values})."""
    stream = io.StringIO()
    stream.write(hlog.header(start_s))
    log = hlog.IntervalLog(stream, tag)
    for at_s, length_s, kinds in intervals:
        log.write(at_s, length_s, {kind: filled(values) for kind, values in kinds.items()})
    return stream.getvalue()


def test_the_library_reads_tags_times_and_counts(read_log):
    text = written(
        [
            (START_S, 1.0, {"response": [1_000, 2_000], "service": [900], "lateness": []}),
            (START_S + 1, 0.5, {"response": [5_000_000]}),
        ]
    )
    histograms = read_log(text)
    assert [histogram.get_tag() for histogram in histograms] == ["load.response", "load.service", "load.response"]
    assert [histogram.get_total_count() for histogram in histograms] == [2, 1, 1]
    starts_ms = [histogram.get_start_time_stamp() for histogram in histograms]
    assert starts_ms == pytest.approx([START_S * 1e3, START_S * 1e3, START_S * 1e3 + 1_000])
    assert histograms[2].get_end_time_stamp() == pytest.approx(START_S * 1e3 + 1_500)


def test_the_maximum_of_a_line_is_in_milliseconds():
    assert hlog.line("t", 1.0, 2.0, filled([2_500_000])).startswith("Tag=t,1.000,2.000,2.500,HISTF")


def test_the_header_names_format_units_and_start():
    lines = hlog.header(START_S).splitlines()
    assert "#[Histogram log format version 1.3]" in lines
    assert f"#[StartTime: {START_S:.3f} (seconds since epoch), Tue Nov 14 22:13:20 UTC 2023]" in lines
    assert any("nanoseconds" in line for line in lines)
    assert lines[-1] == '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


# ---- the logs of several workers

seconds = st.lists(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), min_size=1, max_size=4)


@given(
    workers=st.lists(seconds, min_size=1, max_size=3), jitter_ms=st.lists(st.integers(0, 400), min_size=3, max_size=3)
)
def test_merged_logs_give_the_histograms_of_the_pooled_samples(read_log, tmp_path_factory, workers, jitter_ms):
    """Workers whose seconds begin up to 0.4 s apart still add up second by second."""
    folder = tmp_path_factory.mktemp("parts")
    for number, (worker, late_ms) in enumerate(zip(workers, jitter_ms, strict=False)):
        intervals = [(START_S + at + late_ms / 1e3, 1.0, {"response": values}) for at, values in enumerate(worker)]
        (folder / f"{number}.hlog").write_text(written(intervals))
    stream = io.StringIO()
    stream.write(hlog.header(START_S))
    hlog.merge(sorted(folder.iterdir()), stream)
    histograms = read_log(stream.getvalue())
    longest = max(len(worker) for worker in workers)
    assert len(histograms) == longest
    for at, histogram in enumerate(histograms):
        pooled = [value for worker in workers if at < len(worker) for value in worker[at]]
        expected = filled(pooled)
        assert histogram.get_total_count() == expected.count
        assert Histogram.decode(expected.encode()).counts.tolist() == [
            histogram.get_count_at_index(index) for index in range(expected.counts.size)
        ]


def test_kinds_and_separate_seconds_are_not_mixed(read_log, tmp_path):
    one, other = tmp_path / "1.hlog", tmp_path / "2.hlog"
    one.write_text(written([(START_S, 1.0, {"response": [1], "service": [2]}), (START_S + 1, 1.0, {"response": [3]})]))
    other.write_text(written([(START_S + 1.1, 1.0, {"response": [4], "connect": [5]})]))
    stream = io.StringIO()
    hlog.merge([one, other], stream)
    counts = [(histogram.get_tag(), histogram.get_total_count()) for histogram in read_log(stream.getvalue())]
    assert counts == [("load.response", 1), ("load.service", 1), ("load.response", 2), ("load.connect", 1)]


def test_hlog_passes_over_a_line_of_a_worker_that_died(tmp_path):
    whole = written([(START_S, 1.0, {"response": [1]}), (START_S + 1, 1.0, {"response": [2]})])
    for cut in (1, 10, 60, 90):
        (tmp_path / "dead.hlog").write_text(whole[:-cut])
        stream = io.StringIO()
        hlog.merge([tmp_path / "dead.hlog"], stream)
        assert stream.getvalue().count("Tag=load.response") == 1


# ---- the log of a real run


@pytest.mark.parametrize("workers", [1, 2])
def test_the_log_of_a_run_gives_the_percentiles_of_its_json(echo_server, read_log, tmp_path, workers):
    path = tmp_path / "latency.hlog"
    before_s = time.time()
    given = ("-c", 4, "--rate", 2_000, "-d", "1.3s", "--requests-per-connection", 100, "--workers", workers)
    run = load(echo_server.address, *given, "--hlog", path, "--tag", "a1")
    after_s = time.time()
    by_kind = {}
    for histogram in read_log(path.read_text()):
        tag, kind = histogram.get_tag().split(".")
        assert tag == "a1"
        assert before_s <= histogram.get_start_time_stamp() / 1e3 <= after_s
        by_kind.setdefault(kind, HdrHistogram(1, HIGHEST_NS, DIGITS)).add(histogram)
    assert set(by_kind) == {"response", "service", "lateness", "connect"}
    for kind in ("response", "service", "lateness"):
        assert by_kind[kind].get_total_count() == run["replies"]
    assert by_kind["connect"].get_total_count() >= run["replies"] / 100
    for kind, histogram in by_kind.items():
        for name, percentile in (("p50", 50.0), ("p99", 99.0)):
            if (ours := run[f"{kind}_{name}_ns"]) is not None:
                # The library rounds the rank to the nearest, so its neighbour may be meant.
                rank = 100 / run["replies"]
                theirs = [histogram.get_value_at_percentile(percentile + step * rank) for step in (-1, 0, 1)]
                assert min(theirs) <= ours * 1.001
                assert ours <= max(theirs)
    assert len([line for line in path.read_text().splitlines() if line.startswith("Tag=a1.response")]) == 2


def test_hlog_of_a_closed_loop_has_service_times_too(echo_server, tmp_path):
    path = tmp_path / "latency.hlog"
    load(echo_server.address, "-c", 2, "-d", "0.2s", "--hlog", path)
    lines = [line.removeprefix("Tag=load.").split(",") for line in path.read_text().splitlines() if "Tag=" in line]
    payloads = {kind: payload for kind, *_, payload in lines}
    assert payloads["service"] == payloads["response"]
    assert set(payloads) == {"response", "service", "connect"}, "a closed loop has no lateness"
