"""Spectra of latency, held against percentiles of the samples that the log was made of."""

import base64
import zlib

import numpy as np
import pytest

from bench.analysis.runs.spectrum import spectra, spectrum, survey
from bench.errors import MeasurementError
from clients.histogram import Histogram, highest_quantile
from clients.hlog import header, line

BIN = 2**-10  # three significant digits: a bucket is at most a 1024th of its value wide


def log_of(tmp_path, parts):
    """Write an interval log of (tag, durations in ns)."""
    lines = [header(0.0)]
    for tag, values in parts:
        histogram = Histogram()
        histogram.add(np.asarray(values, dtype=np.int64))
        lines.append(line(tag, 0.0, 1.0, histogram))
    path = tmp_path / "latency.hlog"
    path.write_text("".join(lines))
    return path


def durations(seed, n, median_ns=100_000, sigma=0.8):
    return np.exp(np.random.default_rng(seed).normal(np.log(median_ns), sigma, n)).astype(np.int64)


@pytest.mark.parametrize("median_ns", [300, 80_000, 40_000_000])
def test_spectra_are_percentiles_of_pooled_samples_to_within_a_bucket(tmp_path, median_ns):
    trials = {number: durations(number, 4000, median_ns) for number in (1, 2, 3)}
    log = log_of(
        tmp_path,
        [(f"{number}.response", half) for number, values in trials.items() for half in np.array_split(values, 2)],
    )
    found = spectra(log, dict.fromkeys(trials, "cell"))["cell"]
    exact = np.quantile(np.concatenate(list(trials.values())), found.quantile, method="inverted_cdf")
    assert found.count == 12_000
    assert (found.value_ns >= exact).all()
    assert (found.value_ns <= exact * (1 + BIN) + 1).all()


def test_spectrum_spans_the_percentiles_that_the_samples_support():
    found = spectrum(durations(1, 5000), np.ones(5000, dtype=np.int64))
    assert found.quantile[0] == pytest.approx(0.1)
    assert found.quantile[-1] == pytest.approx(highest_quantile(5000))
    assert found.tail[-1] == pytest.approx(1 / (1 - highest_quantile(5000)))
    assert (np.diff(found.tail) > 0).all()
    assert (np.diff(found.value_ns) >= 0).all()


def test_spectra_count_only_the_kind_and_trials_asked_for(tmp_path):
    log = log_of(
        tmp_path,
        [("1.response", [1000] * 50), ("2.response", [3000] * 50), ("3.response", [7000]), ("1.service", [9] * 50)],
    )
    found = spectra(log, {1: ("a", "c1"), 2: ("b", "c1")})
    assert set(found) == {("a", "c1"), ("b", "c1")}
    assert {cell: int(values.value_ns[-1]) for cell, values in found.items()} == {("a", "c1"): 1000, ("b", "c1"): 3001}
    assert spectra(log, {1: "a"}, kind="service")["a"].value_ns[-1] == 9
    assert spectra(log, {7: "a"}) == {}


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_samples_gives_what_it_can(n):
    found = spectrum(np.arange(1, n + 1) * 1000, np.ones(n, dtype=np.int64))
    assert found.count == n
    assert np.isfinite(found.value_ns).all()
    assert found.quantile[-1] <= highest_quantile(n) + 1e-12


def test_a_run_without_a_log_has_no_spectra(tmp_path):
    assert spectra(tmp_path / "latency.hlog", {1: "a"}) == {}


@pytest.mark.parametrize("payload", ["HISTFAAAA", "bm90IGEgaGlzdG9ncmFt", "####"])
def test_a_line_that_is_torn_is_named_and_the_others_are_used(tmp_path, payload):
    path = log_of(tmp_path, [("1.response", [1000] * 50)])
    with path.open("a") as log:
        log.write(f"Tag=1.response,0.0,1.0,1.0,{payload}\nTag=2.response,0.0,1.0,1.0,{payload}\n\0\0")
    assert survey(path) == ([7, 8, 9], {1})
    assert spectra(path, {1: "a", 2: "b"})["a"].count == 50


def test_a_whole_line_that_is_no_histogram_is_an_error(tmp_path):
    payload = base64.b64encode(bytes(8) + zlib.compress(b"something else")).decode()
    path = tmp_path / "latency.hlog"
    path.write_text(f"{header(0.0)}Tag=1.response,0.0,1.0,1.0,{payload}\n")
    with pytest.raises(MeasurementError, match=r"latency\.hlog, line 6: not an HDR histogram"):
        spectra(path, {1: "a"})
