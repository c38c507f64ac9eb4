"""One turn of one mechanism, as pytest-benchmark times it. `measure.py` says which comes when; nothing belongs here."""

from __future__ import annotations


def test_turn(benchmark, timed):
    mechanism = timed.mechanism
    benchmark.extra_info |= {"mechanism": mechanism.name, "words": mechanism.words, "times": timed.times}
    benchmark.pedantic(timed.work, args=(timed.times,), rounds=1)
