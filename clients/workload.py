"""What one trial asks of a server, as a frozen value that is stored whole with its result.

Every rule about a workload stands here, so that a plan file, a command line and a JSON text are refused alike. Nothing
here reads a text that people write (`grammar.py`, `keys.py`), opens a socket or reads a clock.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from clients.grammar import GrammarError, largest, parse_sizes
from clients.shapes import Constant, Shape, Steps, shape_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Arrivals = Literal["closed", "constant", "poisson"]

MESSAGE_MAX_BYTES = 2**30
PIPELINE_MAX = 10_000
TIME_MAX_S = 31 * 86_400
"""Of each time of a workload, in seconds."""

REQUESTS_MAX = 10**9
"""Of a connection that is replaced. One that should last has no such number."""

RATE_MAX_PER_S = 1_000_000
"""The highest rate, in requests per second, of which one process can keep a schedule."""

PLAIN = "a closed loop or a constant rate of messages of one size, one in flight per connection, on lasting connections"
"""What `Workload.is_plain` says of a load, in words."""
_PROFILES = ("connections_profile", "rate_profile")


class WorkloadError(ValueError):
    """A workload, or a load, that cannot be: one sentence for the person who asked for it."""


class FieldError(WorkloadError):
    """A value that a workload cannot have: names its field, what was given, and what is accepted."""

    def __init__(self, field: str, given: object, accepted: str) -> None:
        """Take what the value is called, the value, and words that complete `and must be`."""
        self.field, self.given, self.accepted = field, given, accepted
        shown = given.text() if isinstance(given, Shape) else given
        super().__init__(f"{field} is {shown!r}, and must be {accepted}")

    def named(self, name: str) -> FieldError:
        """Return it with the name by which a person knows the field."""
        return FieldError(name, self.given, self.accepted)


def _whole(least: int, most: int | None = None) -> tuple[Callable[[Any], bool], str]:
    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= (most or value)

    return holds, f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"


def _number(*, above_0: bool) -> tuple[Callable[[Any], bool], str]:
    def holds(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return is_number and (value > 0 or (value == 0 and not above_0))

    return holds, "a number above 0" if above_0 else "a number, 0 or more"


def _seconds(*, above_0: bool) -> tuple[Callable[[Any], bool], str]:
    holds, _ = _number(above_0=above_0)
    least = "above 0" if above_0 else "from 0"
    accepted = f"a number of seconds {least}, and {TIME_MAX_S} (31 days) at most"
    return lambda value: holds(value) and value <= TIME_MAX_S, accepted


def _changes(value: object) -> bool:
    return value is None or (isinstance(value, Shape) and not isinstance(value, Constant))


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "connections": _whole(1),
    "connections_profile": (_changes, "a shape that changes, and absent where the level is constant"),
    "message_bytes": _whole(1, MESSAGE_MAX_BYTES),
    "message_sizes": (lambda value: isinstance(value, str), "text"),
    "rate_per_s": _number(above_0=True),
    "rate_profile": (_changes, "a shape that changes, and absent where the level is constant"),
    "arrivals": (lambda value: value in ("closed", "constant", "poisson"), '"constant" or "poisson"'),
    "pipeline": _whole(1, PIPELINE_MAX),
    "requests_per_connection": _whole(1, REQUESTS_MAX),
    "think_s": _seconds(above_0=False),
    "warmup_s": _seconds(above_0=False),
    "duration_s": _seconds(above_0=True),
    "timeout_s": _seconds(above_0=True),
    "seed": _whole(0),
}
"""What each field can be by itself, as a test and in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Connections, messages, pacing and time limits of one trial.

    `rate_per_s` is the offered load over all connections together; None means a closed loop, where a connection
    sends as soon as its last reply is in. `arrivals` says how the due times of an open loop are spaced.

    A profile changes the rate, or the number of busy connections, within the window, and is None where that is
    constant; `rate_per_s` is then the mean of the profile and `connections` its highest level. `message_sizes` is a
    distribution as `clients.grammar` reads it, and `message_bytes` its largest size; it is empty if all messages have
    `message_bytes`. `requests_per_connection` is None where connections last.

    Raises FieldError when a field cannot be, or not beside the others.
    """

    connections: int = 1
    connections_profile: Shape | None = None
    message_bytes: int = 1024
    message_sizes: str = ""
    rate_per_s: float | None = None
    rate_profile: Shape | None = None
    arrivals: Arrivals = "closed"
    pipeline: int = 1
    requests_per_connection: int | None = None
    think_s: float = 0.0
    warmup_s: float = 0.5
    duration_s: float = 5.0
    timeout_s: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field by itself, and then those that depend on each other."""
        for field, (holds, accepted) in _RULES.items():
            value = getattr(self, field)
            may_be_none = field in ("rate_per_s", "requests_per_connection") and value is None
            if not may_be_none and not holds(value):
                raise FieldError(field, value, accepted)
        for field, rule_holds, accepted in (*self._rules_of_profiles(), *self._rules_of_rate(), *self._rules_of_size()):
            if not rule_holds:
                raise FieldError(field, getattr(self, field), accepted)

    def _rules_of_profiles(self) -> Iterator[tuple[str, bool, str]]:
        """Yield (field, whether it is right, what is accepted) for the profiles.

        No connection is closed because fewer are wanted, so their number only grows.
        """
        rate, crowd = self.rate_profile, self.connections_profile
        if rate is not None:
            yield "rate_profile", min(rate.levels) >= 0, "0 or more in every part"
            ends_in_0 = isinstance(rate, Steps) and not rate.levels[-1]
            yield "rate_profile", not ends_in_0, "above 0 in its last step (a decimal has a point, as in 1.0)"
            mean_per_s = math.nan if self.rate_per_s is None else self.rate_per_s
            agrees = math.isclose(rate.mean, mean_per_s, rel_tol=1e-9)
            yield "rate_profile", agrees, f"a shape whose mean is rate_per_s, {self.rate_per_s}"
        if crowd is not None:
            levels = crowd.levels
            yield "connections_profile", levels == sorted(levels), "a number that only grows, as in 1..64 or 1,8,64"
            yield "connections_profile", levels[0] >= 1, "1 or more from the start, as in 1..64 or 1,8,64"
            agrees = levels[-1] == self.connections
            yield "connections_profile", agrees, f"a shape that ends at connections, {self.connections}"

    def _rules_of_rate(self) -> Iterator[tuple[str, bool, str]]:
        """Yield the same for what depends on whether there is a rate."""
        yield (
            "arrivals",
            (self.arrivals == "closed") == (self.rate_per_s is None),
            '"constant" or "poisson" with a rate, and left out (or "closed") without one',
        )
        yield "think_s", not self.think_s or self.rate_per_s is None, "0 with a rate: it is the pause of a closed loop"

    def _rules_of_size(self) -> Iterator[tuple[str, bool, str]]:
        """Yield the same for the distribution of sizes."""
        if not self.message_sizes:
            return
        try:
            sizes = parse_sizes(self.message_sizes)
        except GrammarError as error:
            raise FieldError("message_sizes", self.message_sizes, f"sizes that can be: {error}") from error
        several = not isinstance(sizes, int)
        yield "message_sizes", several, "a range 64..4096 or a mixture 64:9,16KiB:1, and empty for one size"
        agrees = largest(sizes) == self.message_bytes
        yield "message_sizes", agrees, f"sizes of which the largest is message_bytes, {self.message_bytes}"

    @property
    def is_uniform(self) -> bool:
        """Whether every request of a connection is like its last: of one size, sent alone and without a pause."""
        return self.pipeline == 1 and not self.message_sizes and not self.think_s

    @property
    def is_plain(self) -> bool:
        """Whether it is as `PLAIN` says: uniform requests at a constant level, on lasting connections."""
        is_regular = not self.is_varying and self.arrivals != "poisson"
        return self.is_uniform and is_regular and self.requests_per_connection is None

    @property
    def is_plain_closed_loop(self) -> bool:
        """Whether its throughput is bounded by the generator alone, as `echobench calibrate` measures that bound."""
        return self.is_plain and not self.is_open_loop

    @property
    def is_varying(self) -> bool:
        """Whether the rate, or the number of connections, changes over the window."""
        return self.rate_profile is not None or self.connections_profile is not None

    @property
    def is_open_loop(self) -> bool:
        """Whether requests fall due by the clock rather than when the last reply is in."""
        return self.rate_per_s is not None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON types. A profile is a list of pieces or the text of a shape; [] if None."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: ([] if value is None else value.to_json()) if name in _PROFILES else value
            for name, value in fields.items()
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the workload that `to_json` wrote; a field that is absent has its default.

        Raises WorkloadError for a field that there is not, and FieldError for a value that cannot be.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise WorkloadError(f"a workload has no field {name!r}; it has {', '.join(known)}")
        profiles = {}
        for name in _PROFILES:
            try:
                profiles[name] = shape_from_json(fields.get(name, []))
            except GrammarError as error:
                raise FieldError(name, fields[name], f"a shape: {error}") from error
        return cls(**{**fields, **profiles})


def parse_workload(text: str) -> Workload:
    """Read the JSON text of `Workload.to_json`. Raise WorkloadError."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise WorkloadError(f"the workload is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise WorkloadError(f"the workload is {fields!r}, and must be a JSON object")
    return Workload.from_json(fields)
