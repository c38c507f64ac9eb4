"""How a trial without a reply is told: whose fault it was, and what to do where that is known."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.experiment.doubts import Doubt
from bench.experiment.model import Server, Status
from bench.experiment.trial import live
from bench.experiment.trial.process import RunningServer
from bench.experiment.trial.results import ending

HUNG_UP = "it accepted connections and hung up before it served"


@pytest.mark.parametrize(
    ("errors", "status", "says"),
    [
        ({"no_local_port": 3}, Status.GENERATOR_FAILED, Doubt.NO_LOCAL_PORT.advice),
        ({"no_descriptor": 3}, Status.GENERATOR_FAILED, Doubt.NO_DESCRIPTOR.advice),
        ({"closed_early": 3}, Status.NO_REPLIES, HUNG_UP),
        ({"closed_early": 3, "reset": 1}, Status.NO_REPLIES, "--ready line"),
        ({"refused": 3, "no_local_port": 3}, Status.NO_REPLIES, "mine gave no reply in the window: 3 refused"),
        ({}, Status.NO_REPLIES, "mine gave no reply in the window: no errors"),
    ],
)
def test_a_trial_without_a_reply_says_whose_fault_it_was(errors, status, says):
    running = RunningServer(server=Server(name="mine"), host="127.0.0.1", port=1, pid=None)
    found, detail = ending({"errors": errors, "replies": 0, "workers_lost": 0}, running)
    assert found is status
    assert says in detail
    assert (HUNG_UP in detail) == ("closed_early" in errors)


def test_without_the_encoder_nothing_is_measured_and_one_sentence_says_why(monkeypatch):
    monkeypatch.setattr(live, "CAN_ENCODE", False)
    with (
        pytest.raises(UsageError, match=r"package hdrhistogram, .*; servers run without it"),
        live.live_bench(),
    ):
        pass
