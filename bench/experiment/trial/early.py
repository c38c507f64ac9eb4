"""The servers of the next block, started while the results of the last one are still made and kept.

Their start takes longer than that work, and nothing is measured meanwhile. No server of one block is alive beside those
of another: the last ones have been ended before these are started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from bench.errors import BenchError
from bench.experiment.trial.process import Launch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from bench.experiment.model import Trial


class EarlyLaunch:
    """Launches the servers of a block, ahead of its turn if it is known. Use as a context manager.

    Each server is bound to `cpus`, and leaves its log in the folder `logs`.
    """

    def __init__(self, *, logs: Path, cpus: Collection[int]) -> None:
        self.logs, self._cpus = logs, cpus
        self._trials: tuple[Trial, ...] = ()
        self._launch: Launch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.abandon()

    def begin(self, trials: Sequence[Trial]) -> None:
        """Start the servers of a block that probably comes next.

        What makes this fail will fail again when the block has its turn, and is that block's trouble: it is not raised.
        """
        try:
            self._launch = self._launched(trials)
        except (BenchError, OSError):
            return
        self._trials = tuple(trials)

    def take(self, trials: Sequence[Trial]) -> Launch:
        """Return the launch of a block: the one that was begun, if it is of these trials, else a new one."""
        if self._launch is None or self._trials != tuple(trials):
            self.abandon()
            return self._launched(trials)
        launch, self._launch = self._launch, None
        return launch

    def abandon(self) -> None:
        """End servers that were started for a block that has not come, and forget what they said."""
        if self._launch is not None:
            launch, self._launch = self._launch, None
            launch.end()
            for log in self._logs_of(self._trials):
                log.unlink(missing_ok=True)

    def _launched(self, trials: Sequence[Trial]) -> Launch:
        servers = [trial.server for trial in trials]
        return Launch(servers, logs=self._logs_of(trials), seed=trials[0].workload.seed, cpus=self._cpus)

    def _logs_of(self, trials: Sequence[Trial]) -> list[Path]:
        return [self.logs / f"{trial.number:04}-server.log" for trial in trials]
