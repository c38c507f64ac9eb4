"""The door that a command measures through: the live bench, or the one that a test puts into click's context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.experiment.trial.live import live_bench

if TYPE_CHECKING:
    import click

    from bench.experiment.model import Door


def has_own_door(context: click.Context) -> bool:
    """Say whether the context was given a door: then nothing is measured here, and no server is to be started."""
    return context.obj is not None


def door_of(context: click.Context) -> Door:
    """Return the door that the context was given, or the live bench."""
    given: Door | None = context.obj
    return given or live_bench
