"""What one trial asks of a server, as a frozen value that is stored whole with its result.

Nothing here opens a socket or reads a clock. Parsing of durations and sizes for people lives here too, because a
workload is what they describe.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, Self

Arrivals = Literal["closed", "constant", "poisson"]
Profile = tuple[tuple[float, float, float], ...]
"""Pieces of the window, each (share of the window, level at its start, level at its end); empty means level."""

MESSAGE_MAX_BYTES = 2**30
PLAIN = "a closed loop or a constant rate of messages of one size, one in flight per connection, on lasting connections"
"""What `Workload.is_plain` says of a load, in words."""
_DURATION_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
_SIZE_UNITS_BYTES = {"": 1, "b": 1, "kb": 1000, "kib": 1024, "k": 1024, "mb": 10**6, "mib": 2**20, "m": 2**20}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*")


class WorkloadError(ValueError):
    """A workload that cannot be: says which field, what it was given, and what is accepted."""


def parse_duration_s(text: str) -> float:
    """Read `500ms`, `5s`, `2min` or a bare number of seconds. Raise WorkloadError otherwise."""
    return _parse(text, _DURATION_UNITS_S, "duration", "5s, 500ms or 2min")


def parse_size_bytes(text: str) -> int:
    """Read `64`, `1KiB`, `16MiB` or `10kB`. Raise WorkloadError otherwise."""
    size = _parse(text, _SIZE_UNITS_BYTES, "size", "64, 1KiB or 16MiB")
    if size != int(size):
        raise WorkloadError(f"size {text!r} is not a whole number of bytes")
    return int(size)


def _parse(text: str, units: dict[str, float] | dict[str, int], kind: str, examples: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise WorkloadError(f"{kind} {text!r} is not understood: write {examples}")
    return float(match[1]) * units[match[2].lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Connections, messages, pacing and time limits of one trial.

    `rate_per_s` is the offered load over all connections together; None means a closed loop, where a connection
    sends as soon as its last reply is in. `arrivals` says how the due times of an open loop are spaced.

    A profile changes the rate, or the number of busy connections, within the window; `rate_per_s` is then the mean and
    `connections` the most. `message_sizes` is a distribution as `clients.sizes` reads it, empty if all messages have
    `message_bytes`, which otherwise is the largest.

    Raises WorkloadError when a field cannot be.
    """

    connections: int = 1
    connections_profile: Profile = ()
    message_bytes: int = 1024
    message_sizes: str = ""
    rate_per_s: float | None = None
    rate_profile: Profile = ()
    arrivals: Arrivals = "closed"
    pipeline: int = 1
    requests_per_connection: int | None = None
    think_s: float = 0.0
    warmup_s: float = 0.5
    duration_s: float = 5.0
    timeout_s: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        for field in ("connections", "pipeline"):
            self._require(field, getattr(self, field) >= 1, "1 or more")
        self._require("message_bytes", 1 <= self.message_bytes <= MESSAGE_MAX_BYTES, f"from 1 to {MESSAGE_MAX_BYTES}")
        limit = self.requests_per_connection
        self._require("requests_per_connection", limit is None or limit >= 1, "1 or more, or nothing")
        self._require("seed", self.seed >= 0, "0 or more")
        for field in ("duration_s", "timeout_s"):
            value = getattr(self, field)
            self._require(field, math.isfinite(value) and value > 0, "a number of seconds above 0")
        for field in ("warmup_s", "think_s"):
            value = getattr(self, field)
            self._require(field, math.isfinite(value) and value >= 0, "a number of seconds, 0 or more")
        if self.rate_per_s is not None:
            self._require("rate_per_s", math.isfinite(self.rate_per_s) and self.rate_per_s > 0, "a number above 0")
        self._require(
            "arrivals",
            self.arrivals in (("closed",) if self.rate_per_s is None else ("constant", "poisson")),
            "closed without a rate; constant or poisson with one",
        )

    def _require(self, field: str, holds: bool, accepted: str) -> None:
        if not holds:
            raise WorkloadError(f"{field} is {getattr(self, field)!r}, and must be {accepted}")

    @property
    def is_plain(self) -> bool:
        """Whether it is as `PLAIN` says."""
        steady = not self.rate_profile and self.arrivals != "poisson" and not self.connections_profile
        alike = self.pipeline == 1 and not self.message_sizes and self.requests_per_connection is None
        return steady and alike and not self.think_s

    @property
    def is_open_loop(self) -> bool:
        """Whether requests fall due by the clock rather than when the last reply is in."""
        return self.rate_per_s is not None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the workload that `to_json` wrote."""
        profiles = {name: tuple(map(tuple, fields[name])) for name in ("connections_profile", "rate_profile")}
        return cls(**{**fields, **profiles})
