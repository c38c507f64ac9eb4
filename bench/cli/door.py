"""The door that a command measures through: the live bench, or the one that a test puts into click's context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.experiment.trial.live import live_bench

if TYPE_CHECKING:
    import click

    from bench.experiment.model import Door


def door_of(context: click.Context) -> Door:
    """Return the door that the context was given, or the live bench."""
    given: Door | None = context.obj
    return given or live_bench
