"""How an agent's monotonic clock relates to ours: offset and error from round trips (Cristian, 1989). Arithmetic only.

A reply was written at some moment of its round trip, so the reading in it lies within half of the trip around the
middle. The smallest trip therefore says the most, however unequal the two ways are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Trip(NamedTuple):
    """A question and its answer, in ns: sent and received by our clock, and what the agent's clock said in between."""

    sent_ns: int
    theirs_ns: int
    received_ns: int


class Relation(NamedTuple):
    """The agent's clock minus ours, in ns; the true difference lies within `error_ns` of `offset_ns`.

    `slowest_ns` is the longest of the round trips, which a word to this agent may need too.
    """

    offset_ns: int
    error_ns: int
    slowest_ns: int

    def to_theirs(self, ours_ns: int) -> int:
        """Return a time of ours by the agent's clock."""
        return ours_ns + self.offset_ns

    def to_ours(self, theirs_ns: int) -> int:
        """Return a time of the agent's by our clock."""
        return theirs_ns - self.offset_ns

    def until(self, later: Relation) -> Relation:
        """Return this relation with an error that holds until a later one: what the clocks drifted is in it."""
        drift_ns = abs(later.offset_ns - self.offset_ns)
        return self._replace(error_ns=max(self.error_ns, drift_ns + later.error_ns))


def relation(trips: Iterable[Trip]) -> Relation:
    """Return what the smallest of the round trips says. Raise ValueError if there are none."""
    *_, slowest = shortest_first = sorted(trips, key=_length_ns)
    best = shortest_first[0]
    middle_ns = best.sent_ns + _length_ns(best) // 2
    return Relation(best.theirs_ns - middle_ns, -(-_length_ns(best) // 2), _length_ns(slowest))


def _length_ns(trip: Trip) -> int:
    return trip.received_ns - trip.sent_ns
